"""Where the walker begins to read, and what every loop of it adds to the address."""

from __future__ import annotations

from hw.descriptor import ADDRESS_BITS
from sw.compiler.geometry import Geometry, PositionTiles
from sw.compiler.placement import Source


def walk_steps(geometry: Geometry, source: Source, tiles: PositionTiles, kernel_width: int) -> dict[str, int]:
    """Fields of a descriptor for `hw.array.loop_nest.LoopNest`.

    A loop's step leads from the last turn of all the loops within it to their first one, and on.

    Parameters
    ----------
    geometry : Geometry
    source : Source
        What is read.
    tiles : PositionTiles
        How it is cut.
    kernel_width : int
        Columns of the feature map, of a layer with 3x3 taps; without taps 0.
    """
    config = geometry.config

    def words(positions: int) -> int:
        """Words that a tap so many positions away is away, if the lanes do not pass the end of a group."""
        return positions // config.positions * geometry.time_chunks

    first_tap, last_tap = (-kernel_width - 1, kernel_width + 1) if kernel_width else (0, 0)
    next_row = kernel_width - 2 if kernel_width else 0
    planes_back = (source.planes - 1) * source.plane_stride
    to_first_tap = words(first_tap - last_tap)
    to_first_slice = to_first_tap - (source.slices - 1) * source.slice_stride
    steps = {
        "source_base": source.base + planes_back + words(first_tap),  # the top plane first
        "row_step": words(next_row),
        "slice_step": to_first_tap + source.slice_stride,
        "plane_step": to_first_slice - source.plane_stride,
        "half_step": to_first_slice + planes_back,
        "tile_step": to_first_slice + planes_back + tiles.words,
    }
    return {
        **{name: step % (1 << ADDRESS_BITS) for name, step in steps.items()},
        "source_rotate": first_tap % config.positions,
        "row_rotate": next_row % config.positions,
        "rewind_rotate": (first_tap - last_tap) % config.positions,
    }
