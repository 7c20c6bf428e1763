# amaranth: UnusedElaboratable=no
# An array made to ask for its latency is not elaborated, nor is what it is made of.
"""The weight array: subset-sum tables looked up by spikes, accumulated into partial sums, drained to the neurons."""

from __future__ import annotations

from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.array.drain_buffers import DrainBuffers
from hw.array.partial_sums import PartialSums
from hw.array.step import step_layout
from hw.array.table_writer import TableWriter
from hw.config import HardwareConfig
from hw.parts.technology import Technology


class WeightArray(wiring.Component):
    """``outputs x lanes x inputs`` synaptic operations per cycle without multipliers.

    Four input channels share a table of the 16 subset sums of their 4-bit weights; four spikes address it. All lanes
    (positions and time steps) read the same table, so a weight is fetched once for all of them. `TableWriter` fills
    one bank of tables from the next weight slice while `PartialSums` reads the other one and accumulates;
    `DrainBuffers` keeps the sums of completed position tiles for the neurons.

    A spike word given with its `step` in one cycle is accumulated ``PartialSums.latency`` cycles later. Throughput is
    one word per cycle.

    Parameters
    ----------
    config : HardwareConfig
        Sizes; entries are 6 bits wide, sums ``accumulator_bits``.
    technology : Technology
        What LUT RAMs, three-input adders and drain buffers are made of.

    Members
    -------
    weights : In(stream of memory_bits)
        Weight slices in the order of use, see `SliceStaging`.
    unsigned_weights : In(1)
        With a beat: its weights are 0 to 15 instead of -8 to 7; the same for all beats of a slice.
    table_available : Out(1)
        A filled table waits to be claimed.
    claim : In(1)
        Claims it; its steps follow, the last one with `last_group`.
    step : In(step_layout(config)), spikes : In(group_bits)
        One word of spikes, ``[positions][timesteps][inputs]``.
    tile_done : Out(1)
        The tile's sums are in the drain buffer, readable from the next cycle on.
    drain_read : In(1), drain_group : In, drain_buffer : In, drain_batch : In
        Whether something is read for the neurons: position group, buffer and batch of `neurons` outputs.
    drain_sums : Out(ArrayLayout(signed(accumulator_bits), neurons * lanes))
        Those sums `drain_latency` cycles later, ``[neurons][positions][timesteps]``. Those of unsigned weights are
        unsigned numbers in the same bits.
    """

    fill_latency = TableWriter.latency
    """Cycles from the load of a slice, the cycle after its last beat if a bank is free, to `table_available`."""

    drain_latency = DrainBuffers.latency
    """Cycles from `drain_read` to `drain_sums`."""

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._table_writer = TableWriter(config, technology=technology)
        self._partial_sums = PartialSums(config, technology=technology)
        self._drain_buffers = DrainBuffers(config, technology=technology)
        layout = step_layout(config)
        super().__init__(
            {
                "weights": In(stream.Signature(unsigned(config.memory_bits))),
                "unsigned_weights": In(1),
                "table_available": Out(1),
                "claim": In(1),
                "step": In(layout),
                "spikes": In(unsigned(config.group_bits)),
                "tile_done": Out(1),
                "drain_read": In(1),
                "drain_group": In(layout["group"].shape),
                "drain_buffer": In(layout["buffer"].shape),
                "drain_batch": In(range(config.outputs // config.neurons)),
                "drain_sums": Out(data.ArrayLayout(signed(config.accumulator_bits), config.neurons * config.lanes)),
            }
        )

    @property
    def done_latency(self) -> int:
        """Cycles from the last step of a tile to `tile_done`."""
        return self._partial_sums.latency + self._drain_buffers.done_latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.table_writer = writer = self._table_writer
        m.submodules.partial_sums = sums = self._partial_sums
        m.submodules.drain_buffers = drain = self._drain_buffers
        connect(m, flipped(self.weights), writer.weights)
        connect(m, writer.write, sums.write)
        m.d.comb += [
            writer.unsigned_weights.eq(self.unsigned_weights),
            writer.claim.eq(self.claim),
            writer.release.eq(self.step.valid & self.step.last_group),
            self.table_available.eq(writer.table_available),
            sums.read_bank.eq(writer.read_bank),
            sums.step.eq(self.step),
            sums.spikes.eq(self.spikes),
            drain.step.eq(sums.sums_step),
            drain.sums.eq(sums.sums),
            drain.read.eq(self.drain_read),
            drain.group.eq(self.drain_group),
            drain.buffer.eq(self.drain_buffer),
            drain.batch.eq(self.drain_batch),
            self.tile_done.eq(drain.tile_done),
            self.drain_sums.eq(drain.batch_sums),
        ]
        return m
