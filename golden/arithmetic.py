"""Exact integer sums at floating-point speed.

A sum of integers is exact in floating point, in any order, as long as no running sum leaves the integers that
the format holds without gaps: below 2^24 for float32, 2^53 for float64. `sw.artifact.ranges` proves the bounds; this
module picks the format and keeps PyTorch from algorithms that do not just multiply and add: NNPACK's Winograd
convolution, which PyTorch may choose for 3x3 kernels, and reduced-precision products would both break exactness.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from sw.layer import Layer

EXACT_FLOAT32 = 2**24
"""Integers up to this magnitude are exact in float32."""

EXACT_FLOAT64 = 2**53
"""Integers up to this magnitude are exact in float64."""


def exact_dtype(bound: int) -> torch.dtype:
    """Fastest floating-point type in which sums of integers with running sums up to `bound` are exact.

    Raises
    ------
    ValueError
        If not even float64 is exact.
    """
    if bound > EXACT_FLOAT64:
        raise ValueError(f"sums of magnitude up to {bound} are not exact in float64, limit 2^53")
    return torch.float32 if bound <= EXACT_FLOAT32 else torch.float64


@contextlib.contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Within this context convolutions and matrix products multiply and add in full precision, without gradients."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.no_grad(), torch.backends.nnpack.flags(enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def weighted_sum(layer: Layer, weight: Tensor, inputs: Tensor) -> Tensor:
    """Sum weight times input of a convolution or linear layer.

    Parameters
    ----------
    layer : Layer
        Of kind ``conv`` or ``linear``.
    weight : Tensor [out, in, 3, 3] or [out, in]
        Integers in a floating-point type for which the sums are exact.
    inputs : Tensor [T, B, H, W, in]
        Integers in any type.

    Returns
    -------
    Tensor [T, B, H, W, out]
        Of `weight`'s type.
    """
    inputs = inputs.to(weight.dtype)
    if layer.kind == "linear":
        return functional.linear(inputs, weight)
    images = inputs.flatten(0, 1).permute(0, 3, 1, 2)
    sums = functional.conv2d(images, weight, padding=1)
    sums = sums.permute(0, 2, 3, 1)
    return sums.reshape(*inputs.shape[:2], *sums.shape[1:])


def or_pool(spikes: Tensor) -> Tensor:
    """3x3 max-pool, stride 2, pad 1, of [T, B, H, W, C] with even H and W, in any type: of spikes a logical OR."""
    for dim in (2, 3):
        first, second = spikes.reshape(*spikes.shape[:dim], -1, 2, *spikes.shape[dim + 1 :]).unbind(dim + 1)
        spikes = torch.maximum(first, second)
        reached = spikes.shape[dim] - 1  # windows after the first reach back into the pair before theirs
        inner = spikes.narrow(dim, 1, reached)
        torch.maximum(inner, second.narrow(dim, 0, reached), out=inner)
    return spikes
