"""Pixels of the report's pictures: grey values, several pictures as one sheet, inputs as one would see them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeloom.report.style import SERIES
from sw.network import NetworkConfig

Pixels = NDArray[np.uint8]

LINE = 110
"""Grey of the lines between the pictures of a sheet: neither black nor white."""

SIDE = 96
"""Pixels that the longer side of a picture of a sheet has at least: so all of them come out about as large."""


def colour(name: str) -> Pixels:
    """A colour like ``#3b82d0`` as its red, green and blue."""
    return np.frombuffer(bytes.fromhex(name.removeprefix("#")), np.uint8)


OVERVIEW = 64
"""Pixels of the side of an overview, if it can be halved to so few."""

DARKER, BRIGHTER = colour(SERIES[0]), colour(SERIES[1])
"""Of events that made a pixel darker, and of those that made it brighter."""


def grey(values: NDArray[Any], most: float) -> Pixels:
    """Values from 0, black, to `most`, white; black too if `most` is 0."""
    return np.rint(255 * np.clip(values / most, 0, 1)).astype(np.uint8) if most > 0 else np.zeros_like(values, np.uint8)


def sheet(tiles: Pixels, columns: int) -> Pixels:
    """Several pictures as one, row by row, enlarged to about one size, with lines between.

    Parameters
    ----------
    tiles : uint8 array [n, H, W] or [n, H, W, 3]
    columns : int
    """
    scale = -(-SIDE // max(tiles.shape[1:3]))
    large = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    edge = scale // 2 + 1 if scale > 1 else 1
    count, height, width = large.shape[:3]
    rows = -(-count // columns)
    columns = min(columns, count)
    pixels = np.full((rows * (height + edge) - edge, columns * (width + edge) - edge, *large.shape[3:]), LINE, np.uint8)
    for number, tile in enumerate(large):
        top, left = number // columns * (height + edge), number % columns * (width + edge)
        pixels[top : top + height, left : left + width] = tile
    return pixels


def input_tiles(pixels: Pixels, network: NetworkConfig) -> Pixels:
    """An input as it looks: an image in its colours, or a picture for each of its channels or time steps.

    Parameters
    ----------
    pixels : uint8 array
        Of the network's input shape.
    network : NetworkConfig

    Returns
    -------
    uint8 array [n, H, W] or [n, H, W, 3]
        One picture of an image with one channel or three, one for each channel of others; of event frames with two
        polarities one for each time step, in two colours.
    """
    if network.events and network.image_channels == 2:
        shares = pixels / max(1, int(pixels.max()))
        mixed = shares[:, 0, :, :, None] * DARKER + shares[:, 1, :, :, None] * BRIGHTER
        return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    if network.events:
        return grey(pixels.reshape(-1, *pixels.shape[-2:]), int(pixels.max()))
    return pixels.transpose(1, 2, 0)[None] if len(pixels) == 3 else pixels


def input_overview(pixels: Pixels, network: NetworkConfig) -> Pixels:
    """An input as one small grey picture [H, W]: mean of its channels; of event frames all events of a pixel.

    Its side is a multiple of the grid of tokens, so that each has pixels of its own.
    """
    overview = pixels.sum(axis=(0, 1)) if network.events else pixels.mean(axis=0)
    while len(overview) > OVERVIEW and len(overview) % (2 * network.grid) == 0:
        overview = overview.reshape(len(overview) // 2, 2, -1, 2).mean(axis=(1, 3))
    return grey(overview, float(overview.max()) if network.events else 255)
