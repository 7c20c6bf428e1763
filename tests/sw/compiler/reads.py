"""Where the walker of a descriptor reads, step by step, and what its input's place must be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, Descriptor


@dataclass(frozen=True)
class Read:
    """First word and bank of a position tile, seen through a tap; the turns of all loops but the output tiles'."""

    tile: int
    half: int
    plane: int
    slice: int
    row: int
    column: int
    word: int
    bank: int


def reads(config: HardwareConfig, descriptor: Descriptor) -> Iterator[Read]:
    """All reads of an output tile in their order; addresses are as many bits wide as in the machine."""
    d, taps = descriptor, 3 if descriptor.kernel3 else 1
    counts = (d.tiles, 1 + d.wide, d.passes, d.slices, taps, taps)
    column = (0, 1) if config.positions > 1 else (d.time_chunks, 0)
    words = (d.tile_step, d.half_step, d.plane_step, d.slice_step)
    steps = [*((step, d.rewind_rotate) for step in words), (d.row_step, d.row_rotate), column]
    word, bank = d.source_base, d.source_rotate
    for turns in itertools.product(*map(range, counts)):
        yield Read(*turns, word, bank)
        goes_on = [turn < count - 1 for turn, count in zip(turns, counts, strict=True)]
        if any(goes_on):
            step, banks = steps[max(level for level, on in enumerate(goes_on) if on)]
            carried, bank = divmod(bank + banks, config.positions)
            word = (word + step + carried * d.time_chunks) % (1 << ADDRESS_BITS)


def slice_bases(config: HardwareConfig, descriptor: Descriptor) -> NDArray[np.int64]:
    """First word of every slice ``[plane, slice]``, the top plane first.

    Every tile, half and tap must be read where it lies from there.
    """
    d, away = descriptor, 1 if descriptor.kernel3 else 0
    found: dict[tuple[int, int], int] = {}
    for read in reads(config, descriptor):
        shift = (read.row - away) * d.width + read.column - away
        groups, bank = divmod(shift, config.positions)
        base = (read.word - read.tile * d.tile_groups - groups * d.time_chunks) % (1 << ADDRESS_BITS)
        assert read.bank == bank
        assert found.setdefault((read.plane, read.slice), base) == base
    return np.array([[found[plane, number] for number in range(d.slices)] for plane in range(d.passes)])
