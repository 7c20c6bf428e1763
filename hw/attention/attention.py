"""Spiking self-attention without multipliers: K^T V by AND and popcount, then Q (K^T V) by tables of subset sums."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.attention.counts import KeyValueCounts
from hw.attention.job import AttentionJob, job_members
from hw.attention.membranes import AttentionMembranes
from hw.attention.output import AttentionOutput
from hw.attention.query import QueryBuffer
from hw.attention.sums import AttentionSums
from hw.attention.tables import SubsetTables
from hw.attention.token_lanes import TokenLanes
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
    head_channels : In
        Channels of the head, d: a multiple of `inputs`, at most the configuration's.
    chunks : In
        Position tiles, ``ceil(tokens / chunk_tokens)``.
    groups : In
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
    no_leak : In(1)
        Only with `if_neurons`: the attention neurons do not leak; sampled like the others. The threshold is then
        ``2**(T-1) * theta / scale``.
    busy : Out(1)
        From the cycle after `start` to the one before `done`.
    done : Out(1)
        High for one cycle, after the last write.
    read : Out(1), read_address : Out(address bits), read_data : In(group_bits)
        Spike memory's read port, all banks at one address, one cycle of latency.
    write : Out(SpikeWrite), write_ready : In(1)
        Spike memory's write port; one position's bank per write. A write is held until ready, which must not be low
        for two cycles in a row while it is; `done` and all else come when they come without.
    fired : Out
        Number of spikes that the neurons fire in this cycle; all of a job while it is `busy`.
    """

    latency = SubsetTables.lookup_latency + AttentionSums.latency + AttentionOutput.latency + AttentionJob.latency
    """Cycles from a job's last step of Q (K^T V) to `done`."""

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        super().__init__(
            {
                "token_write": In(TokenWrite(config)),
                "start": In(1),
                **job_members(config),
                "busy": Out(1),
                "done": Out(1),
                "read": Out(1),
                "read_address": Out(address_bits(config.spike_words)),
                "read_data": In(unsigned(config.group_bits)),
                "write": Out(SpikeWrite(config, address_bits(config.spike_words))),
                "write_ready": In(1),
                "fired": Out(range(config.timesteps * config.attention_columns + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.control = control = AttentionJob(config)
        m.submodules.memory = memory = AttentionMemory(config)
        m.submodules.counts = counts = KeyValueCounts(config)
        m.submodules.tables = tables = SubsetTables(config)
        m.submodules.query = query = QueryBuffer(config)
        m.submodules.lanes = lanes = TokenLanes(config)
        m.submodules.sums = sums = AttentionSums(config, technology=self._technology)
        m.submodules.output = output = AttentionOutput(config)
        self._command(m, control, output)
        for part in (counts, tables, query, lanes, output):
            m.d.comb += [part.begin.eq(control.begin), part.job.eq(control.job)]
        m.d.comb += sums.job.eq(control.job)
        self._multiply_key_value(m, control, memory, counts, tables, lanes)
        self._multiply_query(m, query, lanes, tables)
        self._fire(m, lanes, tables, sums, output)
        if config.time_chunks > 1:
            m.submodules.membranes = membranes = AttentionMembranes(config)
            self._carry(m, control, lanes, sums, output, membranes)
        return m

    def _command(self, m: Module, control: AttentionJob, output: AttentionOutput) -> None:
        """The job, from `start` to `done`."""
        m.d.comb += [getattr(control, name).eq(getattr(self, name)) for name in ("start", *job_members(self._config))]
        m.d.comb += [
            control.round_done.eq(delayed(m, output.last, output.latency, name="last_write", reset=True)),
            self.busy.eq(control.busy),
            self.done.eq(control.done),
        ]

    def _multiply_key_value(
        self,
        m: Module,
        control: AttentionJob,
        memory: AttentionMemory,
        counts: KeyValueCounts,
        tables: SubsetTables,
        lanes: TokenLanes,
    ) -> None:
        """K^T V: words of K and V, counts, tables; then the lanes may look them up."""
        connect(m, flipped(self.token_write), memory.token_write)
        m.d.comb += [
            memory.read.eq(counts.read),
            memory.buffer.eq(control.job.buffer),
            memory.key_channel.eq(counts.key_channel),
            memory.value_channel.eq(counts.value_channel),
            memory.chunk.eq(counts.chunk),
            counts.key.eq(memory.key),
            counts.value.eq(memory.value),
            tables.row_valid.eq(counts.row_valid),
            tables.row.eq(counts.row),
            lanes.filled.eq(tables.filled),
            counts.freed.eq(lanes.freed),
        ]
        if self._config.time_chunks > 1:
            m.d.comb += memory.time_chunk.eq(control.round)

    def _multiply_query(self, m: Module, query: QueryBuffer, lanes: TokenLanes, tables: SubsetTables) -> None:
        """Q (K^T V): a token's Q passes through the lanes, whose spikes address the tables."""
        m.d.comb += [
            query.read_data.eq(self.read_data),
            self.read.eq(query.read),
            self.read_address.eq(query.read_address),
            lanes.full.eq(query.full),
            lanes.full_next.eq(query.full_next),
            lanes.set_end.eq(query.set_end),
            lanes.token.eq(query.token),
            query.soon.eq(lanes.soon),
            query.take.eq(lanes.take),
            tables.look_up.eq(lanes.look_up),
            tables.half.eq(lanes.half),
            tables.step.eq(lanes.step),
            tables.spikes.eq(lanes.spikes),
        ]

    def _fire(
        self, m: Module, lanes: TokenLanes, tables: SubsetTables, sums: AttentionSums, output: AttentionOutput
    ) -> None:
        """What was looked up is summed and fires; the spikes are written."""
        connect(m, output.write, flipped(self.write))
        fires_in = tables.lookup_latency + sums.latency
        spikes = tree_sum(m, list(sums.spikes.as_value()), name="spikes_of_a_cycle", registered=False)
        m.d.comb += [
            sums.entries.eq(tables.entries),
            sums.last.eq(delayed(m, lanes.last, tables.lookup_latency, name="last", reset=True)),
            output.valid.eq(delayed(m, lanes.complete, fires_in, name="complete", reset=True)),
            output.spikes.eq(sums.spikes),
            output.write_ready.eq(self.write_ready),
            self.fired.eq(Mux(output.valid, spikes, 0)),
        ]

    def _carry(
        self,
        m: Module,
        control: AttentionJob,
        lanes: TokenLanes,
        sums: AttentionSums,
        output: AttentionOutput,
        membranes: AttentionMembranes,
    ) -> None:
        """Membranes of a round are those of the round before."""
        # A token is taken in the last step of the one before. When the entries of that step have been added, the
        # neurons take their next membranes.
        taken = delayed(m, lanes.take, SubsetTables.lookup_latency + 1, name="taken", reset=True)
        m.d.comb += [
            membranes.begin.eq(control.begin),
            membranes.fresh.eq(control.round == 0),
            membranes.take.eq(taken),
            sums.carried.eq(membranes.carried),
            membranes.keep.eq(output.valid),
            membranes.left.eq(sums.left),
        ]
