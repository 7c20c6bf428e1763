"""Layers for the tests of the walker, and every word of spikes that it must give, from plain loops."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from hw.array.step import DRAIN_BUFFERS
from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, DESCRIPTOR
from tests.hw.benches import tile_fields

Fields = dict[str, int]

LOOPS = ("column", "row", "slice", "plane", "half", "tile")
"""Innermost first; the next output tile begins like the first."""


@dataclass(frozen=True)
class Layer:
    """A layer as its descriptor has it, and where its input lies.

    Attributes
    ----------
    fields : dict
        Of the descriptor; a layer without taps leaves out ``kernel3``, and so on.
    base : int
        First word of the top plane, of the first row computed.
    slice_stride, plane_stride : int
        Words from a slice to the next, and from a plane to the one above.
    """

    fields: Fields
    base: int
    slice_stride: int
    plane_stride: int

    def changed(self, **fields: int) -> Layer:
        """Another one of which nothing but these fields differs."""
        return dataclasses.replace(self, fields={**self.fields, **fields})

    @property
    def taps(self) -> list[tuple[int, int]]:
        """Rows and columns by which the taps are away, in their order."""
        away = (-1, 0, 1) if self.fields.get("kernel3") else (0,)
        return list(itertools.product(away, away))

    def slice_base(self, plane: int, number: int) -> int:
        """First word of a slice; planes are counted from the top one."""
        return self.base - plane * self.plane_stride + number * self.slice_stride


def layer(
    config: HardwareConfig, *, height: int, width: int, tile_groups: int, rows: range | None = None, base: int = 11,
    time_chunks: int = 1, **fields: int,
) -> Layer:  # fmt: skip
    """Descriptor of a layer, or of a strip of its rows; its planes and slices lie apart by odd strides.

    Tiles are of `tile_groups` position groups, each of a word per time chunk.
    """
    rows = rows or range(height)
    slice_stride = -(-height * width // config.positions) * time_chunks + 3
    plane_stride = fields.get("slices", 1) * slice_stride + 5
    first, odd = divmod(rows.start * width, config.positions)
    assert not odd and (width >= config.positions or not fields.get("kernel3"))
    made = Layer(
        {
            "passes": 1,
            "slices": 1,
            "output_tiles": 1,
            **fields,
            "height": height,
            "width": width,
            "first_row": rows.start,
            **tile_fields(config, len(rows) * width, tile_groups, time_chunks),
        },
        base + first * time_chunks + (fields.get("passes", 1) - 1) * plane_stride,
        slice_stride,
        plane_stride,
    )
    return made.changed(**walk_fields(config, made))


def walk_fields(config: HardwareConfig, layer: Layer) -> Fields:
    """First address and steps: what is between the last turn of the loops within and their first, one turn on.

    Steps of loops of a single turn are never taken, so they may be anything.
    """
    fields, chunks = layer.fields, layer.fields["time_chunks"]
    taps = 3 if fields.get("kernel3") else 1
    counts = [taps, taps, fields["slices"], fields["passes"], 1 + fields.get("wide", 0), fields["tiles"]]

    def place(column: int, row: int, number: int, plane: int, half: int, tile: int) -> tuple[int, int]:
        dy, dx = layer.taps[row * taps + column]
        groups, bank = divmod(dy * fields["width"] + dx, config.positions)
        return layer.slice_base(plane, number) + tile * fields["tile_groups"] + groups * chunks, bank

    base, bank = place(*[0] * len(LOOPS))
    rng = random.Random(str(fields))
    names = (*(f"{name}_step" for name in LOOPS[1:]), "row_rotate", "rewind_rotate")
    found = {name: rng.getrandbits(DESCRIPTOR[name].width) for name in names}
    for level, name in enumerate(LOOPS[1:], start=1):
        if counts[level] == 1:
            continue
        outer = [0] * (len(LOOPS) - level - 1)
        word_before, bank_before = place(*(count - 1 for count in counts[:level]), 0, *outer)
        word_after, bank_after = place(*[0] * level, 1, *outer)
        rotate = (bank_after - bank_before) % config.positions
        carried = chunks if bank_before + rotate >= config.positions else 0
        found[f"{name}_step"] = (word_after - word_before - carried) % (1 << ADDRESS_BITS)
        found["row_rotate" if name == "row" else "rewind_rotate"] = rotate
    return {**found, "source_base": base % (1 << ADDRESS_BITS), "source_rotate": bank}


class Source:
    """Two memories full of random words: what is outside the feature map must be masked, not be zero by luck."""

    def __init__(self, config: HardwareConfig):
        rng = random.Random(7)
        self.width = config.timesteps * config.inputs
        self._words = [rng.getrandbits(self.width) for _ in range(4099)]

    def word(self, residual: bool, bank: int, address: int) -> int:
        at = ((address % (1 << ADDRESS_BITS)) * 8 + bank) * 2 + residual
        return self._words[at % len(self._words)]


@dataclass(frozen=True)
class Step:
    """One step as the array gets it; `real` masks the spikes of positions that exist, the others may be anything."""

    spikes: int
    real: int
    group: int
    buffer: int
    first: int
    double: int
    final: int
    unsigned: int
    last_group: int
    last_of_tile: int


FLAGS = [field.name for field in dataclasses.fields(Step) if field.name not in ("spikes", "real")]


@dataclass
class Slice:
    """The steps that share a table."""

    index: int
    final: bool
    steps: list[Step]


def spikes_of(config: HardwareConfig, layer: Layer, source: Source, tap: tuple[int, int], base: int, at: int) -> int:
    """One word of the layer, word `at`, seen through a tap; `base` is the slice's first word."""
    fields = layer.fields
    height, width, lanes, spikes = fields["height"], fields["width"], config.positions, 0
    chunks = fields["time_chunks"]
    residual = bool(fields.get("source_residual"))
    start = fields["first_row"] * width
    for lane in range(lanes):
        y, x = divmod(start + at // chunks * lanes + lane, width)
        row, column = y + tap[0], x + tap[1]
        if fields.get("image"):
            spikes |= source.word(residual, lane, base + at) << lane * source.width
        elif y < height and 0 <= row < height and 0 <= column < width:
            place = row * width + column - start
            address = base + place // lanes * chunks + at % chunks
            spikes |= source.word(residual, place % lanes, address) << lane * source.width
    return spikes


def loop_nest(config: HardwareConfig, layer: Layer, source: Source, tiles_before: int = 0) -> Iterator[Slice]:
    """A layer's loops, outermost first: output tile, position tile, half, plane, slice, tap, group."""
    fields, taps = layer.fields, layer.taps
    real = functools.partial(real_positions, config, fields)
    sums = tiles_before
    for _ in range(fields["output_tiles"]):
        for tile in range(fields["tiles"]):
            groups = fields["last_tile_groups" if tile == fields["tiles"] - 1 else "tile_groups"]
            first = tile * fields["tile_groups"]
            for half in range(1 + fields.get("wide", 0)):
                for plane in range(fields["passes"]):
                    for k in range(fields["slices"]):
                        base = layer.slice_base(plane, k)
                        for tap in taps:
                            begins = k == 0 and tap is taps[0]
                            ends = k == fields["slices"] - 1 and tap is taps[-1]
                            final = ends and plane == fields["passes"] - 1
                            yield Slice(k, final, [
                                Step(
                                    spikes=spikes_of(config, layer, source, tap, base, first + g) & real(first + g),
                                    real=real(first + g),
                                    group=g,
                                    buffer=sums % DRAIN_BUFFERS,
                                    first=int(begins and plane == 0),
                                    double=int(begins and plane > 0),
                                    final=int(final),
                                    unsigned=int(half == 1 and not fields.get("image")),
                                    last_group=int(g == groups - 1),
                                    last_of_tile=int(final and g == groups - 1),
                                )
                                for g in range(groups)
                            ])  # fmt: skip
                sums += 1


def real_positions(config: HardwareConfig, fields: Fields, at: int) -> int:
    """Spikes that count: all of them, as lanes behind the last position are masked, but where a row has too few."""
    if fields["width"] >= config.positions:
        return (1 << config.group_bits) - 1
    lanes = min(config.positions, max(0, fields["positions"] - at // fields["time_chunks"] * config.positions))
    return (1 << lanes * config.group_bits // config.positions) - 1


def steps_of(slices: list[Slice]) -> list[Step]:
    return [step for one in slices for step in one.steps]
