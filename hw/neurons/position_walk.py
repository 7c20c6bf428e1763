"""Which positions of the feature map a read belongs to."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.neurons.read_walk import read_layout


class PositionWalk(wiring.Component):
    """Follows the reads through the position groups of a layer, tile after tile.

    In a machine of several time chunks words are counted, one per position group and chunk.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    positions : In
        Of the layer, as in its descriptor: those of whole groups are counted once per time chunk.
    channel_order : In(1), time_chunks : In
        Its `ReadPlan`.
    read : In(read_layout(config)), output_tile_drained : In(1)
        The read; it is the last one of an output tile.
    position_group : Out
        Position group of the read.
    lanes : Out(positions)
        Its lanes that are positions: of a layer's last group often not all, of the groups of an image's last word
        perhaps none.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "positions": In(DESCRIPTOR["positions"].shape),
                "channel_order": In(1),
                "time_chunks": In(range(max(2, config.time_chunks + 1))),
                "read": In(read_layout(config)),
                "output_tile_drained": In(1),
                "position_group": Out(DESCRIPTOR["groups"].shape),
                "lanes": Out(config.positions),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._count_groups(m)
        self._mark_lanes(m)
        return m

    def _count_groups(self, m: Module) -> None:
        """The position group; a tile's batches of channels begin with its first one again."""
        read, at = self.read, self.position_group
        following = Signal.like(at)
        tile_start = Signal.like(at)
        # Words, not groups, are counted: a tile's last one is followed by the next tile's first one.
        channel_step = Mux(read.valid, Mux(read.tile_end, 1, self.time_chunks), 0)
        m.d.comb += following.eq(at + Mux(self.channel_order, channel_step, read.word_end))
        m.d.sync += at.eq(following)
        with m.If(read.beat_end & self.channel_order):
            m.d.sync += at.eq(tile_start + read.next_time_chunk)
        with m.If(read.tile_end):
            m.d.sync += [at.eq(following), tile_start.eq(following)]
        with m.If(self.output_tile_drained):
            m.d.sync += [at.eq(0), tile_start.eq(0)]

    def _mark_lanes(self, m: Module) -> None:
        """All lanes, but for the group that the positions end in and those behind it."""
        config, read = self._config, self.read
        lane_bits = exact_log2(config.positions)
        end = self.positions >> lane_bits
        partial = Signal()
        beyond = Signal()
        m.d.comb += partial.eq(self.position_group >= end if config.time_chunks > 1 else self.position_group == end)
        for lane in range(config.positions):
            m.d.comb += self.lanes[lane].eq(~beyond & (~partial | (lane < self.positions[:lane_bits])))
        with m.If(read.word_end & partial & read.last_time_chunk):
            m.d.sync += beyond.eq(1)
        with m.If(read.tile_end):
            m.d.sync += beyond.eq(0)
