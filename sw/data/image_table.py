"""The pixel encoding: what the network reads for each value of an 8-bit pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sw.layer import IMAGE_BITS
from sw.network import NetworkConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Array = TypeVar("Array", "NDArray[Any]", "Tensor")


def lookup(table: Array, pixels: Array) -> Array:
    """Look pixels up in the image table; both are NumPy arrays or both PyTorch tensors.

    Parameters
    ----------
    table : array [channels, 256]
        A row for each channel.
    pixels : integer array [..., channels, height, width]
        0 to 255. Of a tensor int64, since PyTorch takes bytes as an index for a mask.

    Returns
    -------
    array [..., channels, height, width]
        Of the table's type.
    """
    channel = [[[number]] for number in range(len(table))]
    return table[channel, pixels]


def count_table(event_bits: int, channels: int) -> NDArray[np.uint8]:
    """Image table of event frames, uint8 ``[channels, 256]``: a count is its own network input, up to the largest."""
    counts = np.minimum(np.arange(1 << IMAGE_BITS), (1 << event_bits) - 1).astype(np.uint8)
    return np.tile(counts, (channels, 1))


def check_counts(frames: NDArray[Any] | Tensor, network: NetworkConfig) -> None:
    """Refuse event frames with counts above a network's range.

    Parameters
    ----------
    frames : integer array or tensor of any shape
        Event frames; or images, whose pixels may have any value of a byte.

    Raises
    ------
    ValueError
        Naming the largest count, the limit and the remedy.
    """
    largest = int(frames.max()) if network.events and len(frames) else 0
    if largest > network.largest_pixel:
        raise ValueError(
            f"the event frames hold a count of {largest}, the network takes 0 to {network.largest_pixel} "
            f"({network.event_bits} event bits): clip them, or give it more event bits"
        )
