"""K^T V of the attention engine: counts by AND and popcount, a channel of K with some columns of V at a time."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.attention.geometry import TABLE_CHANNELS, AttentionGeometry
from hw.attention.job import job_layout
from hw.attention.popcount import and_popcount, popcount_latency
from hw.attention.token_memory import AttentionMemory
from hw.config import HardwareConfig
from hw.parts.delay import delayed

SETS_AHEAD = 2
"""Sets of columns whose tables exist at a time: one is used, one is made."""


class KeyValueCounts(wiring.Component):
    """Counts at how many tokens channel i of K and channel j of V both fire, for all time steps at once.

    Columns j come in sets of `attention_columns`. For each set, for each channel i, for each column of the set, for
    each chunk of tokens: a step, one word of K and one of V per cycle. The counts of a channel and a set are a *row*.

    A set starts in the cycle after one that is idle and finds less than `SETS_AHEAD` sets in use. A row follows its
    forerunner by at least as many cycles as that takes to enter its table, ``2**(i % 4)`` for channel i: its last step
    is withheld for the rest. (Rows are that short only if there are few columns and a single chunk of tokens.)

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    begin : In(1)
        A job begins; `job` is stable from now on.
    job : In(job_layout(config))
        The job.
    freed : In(1)
        The oldest set is no longer in use.
    read : Out(1), key_channel, value_channel, chunk : Out
        Word read from `AttentionMemory`.
    key, value : In(word_bits)
        Its words, `AttentionMemory.latency` cycles later.
    row : Out(ArrayLayout(ArrayLayout(unsigned(attention_planes), columns), timesteps))
        The latest row, from the cycle after `row_valid` on.
    row_valid : Out(1)
        A row is complete, `counts_latency` cycles after its last step.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        geometry = AttentionGeometry(config)
        counts = data.ArrayLayout(unsigned(config.attention_planes), config.attention_columns)
        super().__init__(
            {
                "begin": In(1),
                "job": In(job_layout(config)),
                "freed": In(1),
                "read": Out(1),
                "key_channel": Out(unsigned(geometry.channel_bits)),
                "value_channel": Out(unsigned(geometry.channel_bits)),
                "chunk": Out(unsigned(geometry.chunk_bits)),
                "key": In(unsigned(geometry.word_bits)),
                "value": In(unsigned(geometry.word_bits)),
                "row": Out(data.ArrayLayout(counts, config.timesteps)),
                "row_valid": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        chunk_end, row_end = self._walk(m)
        arriving = AttentionMemory.latency + popcount_latency(config.chunk_tokens)
        first = delayed(m, self.chunk == 0, arriving, name="first")
        arrived = delayed(m, self.read, arriving, name="arrived", reset=True)
        counted = delayed(m, self.read & chunk_end, arriving + 1, name="counted", reset=True)
        for t in range(config.timesteps):
            a, b = (word.word_select(t, config.chunk_tokens) for word in (self.key, self.value))
            count, _ = and_popcount(m, a, b, name=f"step{t}")
            total = Signal(config.attention_planes, name=f"total{t}", reset_less=True)
            with m.If(arrived):
                m.d.sync += total.eq(count + Mux(first, 0, total))
            counts = Signal(config.attention_columns * len(total), name=f"counts{t}", reset_less=True)
            with m.If(counted):
                m.d.sync += counts.eq(Cat(counts[len(total) :], total))
            # A copy, for the next row's counts come while this one enters its table.
            with m.If(self.row_valid):
                m.d.sync += self.row[t].as_value().eq(counts)
        m.d.comb += self.row_valid.eq(delayed(m, row_end, counts_latency(config), name="row_end", reset=True))
        return m

    def _walk(self, m: Module) -> tuple[Signal, Signal]:
        """Walk the steps; returns whether this cycle's is the last one of its chunks, and that of its row."""
        config, job = self._config, self.job
        columns = config.attention_columns
        active = Signal()
        left = Signal()
        in_use = Signal(range(SETS_AHEAD + 1))
        column = Signal(range(max(2, columns)))
        channel = Signal.like(self.key_channel)
        index = Signal.like(job.last_set)
        longest = 1 << TABLE_CHANNELS - 1
        waited = Signal(range(longest), init=longest - 1)
        time_is_up = Signal()
        chunk_end = Signal()
        row_end = Signal()
        set_end = Signal()
        enters = Signal()
        last_column = Signal()
        last_channel = Signal()
        m.d.comb += [
            chunk_end.eq(self.chunk == job.last_chunk),
            last_column.eq(column == columns - 1),
            last_channel.eq(channel == job.last_channel),
            row_end.eq(active & chunk_end & last_column & time_is_up),
            set_end.eq(row_end & last_channel),
            self.read.eq(active & (time_is_up | ~(chunk_end & last_column))),
            self.key_channel.eq(channel),
            self.value_channel.eq(Cat(column[: exact_log2(columns)], index)),
            enters.eq(~active & left & (in_use != SETS_AHEAD)),
            # The row before was channel - 1, modulo the channels of a table.
            time_is_up.eq((Cat(waited, 0) + 1) >> ((channel - 1)[: exact_log2(TABLE_CHANNELS)]) != 0),
        ]
        with m.If(row_end):
            m.d.sync += waited.eq(0)
        with m.Elif(~waited.all()):
            m.d.sync += waited.eq(waited + 1)
        with m.If(self.read):
            m.d.sync += self.chunk.eq(Mux(chunk_end, 0, self.chunk + 1))
            with m.If(chunk_end):
                m.d.sync += column.eq(Mux(last_column, 0, column + 1))
        with m.If(row_end):
            m.d.sync += channel.eq(Mux(last_channel, 0, channel + 1))
        with m.If(set_end):
            m.d.sync += [active.eq(0), index.eq(index + 1), left.eq(index != job.last_set)]
        with m.If(enters):
            m.d.sync += active.eq(1)
        m.d.sync += in_use.eq(in_use + enters - self.freed)
        with m.If(self.begin):
            m.d.sync += [left.eq(1), index.eq(0)]
        return chunk_end, row_end


def counts_latency(config: HardwareConfig) -> int:
    """Cycles from a row's last step to the `row_valid`: memory, popcount, sum over chunks, collection."""
    return AttentionMemory.latency + popcount_latency(config.chunk_tokens) + 2
