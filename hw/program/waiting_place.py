"""The place in which a descriptor waits for its engine."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.descriptor import DESCRIPTOR
from hw.program.tickets import COUNTS, FLAGS, TICKETS, unmet


class WaitingPlace(wiring.Component):
    """Keeps a descriptor with its tickets until it may leave.

    Members
    -------
    clear : In(1)
        The place is free from the next cycle on. Beside it nothing is taken.
    take : In(1), descriptor : In(DESCRIPTOR), tickets : In(TICKETS)
        Fills the place, which is free or left in the same cycle.
    leave : In(1)
        The descriptor goes on: the place is free from the next cycle on.
    ended : In(COUNTS)
        Jobs that have ended.
    occupied : Out(1)
        Somebody waits here.
    waits_for : Out(FLAGS)
        The engines whose jobs it still waits for.
    content : Out(DESCRIPTOR)
        The descriptor; after it has left, until the next one is there, too.
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "take": In(1),
                "descriptor": In(DESCRIPTOR),
                "tickets": In(TICKETS),
                "leave": In(1),
                "ended": In(COUNTS),
                "occupied": Out(1),
                "waits_for": Out(FLAGS),
                "content": Out(DESCRIPTOR),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tickets = Signal(TICKETS)
        m.d.comb += self.waits_for.eq(unmet(tickets, self.ended))
        with m.If(self.take):
            m.d.sync += [self.content.eq(self.descriptor), tickets.eq(self.tickets)]
        with m.Else():
            # A wait that is over is forgotten: jobs that end later, any number of them, must not bring it back.
            m.d.sync += tickets.needed.eq(self.waits_for)
        with m.If(self.clear):
            m.d.sync += self.occupied.eq(0)
        with m.Elif(self.take):
            m.d.sync += self.occupied.eq(1)
        with m.Elif(self.leave):
            m.d.sync += self.occupied.eq(0)
        return m
