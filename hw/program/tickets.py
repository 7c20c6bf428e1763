"""Counts of jobs, and tickets: how many of an engine's jobs must have ended before a descriptor starts."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.descriptor import Wait

ENGINES = ("load", "weights", "attention")
"""The engines that a descriptor may wait for; layers with weights are jobs of the second."""

TICKET_BITS = 4
"""Width of the counts of jobs. At most ``2**(TICKET_BITS - 1)`` are under way, so that a difference has a sign."""

COUNTS = data.StructLayout({engine: unsigned(TICKET_BITS) for engine in ENGINES})
"""Jobs of every engine, modulo ``2**TICKET_BITS``."""

FLAGS = data.StructLayout({engine: unsigned(1) for engine in ENGINES})
"""A bit for every engine."""

ASKED = data.StructLayout(dict.fromkeys(ENGINES, Wait))
"""What a descriptor says that it waits for."""

TICKETS = data.StructLayout({"needed": FLAGS, "count": COUNTS})
"""What a descriptor waits for: whether for an engine at all, and how many of its jobs must have ended."""


def has_ended(ended: Value, ticket: Value) -> Value:
    """Whether so many jobs of an engine have ended, of which `ended` have."""
    return ~(ended - ticket)[TICKET_BITS - 1]


def unmet(tickets: data.View, ended: data.View) -> data.View:
    """The engines that are still waited for.

    Parameters
    ----------
    tickets : View of TICKETS
    ended : View of COUNTS
        Jobs that have ended.

    Returns
    -------
    View of FLAGS
    """
    waits = (tickets.needed[engine] & ~has_ended(ended[engine], tickets.count[engine]) for engine in ENGINES)
    return data.View(FLAGS, Cat(*waits))


class JobCounts(wiring.Component):
    """Counts the jobs dispatched and ended, and writes a descriptor's tickets.

    Members
    -------
    clear : In(1)
        No job is under way from the next cycle on.
    begin, end : In(FLAGS)
        Engines of which a job is dispatched, or ends, in this cycle.
    dispatched, ended : Out(COUNTS)
        Jobs until the cycle before.
    none_under_way : Out(1)
        All that were dispatched have ended.
    asked : In(ASKED), tickets : Out(TICKETS)
        What a descriptor says, and what it means if it is taken in this cycle.
    """

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "begin": In(FLAGS),
                "end": In(FLAGS),
                "dispatched": Out(COUNTS),
                "ended": Out(COUNTS),
                "none_under_way": Out(1),
                "asked": In(ASKED),
                "tickets": Out(TICKETS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for engine in ENGINES:
            dispatched, ended, asked = self.dispatched[engine], self.ended[engine], self.asked[engine]
            with m.If(self.clear):
                m.d.sync += [dispatched.eq(0), ended.eq(0)]
            with m.Else():
                m.d.sync += [
                    dispatched.eq(dispatched + self.begin[engine]),
                    ended.eq(ended + self.end[engine]),
                ]
            m.d.comb += [
                self.tickets.needed[engine].eq(asked != Wait.NONE),
                self.tickets.count[engine].eq(dispatched - (asked == Wait.ALL_BUT_NEWEST)),
            ]
        m.d.comb += self.none_under_way.eq(self.dispatched.as_value() == self.ended.as_value())
        return m
