"""Spiking self-attention without multipliers: K^T V, then Q (K^T V), by AND and popcount."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .attention_geometry import AttentionGeometry
from .attention_memory import AttentionMemory, TokenWrite
from .attention_output import AttentionOutput
from .attention_planes import PlaneTransposer
from .attention_query import QueryBuffer
from .attention_sequencer import AttentionSequencer
from .attention_steps import STEP_LAYOUT
from .config import HardwareConfig
from .delay import delayed
from .lif import Lif, lif_latency
from .popcount import AndPopcount, and_popcount_latency
from .spike_memory import SpikeWrite, address_bits

READ_LATENCY = 2
"""Cycles from a step to its words at the popcounters: block RAM and its output register."""

_SIZES = ("heads", "head_channels", "chunks", "groups", "planes")


class Attention(wiring.Component):
    """Spiking self-attention of one layer (Spikformer, section 3.3), all time steps at once.

    The product has no softmax in it, so ``K^T V`` comes first: per head, entry ``[i, j]`` counts the tokens at which
    key channel i and value channel j both fire. ``A[n, j]`` sums the entries at which query channel i of token n
    fires: per bit-plane of K^T V another popcount of an AND, so the same popcounters do both. Then the attention
    neuron fires over the time steps of ``A`` and its spikes go to the spike memory.

    Each cycle compares one word of V (K^T V) or Q (Q (K^T V)) with `attention_columns` words. K^T V of a head takes
    ``d * d / columns * chunks`` cycles, Q (K^T V) ``groups * positions * d / columns * ceil(d / segment) *
    plane_words`` with ``plane_words = ceil(planes * segment / chunk_tokens)``; `golden.attention_cycles` gives the
    exact count. Nothing in it depends on data.

    Protocol: write K and V of all heads; `start` at least one cycle after the last of these writes, while not
    `busy`; no token is written while `busy`. Bits of K or of V beyond the last token must be 0. In the last group
    positions beyond the last token are computed and written too.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    token_write : In(TokenWrite(config))
        K and V, one word per cycle, always accepted.
    start : In(1)
        Begin.
    busy : Out(1)
        From the cycle after `start` to the one before `done`.
    done : Out(1)
        High for one cycle, after the last write.
    heads : In(6)
        Number of heads, h.
    head_channels : In(10)
        Channels of a head, d: a multiple of `inputs`, at most the configuration's.
    chunks : In(8)
        Position tiles, ``ceil(tokens / chunk_tokens)``.
    groups : In(17)
        Position groups, ``ceil(tokens / positions)``.
    planes : In(4)
        Bits of a K^T V entry, ``tokens.bit_length()``, 1 to `attention_planes`.
    threshold : In(current_bits + timesteps - 1)
        Threshold of the attention neuron as in `Lif`, not negative: ``2**T * theta / scale``. The sizes above are
        sampled at `start`; this and the addresses stay stable until `done`.
    query_base, query_stride, output_base, output_stride : In(address bits)
        Word of slice k, group g of Q, and of the output: ``base + k * stride + g``.
    read_address : Out(address bits), read_data : In(group_bits)
        Spike memory's read port, all banks at one address, one cycle of latency.
    write : Out(SpikeWrite)
        Spike memory's write port; one position's bank per write.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        self._geometry = geometry = AttentionGeometry(config)
        bits = self._address_bits = address_bits(config.spike_words)
        super().__init__(
            {
                "token_write": In(TokenWrite(config)),
                "start": In(1),
                "busy": Out(1),
                "done": Out(1),
                "heads": In(6),
                "head_channels": In(10),
                "chunks": In(8),
                "groups": In(17),
                "planes": In(4),
                "threshold": In(unsigned(geometry.current_bits + config.timesteps - 1)),
                "query_base": In(unsigned(bits)),
                "query_stride": In(unsigned(bits)),
                "output_base": In(unsigned(bits)),
                "output_stride": In(unsigned(bits)),
                "read_address": Out(unsigned(bits)),
                "read_data": In(unsigned(config.group_bits)),
                "write": Out(SpikeWrite(config, bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.sequencer = sequencer = AttentionSequencer(config)
        m.submodules.memory = memory = AttentionMemory(config)
        m.submodules.transposer = transposer = PlaneTransposer(config)
        m.submodules.query = query = QueryBuffer(config, self._address_bits)
        m.submodules.output = output = AttentionOutput(config, self._address_bits)
        connect(m, flipped(self.token_write), memory.token_write)
        connect(m, output.write, flipped(self.write))
        m.d.comb += [
            sequencer.start.eq(self.start),
            *(getattr(sequencer, name).eq(getattr(self, name)) for name in _SIZES),
            sequencer.written.eq(transposer.written),
            sequencer.query_full.eq(query.full),
            memory.bank_read.eq(sequencer.step.valid),
            memory.value_read.eq(sequencer.step.valid & ~sequencer.step.query),
            memory.bank_address.eq(sequencer.bank_address),
            memory.value_address.eq(sequencer.value_address),
            memory.plane_write.eq(transposer.write),
            memory.plane_bank.eq(transposer.bank),
            memory.plane_address.eq(transposer.address),
            memory.plane_word.eq(transposer.word),
            query.start.eq(self.start),
            query.base.eq(self.query_base),
            query.stride.eq(self.query_stride),
            query.read_data.eq(self.read_data),
            query.take.eq(sequencer.query_take),
            query.lane.eq(sequencer.lane),
            query.segment.eq(sequencer.segment),
            self.read_address.eq(query.read_address),
            output.start.eq(self.start),
            output.base.eq(self.output_base),
            output.stride.eq(self.output_stride),
            transposer.plane_words.eq(sequencer.limits.plane_words),
            self.busy.eq(output.busy),
            self.done.eq(output.done),
        ]
        for walker in (query, output):
            m.d.comb += [
                walker.last_head.eq(sequencer.limits.head),
                walker.last_group.eq(sequencer.limits.group),
                walker.last_slice.eq(sequencer.limits.slice),
            ]
        step, sums = self._accumulate(m, sequencer.step, query.query, memory)
        complete = Signal()
        m.d.comb += [
            complete.eq(step.valid & step.last),
            transposer.valid.eq(complete & ~step.query),
            transposer.segment_end.eq(step.segment_end),
            transposer.column_end.eq(step.column_end),
            transposer.head_end.eq(step.head_end),
            *(count.eq(total) for count, total in zip(transposer.counts, sums, strict=True)),
            output.valid.eq(delayed(m, complete & step.query, lif_latency(config.timesteps), name="fired", reset=True)),
        ]
        for column in range(config.attention_columns):
            m.submodules[f"lif{column}"] = lif = Lif(config.timesteps, self._geometry.current_bits)
            m.d.comb += [
                lif.threshold.eq(self.threshold),
                *(lif.current[t].eq(sums[column * config.timesteps + t]) for t in range(config.timesteps)),
                output.spikes[column].eq(lif.spikes),
            ]
        return m

    def _accumulate(
        self, m: Module, step: data.View, query: Signal, memory: AttentionMemory
    ) -> tuple[data.View, list[Signal]]:
        """Popcounters and accumulators; returns the step whose sums they hold and the sums, [columns][timesteps]."""
        config, segments = self._config, self._geometry.segments
        columns, timesteps, segment = config.attention_columns, config.timesteps, config.attention_segment
        m.submodules.popcount = popcount = AndPopcount(columns, timesteps, segments, segment)
        steps = [step]
        for cycle in range(1, step_latency(config) + 1):
            register = Signal(STEP_LAYOUT, name=f"step_{cycle}")
            m.d.sync += register.eq(steps[-1])
            steps.append(register)
        planes_of_query = Cat(query.word_select(t, segment).replicate(segments) for t in range(timesteps))
        m.d.sync += popcount.shared.eq(Mux(steps[READ_LATENCY - 1].query, planes_of_query, memory.value_word))
        m.d.comb += [
            popcount.words.eq(memory.bank_words),
            popcount.weighted.eq(steps[READ_LATENCY].query),
        ]
        arriving = steps[READ_LATENCY + popcount.latency]
        sums = []
        for lane in range(columns * timesteps):
            total = Signal(self._geometry.sum_bits, name=f"sum_{lane}", reset_less=True)
            kept = Signal.like(total, name=f"kept_{lane}")
            m.d.comb += kept.eq(Mux(arriving.first, 0, Mux(arriving.raise_planes, total << segments, total)))
            # The plain register first: synthesis feeds it to the carry chain and `kept` into the chain's LUT.
            m.d.sync += total.eq(popcount.sums[lane] + kept)
            sums.append(total)
        return steps[-1], sums


def step_latency(config: HardwareConfig) -> int:
    """Cycles from a step to its sums in the accumulators: memory, popcount, addition."""
    popcount = and_popcount_latency(AttentionGeometry(config).segments, config.attention_segment)
    return READ_LATENCY + popcount + 1
