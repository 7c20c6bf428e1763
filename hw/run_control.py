"""A job from its start to its END, or to an error."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.counters import FILING_CYCLES
from hw.host.registers import ErrorCause


class RunControl(wiring.Component):
    """Knows whether a job runs, and says when it is done and why.

    Members
    -------
    start : In(1)
        Begins a job; only while not `busy`.
    ended : In(1)
        Pulse: the program has come to its END, and every engine has finished.
    failed : In(1), cause : In(ErrorCause)
        Pulse, and the cause in its cycle: the program is none.
    reader_idle : In(1), intact : In(1)
        All of the program has come; it ended with its CRC-32.
    running : Out(1)
        From the cycle after `start` to END or error.
    busy : Out(1)
        Until `done`: the last counts are filed `FILING_CYCLES` after END, and what follows the END may still be on its
        way.
    done : Out(1), error : Out(ErrorCause)
        The last job has ended, and why if not by the END of an intact program.
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "ended": In(1),
                "failed": In(1),
                "cause": In(ErrorCause),
                "reader_idle": In(1),
                "intact": In(1),
                "running": Out(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(ErrorCause),
            }
        )

    def elaborate(self, platform):
        m = Module()
        filing = Signal(range(FILING_CYCLES + 1))  # cycles left
        with m.If(self.start):
            m.d.sync += [self.running.eq(1), self.done.eq(0), self.error.eq(0), filing.eq(0)]
        with m.Elif(self.running & self.failed):
            m.d.sync += [self.running.eq(0), self.done.eq(1), self.error.eq(self.cause)]
        with m.Elif(self.running & self.ended):
            m.d.sync += [self.running.eq(0), filing.eq(FILING_CYCLES)]
        with m.Elif((filing != 0) & ((filing != 1) | self.reader_idle)):
            m.d.sync += [filing.eq(filing - 1), self.done.eq(filing == 1)]
            with m.If((filing == 1) & ~self.intact):
                m.d.sync += self.error.eq(ErrorCause.PROGRAM_CRC)
        m.d.comb += self.busy.eq(self.running | (filing != 0))
        return m
