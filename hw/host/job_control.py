"""Begins and ends jobs: the one place that knows how a job is abandoned."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.host.registers import ErrorCause


class JobControl(wiring.Component):
    """Start, end, error and reset of a job, around a core that may be reset at any time.

    A job that ends well leaves the core as it is. A job that ends with an error, and one that the host resets, is
    abandoned in one way: the memory adapter asks for nothing more and swallows what was asked for, for AXI transfers
    cannot be called back; meanwhile the core is reset, and the next job finds it as after power-up. Nobody waits for
    those transfers but the next job: it begins when they have ended, so that none of them is its own. With a memory
    that never ends them it ends with a cause itself.

    A result record is written, if enabled, when a job has ended either way, unless a line of an earlier one is still
    under way; the host's reset leaves none, and no `done`. It comes too late for that where the record's number is on
    its way: AXI cannot take that back, and the job counts.

    `core_start` comes in the cycle after `start`, if no transfer is left. Without a record `done` follows the core's by
    2 cycles.

    `core_reset` is a register and resets thousands of others without a gate between them. Our own reset sets it beside
    `memory_stop`, and both outlast that by one cycle: the core is reset a cycle behind everything else, and nothing
    that it asks for in this cycle is heard.

    Members
    -------
    start, reset : In(1)
        Pulses from the host; `start` only while not `busy`.
    core_start, core_reset : Out(1)
        To the core.
    core_done : In(1), core_error : In(ErrorCause)
        State of the core; low in the cycle after `core_start`. Without an error no read is under way then, and all
        errors of memory have come.
    core_descriptors : In(16), core_cycles : In(32)
        What the core has counted.
    memory_error, memory_idle : In(1), memory_stop : Out(1)
        The memory adapter, see `AxiMemory`.
    expired, awaited : In(1)
        Pulse: the job stands still; whether memory is to blame, see `Watchdog`.
    record : In(1), record_start, record_stop : Out(1), record_last, record_done, record_error, record_idle : In(1)
        Whether a result record is wanted, and its writer, see `ResultWriter`; `record_error` comes with `record_done`.
    busy, done : Out(1), error : Out(ErrorCause)
        State of the job.
    ended : Out(1)
        Pulse in the first cycle that is not `busy`: a job has ended.
    descriptors : Out(16), cycles : Out(32), jobs : Out(32)
        The core's counts, kept beyond its reset; jobs ended, the present one counted from `record_last` on.
    """

    def __init__(self):
        super().__init__(
            {
                "start": In(1),
                "reset": In(1),
                "core_start": Out(1),
                "core_reset": Out(1, init=1),
                "core_done": In(1),
                "core_error": In(ErrorCause),
                "core_descriptors": In(16),
                "core_cycles": In(32),
                "memory_error": In(1),
                "memory_idle": In(1),
                "memory_stop": Out(1, init=1),
                "expired": In(1),
                "awaited": In(1),
                "record": In(1),
                "record_start": Out(1),
                "record_stop": Out(1),
                "record_last": In(1),
                "record_done": In(1),
                "record_error": In(1),
                "record_idle": In(1),
                "busy": Out(1),
                "done": Out(1),
                "error": Out(ErrorCause),
                "ended": Out(1),
                "descriptors": Out(16),
                "cycles": Out(32),
                "jobs": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        abandoned = Signal()  # by the host: leave no trace of this job
        counts = Signal()  # this job, among those that have ended
        numbered = Signal()  # its record has its number: it has been counted
        quiet = Signal()  # no transfer of an abandoned job is left
        m.d.comb += quiet.eq(~self.memory_stop & self.record_idle)
        m.d.sync += [self.ended.eq(0), self.core_start.eq(0), self.core_reset.eq(0)]
        m.d.sync += self.jobs.eq(self.jobs + (counts | self.record_last))
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.reset):
                    m.next = "STOP"
                with m.Elif(self.start):
                    m.d.sync += [self.core_start.eq(quiet), self.done.eq(0), self.error.eq(ErrorCause.NONE)]
                    with m.If(quiet):
                        m.next = "RUN"
                    with m.Else():
                        m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += [self.descriptors.eq(0), self.cycles.eq(0)]
                with m.If(self.reset):
                    m.next = "STOP"
                with m.Elif(quiet):
                    m.d.sync += self.core_start.eq(1)
                    m.next = "RUN"
                with m.Elif(self.expired):
                    m.d.sync += self.error.eq(ErrorCause.MEMORY_TIMEOUT)
                    m.next = "END"
            with m.State("RUN"):
                m.d.sync += [self.descriptors.eq(self.core_descriptors), self.cycles.eq(self.core_cycles)]
                with m.If(self.reset):
                    m.next = "STOP"
                with m.Elif(self.memory_error):
                    m.d.sync += self.error.eq(ErrorCause.MEMORY_ERROR)
                    m.next = "STOP"
                with m.Elif(self.core_done & ~self.core_start):
                    m.d.sync += self.error.eq(self.core_error)
                    with m.If(self.core_error != ErrorCause.NONE):
                        m.next = "STOP"
                    with m.Else():
                        m.next = "END"
                with m.Elif(self.expired):
                    m.d.sync += self.error.eq(Mux(self.awaited, ErrorCause.MEMORY_TIMEOUT, ErrorCause.STALLED))
                    m.next = "STOP"
            with m.State("STOP"), m.If(self.memory_stop):
                m.d.sync += self.core_reset.eq(1)
                m.next = "RESET"
            with m.State("RESET"):
                m.next = "END"
            with m.State("END"):
                m.d.sync += numbered.eq(0)
                with m.If(abandoned):
                    m.d.sync += [
                        abandoned.eq(0), self.done.eq(0), self.error.eq(ErrorCause.NONE),
                        self.descriptors.eq(0), self.cycles.eq(0),
                    ]  # fmt: skip
                    m.next = "IDLE"
                with m.Elif(self.reset):
                    m.next = "STOP"
                with m.Elif(self.record & self.record_idle):
                    m.d.comb += self.record_start.eq(1)
                    m.next = "RECORD"
                with m.Else():
                    m.d.comb += counts.eq(1)
                    m.d.sync += [self.done.eq(1), self.ended.eq(1)]
                    m.next = "IDLE"
            with m.State("RECORD"):
                m.d.sync += numbered.eq(numbered | self.record_last)
                m.d.comb += self.record_stop.eq(self.reset | self.expired)
                with m.If(self.reset):
                    m.next = "STOP"
                with m.Elif(self.record_done | self.expired):
                    m.d.comb += counts.eq(self.expired & ~numbered)
                    with m.If((self.record_error | self.expired) & (self.error == ErrorCause.NONE)):
                        m.d.sync += self.error.eq(Mux(self.expired, ErrorCause.MEMORY_TIMEOUT, ErrorCause.RESULT_ERROR))
                    m.d.sync += [self.done.eq(1), self.ended.eq(1)]
                    m.next = "IDLE"
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            # A register, like start and reset: they go far.
            m.d.sync += self.memory_stop.eq(fsm.ongoing("STOP") | (self.memory_stop & ~self.memory_idle))
        with m.If(self.reset & ~(abandoned & fsm.ongoing("END"))):
            m.d.sync += abandoned.eq(1)
        return m
