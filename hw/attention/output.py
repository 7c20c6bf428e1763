"""Output of the attention engine: the neurons' spikes, assembled into words of the spike memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.attention.job import job_layout
from hw.config import HardwareConfig
from hw.memory.spike_memory import SpikeWrite, address_bits
from hw.parts.dual_port import dual_port_memory
from hw.parts.small_multiple import multiple


class AttentionOutput(wiring.Component):
    """Collects the spikes of the sets of columns of a slice; with the last set come the slice's words.

    Spikes come set by set, and in a set token by token, at most every second cycle. Those of all sets but a slice's
    last one wait in block RAM.

    No word whose data is used is read in the cycle in which it is written: reads are enabled while the last set of a
    slice comes, writes while the others do.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    begin : In(1), job : In(job_layout(config))
        A job begins.
    valid : In(1), spikes : In(ArrayLayout(unsigned(columns), timesteps))
        The next token's spikes.
    write : Out(SpikeWrite), write_ready : In(1)
        Write to the spike memory, in the cycle after the spikes, held until ready: not ready for one cycle at a time
        at most.
    last : Out(1)
        The job's last spikes come in this cycle.
    """

    latency = 2
    """Cycles from `last` until nothing is left to be written: the last write, which may be held for one of them."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "begin": In(1),
                "job": In(job_layout(config)),
                "valid": In(1),
                "spikes": In(data.ArrayLayout(unsigned(config.attention_columns), config.timesteps)),
                "write": Out(SpikeWrite(config, address_bits(config.spike_words))),
                "write_ready": In(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job
        columns, timesteps, inputs = config.attention_columns, config.timesteps, config.inputs
        sets = inputs // columns
        part = Signal(range(max(2, sets)))
        index = Signal.like(job.last_slice)
        lane = Signal(range(max(2, config.positions)))
        group = Signal.like(job.last_group)
        base = Signal.like(job.output_base)
        word: Value = group
        if config.time_chunks > 1:
            word = multiple(m, group, job.rounds, config.time_chunks, name="word")
        last_lane = Signal()
        last_token = Signal()
        last_part = Signal()
        m.d.comb += [
            last_lane.eq(lane == config.positions - 1),
            last_token.eq(last_lane & (group == job.last_group)),
            last_part.eq(part == sets - 1),
            self.last.eq(self.valid & last_token & last_part & (index == job.last_slice)),
        ]
        with m.If(self.valid):
            m.d.sync += lane.eq(Mux(last_lane, 0, lane + 1))
            with m.If(last_lane):
                m.d.sync += group.eq(Mux(last_token, 0, group + 1))
            with m.If(last_token):
                m.d.sync += part.eq(Mux(last_part, 0, part + 1))
            with m.If(last_token & last_part):
                m.d.sync += [base.eq(base + job.output_stride), index.eq(index + 1)]
        with m.If(self.begin):
            m.d.sync += [base.eq(job.output_base), index.eq(0)]

        parts = [self.spikes.as_value()]
        if sets > 1:
            token = Cat(lane[: exact_log2(config.positions)], group)
            parts = [*self._wait(m, token, part, last_part), *parts]
        spikes_word = Cat(spikes.word_select(t, columns) for t in range(timesteps) for spikes in parts)
        data_word = Signal(timesteps * inputs, reset_less=True)
        with m.If(self.write_ready):
            m.d.sync += self.write.valid.eq(0)
        with m.If(self.valid & last_part):
            m.d.sync += [
                self.write.valid.eq(1),
                self.write.address.eq(base + word),
                self.write.banks.eq(1 << lane),
                data_word.eq(spikes_word),
            ]
        m.d.comb += [self.write.pieces.eq(~0), self.write.data.eq(data_word.replicate(config.positions))]
        return m

    def _wait(self, m: Module, token: Value, part: Signal, last_part: Signal) -> list[Value]:
        """Spikes of a token of all sets but the last."""
        config = self._config
        size, waiting = config.timesteps * config.attention_columns, config.inputs // config.attention_columns - 1
        read, write = dual_port_memory(
            m, name="waiting", width=size * waiting, depth=1 << len(token), granularity=size, block=True
        )
        m.d.comb += [
            write.addr.eq(token),
            write.data.eq(self.spikes.as_value().replicate(waiting)),
            write.en.eq(Mux(self.valid & ~last_part, 1 << part, 0)),
            read.addr.eq(token),
            read.en.eq(last_part),
        ]
        return [read.data.word_select(k, size) for k in range(waiting)]
