"""Which lanes of a shifted position group lie inside the feature map."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR


class PaddingMask(wiring.Component):
    """Follows row and column of lane 0 through the groups of a position tile; no division.

    The other lanes are to its right: in the same row, or in the next one. With 3x3 taps rows have at least as many
    positions as a group. Without taps they may be shorter: then all that counts is that no position of the layer is
    masked.

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
        layout = self._place_layout
        here, begin, following, rewound, top_left = (
            Signal(layout, name=name) for name in ("here", "begin", "following", "rewound", "top_left")
        )
        m.d.comb += [
            top_left.right.eq(self.width - 1),
            top_left.below.eq(self.height + Cat(~self.first_row, 1).as_signed()),  # less the first row and 1
            top_left.top.eq(self.first_row == 0),
        ]
        self._follow(m, here, following)
        # `begin` is where the current position tile starts: every slice of the tile walks it again.
        m.d.comb += rewound.eq(begin)
        with m.If(self.tile_end):
            m.d.comb += rewound.eq(Mux(self.last_tile, top_left, following))
        with m.If(self.start):
            m.d.sync += begin.eq(top_left)
        with m.Else():
            m.d.sync += begin.eq(rewound)
        with m.If(self.rewind):
            m.d.sync += here.eq(rewound)
        with m.Elif(self.advance):
            m.d.sync += here.eq(following)
        self._mask(m, here, top_left.right)
        return m

    @property
    def _place_layout(self) -> data.StructLayout:
        """Where lane 0 is: columns to its right, rows below (-1 behind the last), whether its row is the top one."""
        return data.StructLayout({"right": len(self.width), "below": signed(len(self.height) + 1), "top": 1})

    def _follow(self, m: Module, here: data.View, following: data.View) -> None:
        """Lane 0 of the next group: on by `positions` columns, perhaps to the next row."""
        positions = self._config.positions
        wraps = Signal.like(self.width)
        m.d.sync += wraps.eq(self.width - positions)  # it is looked at long after `start`
        m.d.comb += following.eq(here)
        with m.If(here.right < positions):
            m.d.comb += [
                following.right.eq(here.right[: (positions - 1).bit_length()] + wraps),
                following.below.eq(here.below - 1),
                following.top.eq(0),
            ]
        with m.Else():
            m.d.comb += following.right.eq(here.right - positions)

    def _mask(self, m: Module, here: data.View, all_but_one: Value) -> None:
        """Find the edges of the feature map that each lane lies at, and a cycle later whether the tap passes them."""
        above, below, left, right = (
            Signal(name=name) for name in ("reads_above", "reads_below", "reads_left", "reads_right")
        )
        m.d.sync += [above.eq(self.above), below.eq(self.below), left.eq(self.left), right.eq(self.right)]
        for lane in range(self._config.positions):
            real, top, bottom, first, last = (
                Signal(name=f"{name}_{lane}", reset_less=True) for name in ("real", "top", "bottom", "first", "last")
            )
            # Whether this lane is in the row behind that of lane 0.
            next_row = here.right < lane if lane else Const(0, 1)
            m.d.sync += [
                real.eq((here.below >= 0) & ~(next_row & (here.below == 0))),
                top.eq(here.top & ~next_row),
                bottom.eq(here.below == next_row),
                first.eq(here.right == (lane - 1 if lane else all_but_one)),  # the lane before it is last
                last.eq(here.right == lane),
            ]
            outside = (above & top) | (below & bottom) | (left & first) | (right & last)
            m.d.comb += self.inside[lane].eq(real & ~outside)
