"""Cuts feature maps that do not fit the chip into strips of rows.

The image is loaded strip by strip. If the convolutions' outputs do not fit either, the first of them are computed strip
by strip too, one after the other for the rows that the next one needs: their outputs are never whole on the chip.

Strips are computed from the bottom up. Before a pool each but the topmost begins `HALO` rows early, with the even row
above its first window; the pooled row that this makes lacks a row of input. Either the strip above, coming later,
writes it again, or nobody reads it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hw.config import HardwareConfig
from hw.integers import ceil_div
from sw.compiler.image_pack import TAPS, plane_words
from sw.layer import Layer

HALO = 2
"""Rows computed again above a strip before a pool: a window of the pool begins one row above its even row."""


@dataclass(frozen=True)
class Strip:
    """Rows of a layer that one descriptor computes.

    Attributes
    ----------
    layer : Layer
    rows : range
        What is computed, before a pool.
    source : range
        Rows of the layer's input that are on the chip.
    window : range
        Rows of its output, behind a pool, that have a place on the chip.
    """

    layer: Layer
    rows: range
    source: range
    window: range


def written_rows(layer: Layer, rows: range) -> range:
    """Rows of a layer's output that it writes by computing `rows`, an incomplete pooled one included."""
    return range(rows.start // 2, rows.stop // 2) if layer.pool else rows


def fired_rows(layer: Layer, rows: range) -> range:
    """Rows of its neurons' spikes in computing `rows`: where the pool comes first, those of complete windows."""
    if not layer.pool_first:
        return rows
    return range(rows.start // 2 + (rows.start > 0), rows.stop // 2)


def read_rows(layer: Layer, rows: range) -> range:
    """Rows of its input that a convolution with taps reads for `rows`."""
    return range(max(0, rows.start - 1), min(layer.height, rows.stop + 1))


def computed_rows(layer: Layer, output: range) -> range:
    """Rows that a layer must compute for rows of its output."""
    return range(max(0, 2 * output.start - HALO), 2 * output.stop) if layer.pool else output


def cut_rows(layer: Layer, rows: range, size: int) -> tuple[range, ...]:
    """Cut rows of a layer into strips of at most `size` (even) rows and a halo, from the bottom up."""
    size = ceil_div(len(rows), 2 * ceil_div(len(rows), size)) * 2  # as equal as even sizes allow
    halo = HALO if layer.pool else 0
    starts = range(rows.start, rows.stop, size)
    return tuple(range(max(rows.start, at - halo), min(at + size, rows.stop)) for at in reversed(starts))


def strip_words(config: HardwareConfig, layer: Layer, rows: int, time_chunks: int = 1) -> int:
    """Words of spike memory for `rows` rows of the image, or of event frames of so many time chunks."""
    slices = -(-TAPS * layer.in_channels // config.inputs)
    return layer.input_planes * slices * plane_words(config, layer, rows * layer.width, time_chunks)


def image_strips(
    config: HardwareConfig, layer: Layer, parts: Sequence[range], words: int, time_chunks: int = 1
) -> tuple[tuple[range, ...], ...]:
    """Cut the rows of the layer that reads the image: a single strip must fit, or any two at a time.

    Parameters
    ----------
    config : HardwareConfig
    layer : Layer
        The layer that reads the image.
    parts : sequence of range
        Rows that are computed together, in their order.
    words : int
        Words of spike memory that the image may take. If it is too few, strips are as small as they can be.
    time_chunks : int
        Of the network; matters to event frames only.

    Returns
    -------
    tuple of tuple of range
        Strips of each part, in the order in which they are computed; a single one if the whole image fits, or if its
        rows are no whole words.
    """
    if len(parts) == 1 and (
        strip_words(config, layer, len(parts[0]), time_chunks) <= words or not _rows_are_words(config, layer)
    ):
        return (tuple(parts),)
    halo = HALO if layer.pool else 0
    fitting = [
        rows for rows in range(2, layer.height, 2) if 2 * strip_words(config, layer, rows + halo, time_chunks) <= words
    ]
    return tuple(cut_rows(layer, rows, max(fitting, default=2)) for rows in parts)


def _rows_are_words(config: HardwareConfig, layer: Layer) -> bool:
    """Whether every row of the image begins a word, so that it can be cut."""
    return layer.width % config.lanes == 0


@dataclass(frozen=True)
class StemPlan:
    """How the first convolutions are computed together.

    Attributes
    ----------
    together : tuple of Layer
        The convolutions; the output of the last one is whole on the chip.
    strips : tuple of Strip
        In the order in which they are computed.
    image_strips : tuple of range
        Rows of the image that are loaded together, in their order.
    strip_words : int
        Words of the longest of these.
    window_rows : dict of str to int
        Rows of the longest window of each of the others, by name.
    """

    together: tuple[Layer, ...]
    strips: tuple[Strip, ...]
    image_strips: tuple[range, ...]
    strip_words: int
    window_rows: dict[str, int]

    def kept_rows(self, layer: Layer) -> int:
        """Rows of any layer's output that have a place on the chip at a time."""
        return self.window_rows.get(layer.name, layer.output_grid[0])

    @property
    def repeated_operations(self) -> int:
        """Dense synaptic operations per time step, of bit-planes, on rows that have been computed before."""

        def operations(layer: Layer, rows: int) -> int:
            return rows * layer.width * int(np.prod(layer.weight_shape)) * layer.input_planes

        once = sum(operations(layer, layer.height) for layer in self.together)
        return sum(operations(strip.layer, len(strip.rows)) for strip in self.strips) - once

    @property
    def buffers(self) -> int:
        """Strips of the image that have a place on the chip."""
        return min(2, len(self.image_strips))


def stem_plans(
    config: HardwareConfig, stem: Sequence[Layer], time_chunks: int, words: Callable[[Layer, int], int]
) -> Iterator[StemPlan]:
    """Ways to compute the first convolutions.

    Parameters
    ----------
    config : HardwareConfig
    stem : sequence of Layer
        The convolutions, each of which reads the one before.
    time_chunks : int
        Of the network.
    words : callable
        Words of spike memory that so many rows of a layer's output take.

    Yields
    ------
    StemPlan
        The image's strips are as long as there is room for; there may be too little for the smallest.
    """
    for together, outer in _outer_strips(config, stem):
        parts = [_stem_rows(together, rows) for rows in outer]
        windows = {
            layer.name: max(len(written_rows(layer, part[number])) for part in parts)
            for number, layer in enumerate(together[:-1])
        }
        taken = sum(words(layer, windows.get(layer.name, layer.output_grid[0])) for layer in together)
        rows_of_image = [part[0] for part in parts]
        of_image = image_strips(config, stem[0], rows_of_image, config.spike_words - taken, time_chunks)
        strips = tuple(itertools.chain.from_iterable(of_image))
        yield StemPlan(
            together=tuple(together),
            strips=tuple(_interleave(together, parts, of_image)),
            image_strips=strips,
            strip_words=max(strip_words(config, stem[0], len(rows), time_chunks) for rows in strips),
            window_rows=windows,
        )


def _outer_strips(config: HardwareConfig, stem: Sequence[Layer]) -> Iterator[tuple[Sequence[Layer], tuple[range, ...]]]:
    """Convolutions to compute together, and the strips of the last one: of the first one alone all of its rows."""
    yield stem[:1], (range(stem[0].height),)
    if not _rows_are_words(config, stem[0]):
        return
    for number, layer in enumerate(stem[1:], start=2):
        together = stem[:number]
        if any(width % config.positions for one in together for width in (one.width, one.output_grid[1])):
            return
        for count in range(2, layer.height // 2 + 1):
            strips = cut_rows(layer, range(layer.height), -(-layer.height // count // 2) * 2)
            if len(strips) == count:
                yield together, strips


def _stem_rows(stem: Sequence[Layer], rows: range) -> tuple[range, ...]:
    """Rows that each of several convolutions computes for `rows` of the last one."""
    if len(stem) == 1:
        return (rows,)
    before = computed_rows(stem[-2], read_rows(stem[-1], rows))
    return (*_stem_rows(stem[:-1], before), rows)


def _interleave(
    stem: Sequence[Layer], parts: Sequence[tuple[range, ...]], of_image: Sequence[Sequence[range]]
) -> Iterator[Strip]:
    """For each part the strips of the first convolution, then the rows of the others."""
    whole = range(stem[-1].output_grid[0])
    for part, first in zip(parts, of_image, strict=True):
        windows = [*(written_rows(layer, rows) for layer, rows in zip(stem[:-1], part[:-1], strict=True)), whole]
        yield from (Strip(stem[0], rows, rows, windows[0]) for rows in first)
        yield from (Strip(*one) for one in zip(stem[1:], part[1:], windows[:-1], windows[1:], strict=True))
