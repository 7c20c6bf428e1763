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
    limit : In(32), written : In(1)
        Cycles without an answer, or without a step, that are too many; 0: never. Pulse: from the next cycle on there is
        another limit.
    running : In(1)
        A job runs.
    awaited, answered : In(1)
        Something is offered to memory or asked of it; it took something, or gave something.
    advances : In(1)
        The core took a step.
    expired : Out(1)
        Pulse: too many. The count begins again.
    """

    def __init__(self):
        super().__init__(
            {
                "limit": In(32),
                "written": In(1),
                "running": In(1),
                "awaited": In(1),
                "answered": In(1),
                "advances": In(1),
                "expired": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cycles = Signal(32)
        progress = Signal()  # a register: what AXI brings ends here
        enabled = Signal()
        again = Signal()
        m.d.sync += [
            progress.eq(self.answered | (~self.awaited & self.advances)),
            enabled.eq((self.limit != 0) & ~self.written),
        ]
        m.d.comb += again.eq(~self.running | progress | self.written | self.expired)
        # Equal, not more: that takes a third, and the limit never falls below the count.
        m.d.sync += self.expired.eq(enabled & (cycles == self.limit) & ~again)
        with m.If(again):
            m.d.sync += cycles.eq(0)
        with m.Else():
            m.d.sync += cycles.eq(cycles + 1)
        return m
