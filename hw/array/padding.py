"""Which lanes of a shifted position group lie inside the feature map."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR


class PaddingMask(wiring.Component):
    """Follows row and column of every lane through the groups of a position tile; no division.

    With 3x3 taps rows have at least as many positions as a group. Without taps they may be shorter: then all that
    counts is that no position of the layer is masked.

    A 3x3 tap moves a position by one row and column at most. What it then reads is padding, thus zero, if row or column
    are outside the feature map; in the flat raster it would be the neighbouring row's pixel.

    `inside` belongs to the group of one cycle ago, and to the tap given with it.

    Parameters
    ----------
    config : HardwareConfig
        Gives the positions.

    Members
    -------
    start : In(1)
        A layer begins: the first tile starts in `first_row`, column 0.
    first_row, height, width : In
        The layer.
    above, below, left, right : In(1)
        The tap reads the row above that of the lane, or below; the column to the left, or to the right.
    advance : In(1)
        Go to the next group.
    rewind : In(1)
        Go back to the first group of the tile; it wins over `advance`.
    tile_end : In(1), last_tile : In(1)
        With the last group's `advance`: the tile is complete, from now on the next one is walked; the next one is the
        layer's first again.
    inside : Out(positions)
        Which lanes read inside the feature map.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "first_row": In(DESCRIPTOR["first_row"].shape),
                "height": In(DESCRIPTOR["height"].shape),
                "width": In(DESCRIPTOR["width"].shape),
                "above": In(1),
                "below": In(1),
                "left": In(1),
                "right": In(1),
                "advance": In(1),
                "rewind": In(1),
                "tile_end": In(1),
                "last_tile": In(1),
                "inside": Out(config.positions),
            }
        )

    def elaborate(self, platform):
        m = Module()
        positions = self._config.positions
        bits = len(self.width)
        # What is compared with is in registers from the cycle after `start` on.
        last_row = Signal(bits)
        last_column = Signal(bits)
        wraps = Signal(signed(bits + 2))
        above = Signal()
        below = Signal()
        left = Signal()
        right = Signal()
        m.d.sync += [
            last_row.eq(self.height - 1), last_column.eq(self.width - 1), wraps.eq(self.width - positions),
            above.eq(self.above), below.eq(self.below), left.eq(self.left), right.eq(self.right),
        ]  # fmt: skip
        place = data.StructLayout({"y": bits + 1, "x": bits})
        for lane in range(positions):
            here, begin, following, start = (
                Signal(place, name=f"{name}_{lane}") for name in ("here", "begin", "following", "start")
            )
            along = Signal(bits + 1, name=f"along_{lane}")
            beyond = Signal(signed(bits + 2), name=f"beyond_{lane}")
            m.d.comb += [along.eq(here.x + positions), beyond.eq(here.x - wraps), following.eq(here)]
            with m.If(beyond >= 0):
                m.d.comb += [following.x.eq(beyond), following.y.eq(here.y + 1)]
            with m.Else():
                m.d.comb += following.x.eq(along)
            real, top, bottom, first, last = (
                Signal(name=f"{name}_{lane}", reset_less=True) for name in ("real", "top", "bottom", "first", "last")
            )
            m.d.sync += [
                real.eq(here.y <= last_row), top.eq(here.y == 0), bottom.eq(here.y == last_row),
                first.eq(here.x == 0), last.eq(here.x == last_column),
            ]  # fmt: skip
            outside = (above & top) | (below & bottom) | (left & first) | (right & last)
            m.d.comb += self.inside[lane].eq(real & ~outside)
            # `begin` is where the current position tile starts: every slice of the tile walks it again.
            m.d.comb += start.eq(begin)
            with m.If(self.tile_end):
                m.d.comb += start.eq(following)
                with m.If(self.last_tile):
                    m.d.comb += [start.y.eq(self.first_row), start.x.eq(lane)]
                m.d.sync += begin.eq(start)
            with m.If(self.advance):
                m.d.sync += here.eq(following)
            with m.If(self.rewind):
                m.d.sync += here.eq(start)
            with m.If(self.start):
                m.d.sync += [begin.y.eq(self.first_row), begin.x.eq(lane)]
        return m
