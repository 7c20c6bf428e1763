"""Cuts an image that does not fit the chip into strips of rows, loaded while the strip before is computed."""

from __future__ import annotations

from hw.config import HardwareConfig
from sw.errors import UserError
from sw.image_pack import TAPS, plane_words
from sw.network import Layer

HALO = 2
"""Rows computed again above a strip before a pool: a window of the pool begins one row above its even row."""


def strip_words(config: HardwareConfig, layer: Layer, rows: int, time_chunks: int = 1) -> int:
    """Words of spike memory for `rows` rows of the image, or of event frames of so many time chunks."""
    slices = -(-TAPS * layer.in_channels // config.inputs)
    return layer.input_planes * slices * plane_words(config, layer, rows * layer.width, time_chunks)


def cut_strips(config: HardwareConfig, layer: Layer, words: int, time_chunks: int = 1) -> tuple[range, ...]:
    """Cut the rows of the image layer so that two strips fit at a time.

    Strips are computed from the bottom up. Before a pool each but the topmost begins `HALO` rows early, with the even
    row above its first window; the pooled row that this makes lacks a row of input, and the strip above, coming later,
    writes it again.

    Parameters
    ----------
    config : HardwareConfig
    layer : Layer
        The layer that reads the image.
    words : int
        Words of spike memory that the image may take.
    time_chunks : int
        Of the network; matters to event frames only.

    Returns
    -------
    tuple of range
        Rows of each strip, in the order in which they are computed; a single one if the whole image fits.

    Raises
    ------
    UserError
        If not even two of the smallest strips fit.
    """
    if strip_words(config, layer, layer.height, time_chunks) <= words:
        return (range(layer.height),)
    halo = HALO if layer.pool else 0
    fitting = [
        rows for rows in range(2, layer.height, 2) if 2 * strip_words(config, layer, rows + halo, time_chunks) <= words
    ]
    if not fitting or layer.width % config.lanes:
        need = strip_words(config, layer, layer.height, time_chunks)
        raise UserError(
            f"{layer.name} reads an image of {need} words, {words} of spike memory are left for it, and strips of it "
            f"need two rows, and rows of a multiple of {config.lanes} pixels: "
            "use a larger configuration or smaller images"
        )
    size = max(fitting)
    count = -(-layer.height // size)
    size = -(-layer.height // count // 2) * 2  # as equal as even sizes allow
    starts = range(0, layer.height, size)
    return tuple(range(max(0, start - halo), min(start + size, layer.height)) for start in reversed(starts))
