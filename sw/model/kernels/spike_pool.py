"""3x3 max-pool of stride 2, pad 1, that remembers its winners in a byte: Triton kernels behind one autograd function.

The gradient of a window goes to its first largest input, as in `torch.nn.functional.max_pool2d`, which this equals.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

POSITIONS = 16
"""Positions of a tile; the channels of a position lie side by side in memory."""


@triton.jit
def _pool(
    x, out, winner, positions, channels, height, width, high, wide, POSITIONS: tl.constexpr, CHANNELS: tl.constexpr
):
    """Largest of every window to `out` and its tap, 0 to 8, to `winner`: both ``[images, high, wide, channels]``."""
    n = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    column, row, image = n % wide, n // wide % high, n // wide // high
    known = n < positions
    best = tl.full((POSITIONS, CHANNELS), -1.0, tl.float32)
    chosen = tl.zeros((POSITIONS, CHANNELS), tl.int32)
    for tap in tl.static_range(9):
        y = 2 * row + (tap // 3 - 1)
        z = 2 * column + (tap % 3 - 1)
        inside = known & (y >= 0) & (y < height) & (z >= 0) & (z < width)
        at = ((image * height + y) * width + z)[:, None].to(tl.int64) * channels + c
        value = tl.load(x + at, mask=inside[:, None] & (c < channels), other=-1.0).to(tl.float32)
        larger = value > best
        best = tl.where(larger, value, best)
        chosen = tl.where(larger, tap, chosen)
    at = n[:, None].to(tl.int64) * channels + c
    tl.store(out + at, best.to(out.dtype.element_ty), mask=known[:, None] & (c < channels))
    tl.store(winner + at, chosen.to(tl.uint8), mask=known[:, None] & (c < channels))


@triton.jit
def _unpool(
    grad, winner, out, positions, channels, height, width, high, wide,
    POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Gradient ``[images, height, width, channels]``: of the up to four windows that an input lies in, those it won."""
    n = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    z, y, image = n % width, n // width % height, n // width // height
    known = n < positions
    total = tl.zeros((POSITIONS, CHANNELS), tl.float32)
    for which in tl.static_range(4):
        row = (y + which // 2) // 2
        column = (z + which % 2) // 2
        tap = (y - 2 * row + 1) * 3 + (z - 2 * column + 1)
        # An even coordinate has one window along its axis, found twice: the second time does not count.
        new = ((which // 2 == 0) | (y % 2 == 1)) & ((which % 2 == 0) | (z % 2 == 1))
        inside = (known & new & (row < high) & (column < wide))[:, None] & (c < channels)
        at = ((image * high + row) * wide + column)[:, None].to(tl.int64) * channels + c
        won = tl.load(winner + at, mask=inside, other=255).to(tl.int32) == tap[:, None]
        total += tl.where(won, tl.load(grad + at, mask=inside, other=0.0).to(tl.float32), 0.0)
    at = n[:, None].to(tl.int64) * channels + c
    tl.store(out + at, total.to(out.dtype.element_ty), mask=known[:, None] & (c < channels))


def _grid(positions: int, channels: int) -> tuple[tuple[int, int], int]:
    """Programs of each axis, and channels of a tile."""
    width = min(64, triton.next_power_of_2(channels))
    return (triton.cdiv(positions, POSITIONS), triton.cdiv(channels, width)), width


class SpikePool(torch.autograd.Function):
    """Max-pool of non-negative values ``[images, height, width, channels]``, contiguous, even height and width."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Pooled values ``[images, height / 2, width / 2, channels]``."""
        images, height, width, channels = x.shape
        out = torch.empty(images, height // 2, width // 2, channels, device=x.device, dtype=x.dtype)
        winner = torch.empty(out.shape, device=x.device, dtype=torch.uint8)
        positions = images * (height // 2) * (width // 2)
        grid, tile = _grid(positions, channels)
        _pool[grid](
            x, out, winner, positions, channels, height, width, height // 2, width // 2,
            POSITIONS=POSITIONS, CHANNELS=tile,
        )  # fmt: skip
        ctx.save_for_backward(winner)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Gradient of the input."""
        (winner,) = ctx.saved_tensors
        images, high, wide, channels = winner.shape
        grad = gradients[0].contiguous()
        out = torch.empty(images, 2 * high, 2 * wide, channels, device=grad.device, dtype=grad.dtype)
        positions = images * 4 * high * wide
        grid, tile = _grid(positions, channels)
        _unpool[grid](
            grad, winner, out, positions, channels, 2 * high, 2 * wide, high, wide,
            POSITIONS=POSITIONS, CHANNELS=tile,
        )  # fmt: skip
        return out
