"""The order in which the beats of a region are read, some of them several times."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.program.fetch import position_bits

REGION = data.StructLayout(
    {
        "beats": DESCRIPTOR["weight_beats"].shape,
        "tiles": DESCRIPTOR["tiles"].shape,
        "passes": DESCRIPTOR["passes"].shape,
        "wide": unsigned(1),
        "image": unsigned(1),
    }
)
"""A run of the program's beats and how often they are delivered: the fields of a layer's weights, as wide as there."""


class RegionWalk(wiring.Component):
    """Walks through regions, one behind the other.

    A region is ``(1 + wide) * (1 + image)`` segments of `beats` beats. It is delivered `tiles` times; every time, each
    half of it (`wide`: two) `passes` times; in an image the first pass takes the half's first segment, the others its
    second. A plain read has ``tiles = passes = 1`` and neither flag. A region begins where the one before ended.

    Parameters
    ----------
    config : HardwareConfig
        Gives the ring's depth.

    Members
    -------
    clear : In(1)
        Back to the beginning: the next region is a program's first.
    region : In(REGION)
        The one being walked; stable until its `last` beat is read.
    read : In(1)
        The beat at `position` is read, the next one's turn comes with the next cycle; without effect beside `clear`.
    position : Out(position_bits)
        In the ring, modulo twice its depth.
    half : Out(1)
        The beat belongs to the second half of a wide region.
    frees : Out(1)
        This is the beat's last delivery.
    last : Out(1)
        This is the region's last delivery.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "region": In(REGION),
                "read": In(1),
                "position": Out(position_bits(config)),
                "half": Out(1),
                "frees": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        region = self.region
        # Numbers begin with 1, so that the last one is that of the region's field.
        beat = Signal((self._config.program_beats - 1).bit_length(), init=1)
        turn = Signal.like(region.passes, name="turn", init=1)
        tile = Signal.like(region.tiles, name="tile", init=1)
        last_beat = Signal()
        last_pass = Signal()
        last_half = Signal()
        last_tile = Signal()
        first_of_image = Signal()
        half_ends = Signal()
        tile_ends = Signal()
        m.d.comb += [
            last_beat.eq(beat == region.beats[: len(beat)]),
            last_pass.eq(turn == region.passes),
            last_half.eq(self.half | ~region.wide),
            last_tile.eq(tile == region.tiles),
            first_of_image.eq(region.image & (turn == 1)),
            half_ends.eq(last_beat & last_pass),
            tile_ends.eq(half_ends & last_half),
            self.frees.eq(last_tile & (last_pass | first_of_image)),
            self.last.eq(tile_ends & last_tile),
        ]
        replays_segment = Signal()
        replays_region = Signal()
        m.d.comb += [
            replays_segment.eq(last_beat & ~last_pass & ~first_of_image),
            replays_region.eq(tile_ends & ~last_tile),
        ]
        self._move(m, last_beat, replays_segment, replays_region)

        with m.If(self.clear):
            m.d.sync += [beat.eq(1), turn.eq(1), tile.eq(1), self.half.eq(0)]
        with m.Elif(self.read):
            m.d.sync += beat.eq(Mux(last_beat, 1, beat + 1))
            with m.If(last_beat):
                m.d.sync += turn.eq(Mux(last_pass, 1, turn + 1))
            with m.If(half_ends):
                m.d.sync += self.half.eq(~last_half)
            with m.If(tile_ends):
                m.d.sync += tile.eq(Mux(last_tile, 1, tile + 1))
        return m

    def _move(self, m: Module, last_beat: Signal, replays_segment: Signal, replays_region: Signal) -> None:
        """From beat to beat, and back to where a replay begins."""
        segment = Signal.like(self.position, name="segment")  # first beat of the segment
        kept = Signal.like(self.position, name="kept")  # oldest beat not freed: the region's first, up to its last tile
        behind = Signal.like(self.position, name="behind")
        following = Signal.like(self.position, name="following")
        m.d.comb += behind.eq(self.position + 1)
        with m.If(replays_segment):
            m.d.comb += following.eq(segment)
        with m.Elif(replays_region):
            m.d.comb += following.eq(kept)
        with m.Else():
            m.d.comb += following.eq(behind)

        with m.If(self.clear):
            m.d.sync += [self.position.eq(0), segment.eq(0), kept.eq(0)]
        with m.Elif(self.read):
            m.d.sync += self.position.eq(following)
            with m.If(last_beat):
                m.d.sync += segment.eq(following)
            with m.If(self.frees):
                m.d.sync += kept.eq(behind)
