"""Notices that a job stands still."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Watchdog(wiring.Component):
    """Counts cycles in which nothing happens that must happen.

    While memory is awaited only its answers count, whatever else goes on; else steps of the core that bring a job
    nearer to its end. An engine that runs in a circle takes none.

    Members
    -------
    limit : In(32)
        Cycles without an answer, or without a step, that are too many; 0: never.
    running : In(1)
        A job runs.
    awaited, answered : In(1)
        Something is offered to memory or asked of it; it took something, or gave something.
    advances : In(1)
        The core took a step.
    expired : Out(1)
        Pulse: too many; the count begins again.
    """

    def __init__(self):
        super().__init__(
            {
                "limit": In(32),
                "running": In(1),
                "awaited": In(1),
                "answered": In(1),
                "advances": In(1),
                "expired": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        left = Signal(32)
        over = Signal()
        was_left = Signal()
        progress = Signal()  # a register: what AXI brings ends here
        again = Signal()
        m.d.sync += progress.eq(self.answered | (~self.awaited & self.advances))
        m.d.comb += [
            over.eq(left == 0),
            again.eq(~self.running | progress | self.expired),
            self.expired.eq(over & was_left),
        ]
        m.d.sync += was_left.eq(~over & ~again)
        with m.If(again):
            m.d.sync += left.eq(self.limit)
        with m.Elif(~over):
            m.d.sync += left.eq(left - 1)
        return m
