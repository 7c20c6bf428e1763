"""The order in which the neurons read finished sums, and what travels beside them."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.array.step import DRAIN_BUFFERS
from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.neurons.batch import batch_layout
from hw.neurons.batch_labels import BatchLabels
from hw.neurons.membranes import membrane_words
from hw.neurons.read_plan import ReadPlan
from hw.neurons.read_walk import ReadWalk
from hw.neurons.tile_walk import TileWalk
from hw.pool.max_pool_walk import MaxPoolWalk, window_layout


class NeuronWalk(wiring.Component):
    """Walks a layer's tiles of sums, batch by batch, as soon as they are complete.

    `ReadPlan` says how long the reads of a layer's tiles take, `TileWalk` which tile is read, `ReadWalk` what is read
    of it in every cycle, and `BatchLabels` what that is. Each knows only what comes before it; back goes one bit, the
    end of a tile.

    The first read of a tile is made 2 cycles after its `tile_done` (the later one, of two halves), or 3 cycles after
    `start`, or one cycle after the last read of the tile before, whichever is latest; the last one
    ``drain_cycles(...) - 1`` cycles later, with `buffers_freed`, `output_tile_drained` and `layer_done`. `done` is high
    from the next cycle on.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR)
        A layer; `start` only while `done`.
    tile_done : In(1)
        A drain buffer is full; they are filled in turn, whatever the layer.
    reading : Out(1), group : Out, buffer : Out(2), select : Out
        Whether a tile is read, and the read: position group, drain buffer, batch within the output tile.
    parity : Out(1)
        Parameter buffer of the batch.
    wide, image : Out(1), lane : Out
        Of the read: its layer has 8-bit weights, is an image layer; the time-step lane that is its position group.
    batch : Out(batch_layout(config))
        Belongs to the read of `batch_latency` cycles ago, of two halves to the second one.
    membrane : Out
        Only with several time chunks. Where the batch's membranes are kept.
    window : Out(window_layout(config))
        Only with `pool_before`. Where the read's sums lie in the windows of the pool.
    buffers_freed : Out(2)
        Drain buffers that are free from the next cycle on.
    output_tile_drained, layer_done : Out(1)
        Pulses with the last read of an output tile, of a layer.
    done : Out(1)
        No layer is being read.
    """

    def __init__(self, config: HardwareConfig):
        self._config, self._labels = config, BatchLabels(config)
        optional = {"membrane": Out(range(membrane_words(config)))} if config.time_chunks > 1 else {}
        if config.pool_before:
            optional["window"] = Out(window_layout(config))
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "tile_done": In(1),
                "reading": Out(1),
                "group": Out(range(config.tile_groups)),
                "buffer": Out(range(DRAIN_BUFFERS)),
                "select": Out(range(config.outputs // config.neurons)),
                "parity": Out(1),
                "wide": Out(1),
                "image": Out(1),
                "lane": Out(range(max(2, config.timesteps))),
                "batch": Out(batch_layout(config)),
                "buffers_freed": Out(2),
                "output_tile_drained": Out(1),
                "layer_done": Out(1),
                "done": Out(1),
                **optional,
            }
        )

    @property
    def batch_latency(self) -> int:
        """Cycles from a read to `batch`."""
        return self._labels.latency

    def elaborate(self, platform):
        m = Module()
        m.submodules.plan = plan = ReadPlan(self._config)
        m.submodules.tiles = tiles = TileWalk(self._config, plan.latency)
        m.submodules.reads = reads = ReadWalk(self._config)
        m.submodules.labels = labels = self._labels
        m.d.comb += [part.descriptor.eq(self.descriptor) for part in (plan, tiles, reads, labels)]
        m.d.comb += [
            tiles.start.eq(self.start),
            tiles.wide.eq(plan.wide),
            tiles.tile_done.eq(self.tile_done),
            tiles.tile_end.eq(reads.read.tile_end),
            reads.wide.eq(plan.wide),
            reads.channel_order.eq(plan.channel_order),
            reads.time_chunks.eq(plan.time_chunks),
            reads.lengths.eq(plan.lengths),
            reads.last_lengths.eq(plan.last_lengths),
            reads.reading.eq(tiles.reading),
            reads.tile.eq(tiles.tile),
            labels.start.eq(self.start),
            labels.channel_order.eq(plan.channel_order),
            labels.time_chunks.eq(plan.time_chunks),
            labels.tile.eq(tiles.tile),
            labels.read.eq(reads.read),
            labels.output_tile_drained.eq(tiles.output_tile_drained),
            self.reading.eq(tiles.reading),
            self.group.eq(reads.read.group),
            self.buffer.eq(tiles.tile.buffer + reads.half),
            self.select.eq(reads.read.select),
            self.parity.eq(tiles.tile.parity),
            self.wide.eq(plan.wide),
            self.image.eq(self.descriptor.image),
            self.lane.eq(reads.read.lane),
            self.batch.eq(labels.batch),
            self.buffers_freed.eq(tiles.buffers_freed),
            self.output_tile_drained.eq(tiles.output_tile_drained),
            self.layer_done.eq(tiles.layer_done),
            self.done.eq(tiles.done),
        ]
        if self._config.time_chunks > 1:
            m.d.comb += self.membrane.eq(reads.membrane)
        if self._config.pool_before:
            m.submodules.windows = windows = MaxPoolWalk(self._config)
            m.d.comb += [
                windows.descriptor.eq(self.descriptor),
                windows.begin.eq(self.start | tiles.output_tile_drained),
                windows.valid.eq(reads.read.valid),
                windows.select.eq(reads.read.select),
                windows.time_chunk.eq(reads.read.time_chunk),
                windows.group_end.eq(reads.read.word_end & reads.read.last_time_chunk),
                labels.completes.eq(windows.completes),
                labels.pooled_group.eq(windows.position_group),
                labels.pooled_bank.eq(windows.bank),
                self.window.eq(windows.window),
            ]
        return m
