"""The result record: what a job came to, in external memory, where a host can wait for it."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.external.axi import Axi4Write, hand_on
from hw.external.axi_line_writer import LINE_ADDRESS_BITS, LINE_BYTES, AxiWrite
from hw.host.registers import RECORD_LINE_WORDS, ErrorCause, Record
from hw.integers import ceil_div

assert LINE_BYTES == 4 * RECORD_LINE_WORDS


def record_lines(max_classes: int) -> int:
    """Lines of a record: one of `hw.host.registers.Record`, and the logits."""
    return 1 + ceil_div(max_classes, RECORD_LINE_WORDS)


class ResultWriter(wiring.Component):
    """Writes the lines of a record, the logits first; the line with the job's number when those have arrived.

    The number is in the last beat: with it the record is complete.

    A word every second cycle; beside the memory's answers a record takes about 40 cycles per line.

    `stop` lets the line under way end, for AXI cannot take it back, and begins no other. What is left of the line
    writes nothing: so no number comes behind words of a job that is gone.

    Parameters
    ----------
    config : HardwareConfig
        Number of logits, width of a beat.

    Members
    -------
    start : In(1), line : In(34)
        Writes a record from this line on.
    stop : In(1)
        Write nothing more of this record, but for a beat on offer.
    prediction, cycles, descriptors, jobs : In(32), error : In(ErrorCause)
        Its words; stable until `done` or `stop`, `jobs` from the cycle after `last` on.
    logit_index : Out, logit : In(signed(32))
        Reads a logit, one cycle of latency.
    last : Out(1)
        Pulse: the number follows, and the record will be complete.
    done, failed : Out(1)
        Pulse: the record is complete, or stopped; a part of it was answered with an error.
    busy : Out(1)
        From the cycle after `start` to `done` or `stop`: `logit_index` is in use.
    idle : Out(1)
        Nothing is under way.
    awaited, answered : Out(1)
        Memory, see `AxiWrite`.
    axi : Out(Axi4Write(memory_bits))
        To memory.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "line": In(LINE_ADDRESS_BITS),
                "stop": In(1),
                "prediction": In(32),
                "cycles": In(32),
                "descriptors": In(32),
                "jobs": In(32),
                "error": In(ErrorCause),
                "logit_index": Out(range(config.max_classes)),
                "logit": In(signed(32)),
                "last": Out(1),
                "done": Out(1),
                "failed": Out(1),
                "busy": Out(1),
                "idle": Out(1),
                "awaited": Out(1),
                "answered": Out(1),
                "axi": Out(Axi4Write(config.memory_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.writer = writer = AxiWrite(config.memory_bits)
        hand_on(m, self.axi, writer.axi)

        lines, per_beat = record_lines(config.max_classes), config.memory_bits // 32
        line = Signal(range(lines))
        word = Signal(range(RECORD_LINE_WORDS))
        value = Signal(32)
        index = Signal(range(lines * RECORD_LINE_WORDS))
        header = {
            Record.PREDICTION: self.prediction, Record.CYCLES: self.cycles, Record.ERROR: self.error,
            Record.DESCRIPTORS: self.descriptors, Record.JOB: self.jobs,
        }  # fmt: skip
        m.d.comb += [
            index.eq((line - 1) * RECORD_LINE_WORDS + word),
            self.logit_index.eq(index),
            writer.line.eq(self.line + line),
        ]
        with m.If(line != 0), m.If(index < config.max_classes):
            m.d.comb += value.eq(self.logit)
        with m.Else(), m.Switch(word):
            for place, content in header.items():
                with m.Case(place):
                    m.d.comb += value.eq(content)

        beat = writer.data.payload
        failed = Signal()
        gathered = Signal(config.memory_bits)
        stopped = Signal()
        stops = Signal()
        m.d.comb += [
            beat.eq(gathered),
            self.failed.eq(failed | writer.error),
            stops.eq(stopped | self.stop),
            self.awaited.eq(writer.awaited),
            self.answered.eq(writer.answered),
        ]
        m.d.sync += stopped.eq(stops)
        with m.FSM() as fsm:
            with m.State("IDLE"), m.If(self.start):
                m.d.sync += [line.eq(lines - 1), failed.eq(0), stopped.eq(0)]
                m.next = "LINE"
            with m.State("LINE"):
                m.d.sync += word.eq(0)
                with m.If(stops):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.comb += writer.start.eq(1)
                    m.next = "READ"
            with m.State("READ"):
                with m.If(word % per_beat == per_beat - 1):
                    m.d.sync += writer.enable.eq(~stops)
                m.d.comb += self.last.eq((line == 0) & (word == Record.JOB) & ~stops)
                m.next = "WORD"
            with m.State("WORD"):
                m.d.sync += [gathered.eq(Cat(gathered, value)[32:]), word.eq(word + 1)]
                with m.If(word % per_beat == per_beat - 1):
                    m.next = "BEAT"
                with m.Else():
                    m.next = "READ"
            with m.State("BEAT"):
                m.d.comb += writer.data.valid.eq(1)
                with m.If(writer.data.ready & (word == 0)):
                    m.next = "ANSWER"
                with m.Elif(writer.data.ready):
                    m.next = "READ"
            with m.State("ANSWER"), m.If(writer.done):
                m.d.sync += [failed.eq(self.failed), line.eq(line - 1)]
                with m.If(line == 0):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "LINE"
            m.d.comb += [self.idle.eq(fsm.ongoing("IDLE")), self.busy.eq(~self.idle & ~stopped)]
        return m
