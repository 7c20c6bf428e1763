"""Spiking self-attention without multipliers: K^T V by AND and popcount, then Q (K^T V) by tables of subset sums."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from hw.attention.counts import SETS_AHEAD, KeyValueCounts
from hw.attention.geometry import SHORTEST_TOKEN, AttentionGeometry, job_layout
from hw.attention.membranes import AttentionMembranes
from hw.attention.output import DONE_LATENCY, WRITE_LATENCY, AttentionOutput
from hw.attention.query import QueryBuffer
from hw.attention.sums import SUMS_LATENCY, TOKENS_APART, AttentionSums
from hw.attention.tables import LOOKUP_LATENCY, SubsetTables
from hw.attention.token_memory import AttentionMemory
from hw.attention.token_write import TokenWrite
from hw.config import HardwareConfig
from hw.memory.spike_memory import SpikeWrite, address_bits
from hw.parts.adder_tree import tree_sum
from hw.parts.delay import delayed
from hw.parts.technology import Technology


class Attention(wiring.Component):
    """Spiking self-attention of one head (Spikformer, section 3.3), all time steps at once.

    The product has no softmax in it, so ``K^T V`` comes first: entry ``[i, j]`` counts the tokens at which key channel
    i and value channel j both fire. ``A[n, j]`` sums the entries at which query channel i of token n fires, four
    channels by one look-up in a table of all their subset sums, and `attention_tables` look-ups in a cycle. Then the
    attention neuron fires over the time steps of ``A`` and its spikes go to the spike memory.

    Columns j are worked on in sets of `attention_columns`. For a set, K^T V takes ``head_channels * columns * chunks``
    cycles, one word of K and of V per cycle; Q (K^T V) takes ``groups * positions * steps``, with ``steps =
    ceil(head_channels / (4 * attention_tables))``. The two work side by side, K^T V a set ahead.
    `golden.cycles.attention` gives the exact count, in which nothing depends on data.

    A job of several time chunks is made in as many rounds, each of which begins when the one before is complete. The
    chunks of a position group lie side by side in the spike memory.

    Protocol: write K and V of a head into a buffer; `start` at least one cycle after the last of these writes, while
    not `busy`. The job's own buffer is not written while `busy`, the other one may be. Bits of K or of V beyond the
    last token must be 0. In the last group positions beyond the last token are computed and written too.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    technology : Technology
        What its sums are made of.

    Members
    -------
    token_write : In(TokenWrite(config))
        K and V, one word per cycle, always accepted.
    start : In(1)
        Begin. All of the following up to the strides are sampled in this cycle.
    head_channels : In(10)
        Channels of the head, d: a multiple of `inputs`, at most the configuration's.
    chunks : In(8)
        Position tiles, ``ceil(tokens / chunk_tokens)``.
    groups : In(17)
        Position groups, ``ceil(tokens / positions)``.
    threshold : In(threshold_bits)
        Threshold of the attention neuron as in `hw.neurons.lif.Lif`, not negative: ``2**T * theta / scale``.
    token_buffer : In(1)
        Buffer of K and V.
    query_base, query_stride, output_base, output_stride : In(address bits)
        Word of slice k, group g of the head's Q, and of its output: ``base + k * stride + g``; with several time
        chunks of chunk c ``base + k * stride + g * time_chunks + c``.
    time_chunks : In
        Only in a machine of several: those of the job; sampled like the others.
    busy : Out(1)
        From the cycle after `start` to the one before `done`.
    done : Out(1)
        High for one cycle, after the last write.
    read_address : Out(address bits), read_data : In(group_bits)
        Spike memory's read port, all banks at one address, one cycle of latency.
    write : Out(SpikeWrite), write_ready : In(1)
        Spike memory's write port; one position's bank per write. A write is held until ready, which must not be low
        for two cycles in a row while it is; `done` and all else come when they come without.
    fired : Out
        Number of spikes that the neurons fire in this cycle; all of a job while it is `busy`.
    """

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        self._step_channels = AttentionGeometry(config).step_channels
        address = unsigned(address_bits(config.spike_words))
        chunked = {"time_chunks": In(range(config.time_chunks + 1))} if config.time_chunks > 1 else {}
        super().__init__(
            {
                "token_write": In(TokenWrite(config)),
                "start": In(1),
                "head_channels": In(10),
                "chunks": In(8),
                "groups": In(17),
                "threshold": In(unsigned(AttentionGeometry(config).threshold_bits)),
                "token_buffer": In(1),
                "query_base": In(address),
                "query_stride": In(address),
                "output_base": In(address),
                "output_stride": In(address),
                "busy": Out(1),
                "done": Out(1),
                "read_address": Out(address),
                "read_data": In(unsigned(config.group_bits)),
                "write": Out(SpikeWrite(config, address_bits(config.spike_words))),
                "write_ready": In(1),
                "fired": Out(range(config.timesteps * config.attention_columns + 1)),
                **chunked,
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.memory = memory = AttentionMemory(config)
        m.submodules.counts = counts = KeyValueCounts(config)
        m.submodules.tables = tables = SubsetTables(config)
        m.submodules.query = query = QueryBuffer(config)
        m.submodules.sums = sums = AttentionSums(config, technology=self._technology)
        m.submodules.output = output = AttentionOutput(config)
        connect(m, flipped(self.token_write), memory.token_write)
        connect(m, output.write, flipped(self.write))
        again = Signal()
        job, begin = self._sample(m), delayed(m, self.start | again, 1, name="begin", reset=True)
        for part in (counts, tables, query, output):
            m.d.comb += [part.begin.eq(begin), part.job.eq(job)]
        m.d.comb += [
            sums.job.eq(job),
            memory.read.eq(counts.read),
            memory.buffer.eq(job.buffer),
            memory.key_channel.eq(counts.key_channel),
            memory.value_channel.eq(counts.value_channel),
            memory.chunk.eq(counts.chunk),
            counts.key.eq(memory.key),
            counts.value.eq(memory.value),
            tables.row_valid.eq(counts.row_valid),
            tables.row.eq(counts.row),
            sums.entries.eq(tables.entries),
            query.read_data.eq(self.read_data),
            self.read_address.eq(query.read_address),
            output.spikes.eq(sums.spikes),
            output.write_ready.eq(self.write_ready),
        ]
        first, last, fired = self._steps(m, job, begin, counts, tables, query)
        m.d.comb += [
            sums.first.eq(delayed(m, first, LOOKUP_LATENCY, name="first")),
            sums.last.eq(delayed(m, last, LOOKUP_LATENCY, name="last", reset=True)),
            output.valid.eq(delayed(m, fired, LOOKUP_LATENCY + SUMS_LATENCY, name="fired", reset=True)),
        ]
        spikes = tree_sum(m, list(sums.spikes.as_value()), name="spikes_of_a_cycle", registered=False)
        m.d.comb += self.fired.eq(Mux(output.valid, spikes, 0))
        before_done = delayed(m, output.last, WRITE_LATENCY + DONE_LATENCY - 1, name="last_write", reset=True)
        if self._config.time_chunks > 1:
            before_done &= self._rounds(m, job, again, before_done)
            m.d.comb += memory.time_chunk.eq(self._round)
            self._carry(m, begin, first & tables.look_up[0], sums, output)
        m.d.sync += [self.done.eq(before_done), self.busy.eq((self.busy | self.start) & ~before_done)]
        return m

    def _rounds(self, m: Module, job: data.View, again: Signal, before_done: Value) -> Value:
        """Begin the rounds behind the first one; returns whether this is the last one."""
        self._round = Signal(range(self._config.time_chunks))
        last = Signal()
        m.d.comb += last.eq(self._round == job.rounds - 1)
        m.d.sync += again.eq(before_done & ~last)
        with m.If(self.start):
            m.d.sync += self._round.eq(0)
        with m.If(again):
            m.d.sync += [
                self._round.eq(self._round + 1),
                job.query_base.eq(job.query_base + 1),
                job.output_base.eq(job.output_base + 1),
            ]
        return last

    def _carry(
        self, m: Module, begin: Value, begins_token: Value, sums: AttentionSums, output: AttentionOutput
    ) -> None:
        """Membranes of a round are those of the round before."""
        m.submodules.membranes = membranes = AttentionMembranes(self._config)
        m.d.comb += [
            membranes.begin.eq(begin),
            membranes.take.eq(delayed(m, begins_token, LOOKUP_LATENCY + 1, name="begins_token", reset=True)),
            membranes.keep.eq(output.valid),
            membranes.membranes.eq(sums.membranes),
            sums.carried.eq(membranes.carried),
            sums.fresh.eq(self._round == 0),
        ]

    def _sample(self, m: Module) -> data.View:
        """The job's registers; all divisors are powers of two."""
        config = self._config
        job = Signal(job_layout(config))
        with m.If(self.start):
            m.d.sync += [
                job.buffer.eq(self.token_buffer),
                job.last_channel.eq(self.head_channels - 1),
                job.last_set.eq((self.head_channels >> exact_log2(config.attention_columns)) - 1),
                job.last_chunk.eq(self.chunks - 1),
                job.last_group.eq(self.groups - 1),
                job.last_slice.eq((self.head_channels >> exact_log2(config.inputs)) - 1),
                job.last_step.eq((self.head_channels - 1) >> exact_log2(self._step_channels)),
                job.below_threshold.eq(-self.threshold),
                job.query_base.eq(self.query_base),
                job.query_stride.eq(self.query_stride),
                job.output_base.eq(self.output_base),
                job.output_stride.eq(self.output_stride),
            ]
            if config.time_chunks > 1:
                m.d.sync += job.rounds.eq(self.time_chunks)
            with m.If(self.head_channels <= (SHORTEST_TOKEN - 1) * self._step_channels):
                m.d.sync += job.last_step.eq(SHORTEST_TOKEN - 1)
        return job

    def _steps(
        self,
        m: Module,
        job: data.View,
        begin: Value,
        counts: KeyValueCounts,
        tables: SubsetTables,
        query: QueryBuffer,
    ) -> tuple[Value, Value, Value]:
        """Steps of Q (K^T V): all lanes at the same step, each of its own token, `TOKENS_APART` apart.

        Returns whether this step is a token's first, its last, and the last one in the last lane of a token.
        """
        config = self._config
        step = Signal.like(tables.step)
        first = Signal()
        last = Signal()
        ready = Signal(range(SETS_AHEAD + 1))
        half = Signal()
        m.d.comb += [
            first.eq(step == 0),
            last.eq(step == job.last_step),
            query.soon.eq((step == job.last_step - 1) & query.full_next & (ready != 0)),
            query.take.eq(last & query.full & (ready != 0)),
            tables.step.eq(step),
        ]
        set_taken = query.take & query.set_end
        m.d.sync += [step.eq(step + 1), ready.eq(ready + tables.filled - set_taken), half.eq(half ^ set_taken)]
        with m.If(last):
            m.d.sync += step.eq(0)
        with m.If(begin):
            m.d.sync += [step.eq(0), half.eq(0)]

        # A pause of a token's length passes through the lanes like a token.
        valid, of_half, set_end = query.take, half, query.set_end
        waiting = query.token
        for token in range(TOKENS_APART * (config.timesteps - 1) + 1):
            lane = token // TOKENS_APART
            stages = [Signal(name=f"{name}{token}") for name in ("valid", "half", "set_end")]
            # With a reset, for flip-flops: a shift register of LUTs would be larger. A lane's line ends at the lane.
            lines = range(lane + (token % TOKENS_APART > 0), config.timesteps)
            spikes = {t: Signal(config.head_channels, name=f"query{t}_token{token}") for t in lines}
            with m.If(last):
                m.d.sync += [stage.eq(value) for stage, value in zip(stages, (valid, of_half, set_end), strict=True)]
                m.d.sync += [spikes[t].eq(waiting[t]) for t in lines]
            (valid, of_half, set_end), waiting = stages, spikes
            if token % TOKENS_APART == 0:
                m.d.comb += [
                    tables.look_up[lane].eq(valid),
                    tables.half[lane].eq(of_half),
                    tables.spikes[lane].eq(spikes[lane].word_select(step, self._step_channels)),
                ]
        m.d.comb += counts.freed.eq(last & valid & set_end)
        return first, last, last & valid
