"""The pixel encoding: what the network reads for each value of an 8-bit pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

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
