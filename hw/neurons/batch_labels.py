"""What travels beside the sums that are read."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.neurons.batch import batch_layout, delay_batch
from hw.neurons.position_walk import PositionWalk
from hw.neurons.read_walk import read_layout
from hw.neurons.slice_walk import SliceWalk
from hw.neurons.tile_walk import tile_layout


class BatchLabels(wiring.Component):
    """Labels every read with all that is asked of its batch behind the neurons.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR)
        A layer.
    channel_order : In(1), time_chunks : In
        Its `ReadPlan`.
    tile : In(tile_layout(config)), read : In(read_layout(config)), output_tile_drained : In(1)
        The tile; the read; it is the last one of an output tile.
    completes : In(1), pooled_group : In, pooled_bank : In
        Only with `pool_before`, from `MaxPoolWalk`: the read completes a window of the pool, and where its pooled
        position belongs. Of a layer that pools before its neurons only such reads give spikes, in the first lane.
    batch : Out(batch_layout(config))
        Of the read of `latency` cycles ago.
    """

    def __init__(self, config: HardwareConfig):
        self._config, self._slices = config, SliceWalk(config)
        optional = {}
        if config.pool_before:
            pooled = {"pooled_group": DESCRIPTOR["groups"].shape, "pooled_bank": batch_layout(config)["bank"].shape}
            optional = {"completes": In(1), **{name: In(shape) for name, shape in pooled.items()}}
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "channel_order": In(1),
                "time_chunks": In(range(max(2, config.time_chunks + 1))),
                "tile": In(tile_layout(config)),
                "read": In(read_layout(config)),
                "output_tile_drained": In(1),
                "batch": Out(batch_layout(config)),
                **optional,
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from `read` to `batch`: those that the slice's address needs."""
        return self._slices.latency

    def elaborate(self, platform):
        m = Module()
        config, d, tile, read = self._config, self.descriptor, self.tile, self.read
        m.submodules.positions = positions = PositionWalk(config)
        m.submodules.slices = slices = self._slices
        m.d.comb += [
            positions.positions.eq(d.positions),
            positions.channel_order.eq(self.channel_order),
            positions.time_chunks.eq(self.time_chunks),
            positions.read.eq(read),
            positions.output_tile_drained.eq(self.output_tile_drained),
            slices.start.eq(self.start),
            slices.descriptor.eq(d),
            slices.read.eq(read),
            slices.output_tile_drained.eq(self.output_tile_drained),
        ]
        steps = (1 << d.timesteps) - 1
        lanes, group = positions.lanes, positions.position_group
        if config.pool_before:
            lanes = Mux(d.pool_before, self.completes, positions.lanes)
            group = Mux(d.pool_before, self.pooled_group, positions.position_group)
        now = Signal(batch_layout(config))
        m.d.comb += [
            now.valid.eq(read.valid & lanes.any()),
            now.layer.eq(d.layer),
            now.destination.eq(d.destination),
            now.token_buffer.eq(d.token_buffer),
            now.pool.eq(d.pool),
            now.steps.eq(Mux(read.last_time_chunk, steps, ~0)),
            now.first.eq(read.first),
            now.last.eq(read.beat_end),
            now.position_group.eq(group),
            now.lanes.eq(lanes),
            now.channel.eq(self._first_channel(m)),
            now.chunk.eq(tile.chunk),
            now.first_tile.eq(tile.first & (read.time_chunk == 0)),
            now.last_tile.eq(tile.last & read.last_time_chunk),
        ]
        if config.time_chunks > 1:
            m.d.comb += now.time_chunk.eq(read.time_chunk)
        if config.pool_before:
            m.d.comb += [now.pool_before.eq(d.pool_before), now.bank.eq(self.pooled_bank)]
        of_slice = {"slice_address": slices.address, "piece": slices.piece}
        delay_batch(m, now, self.batch, self.latency, name="batch", without=tuple(of_slice))
        m.d.comb += [self.batch[field].eq(value) for field, value in of_slice.items()]
        return m

    def _first_channel(self, m: Module) -> Value:
        """Number of the batch's first channel."""
        config, select = self._config, self.read.select
        batches, neuron_bits = config.outputs // config.neurons, exact_log2(config.neurons)
        first_batch = Signal(len(self.batch.channel) - neuron_bits)
        with m.If(self.output_tile_drained):
            m.d.sync += first_batch.eq(first_batch + batches)
        with m.If(self.start):
            m.d.sync += first_batch.eq(0)
        # Where an output tile is a power of two, the sum is none.
        aligned = batches & (batches - 1) == 0
        return (first_batch | select if aligned else first_batch + select) << neuron_bits
