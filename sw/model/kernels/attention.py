"""Spiking self attention ``Q (K^T V)`` of all heads: Triton kernels behind one autograd function.

A program does one head of one image at one time step, with ``K^T V`` in registers: q, k and v are read where the linear
layers wrote them, and nothing is transposed in memory. Spikes and the entries of ``K^T V`` (at most `MOST_TOKENS`) are
exact in bf16, their sums are fp32.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

MOST_TOKENS = 256
"""Tokens up to which an entry of ``K^T V`` is exact in bf16."""

HEAD_DIMS = (16, 32, 64, 128)
"""Channels of a head that fill matrix instructions."""

TOKENS = 64
"""Tokens of a tile."""


@triton.jit
def _tile(pointer, base, first, tokens, channels, DIM: tl.constexpr, TOKENS: tl.constexpr):
    """Rows ``first .. first + TOKENS`` of a head."""
    n = first + tl.arange(0, TOKENS)
    at = base + n[:, None] * channels + tl.arange(0, DIM)[None, :]
    return tl.load(pointer + at, mask=n[:, None] < tokens, other=0.0)


@triton.jit
def _put(pointer, value, base, first, tokens, channels, DIM: tl.constexpr, TOKENS: tl.constexpr):
    n = first + tl.arange(0, TOKENS)
    at = base + n[:, None] * channels + tl.arange(0, DIM)[None, :]
    tl.store(pointer + at, value.to(pointer.dtype.element_ty), mask=n[:, None] < tokens)


@triton.jit
def _attend(q, k, v, out, tokens, channels, DIM: tl.constexpr, TOKENS: tl.constexpr):
    """``Q (K^T V)``."""
    base = tl.program_id(0).to(tl.int64) * tokens * channels + tl.program_id(1) * DIM
    kv = tl.zeros((DIM, DIM), tl.float32)
    for first in range(0, tokens, TOKENS):
        key = _tile(k, base, first, tokens, channels, DIM, TOKENS)
        value = _tile(v, base, first, tokens, channels, DIM, TOKENS)
        kv = tl.dot(tl.trans(key), value, kv, input_precision="ieee")
    kv = kv.to(q.dtype.element_ty)
    for first in range(0, tokens, TOKENS):
        query = _tile(q, base, first, tokens, channels, DIM, TOKENS)
        _put(out, tl.dot(query, kv, input_precision="ieee"), base, first, tokens, channels, DIM, TOKENS)


@triton.jit
def _attend_back(q, k, v, grad, dq, dk, dv, tokens, channels, DIM: tl.constexpr, TOKENS: tl.constexpr):
    """Gradients of q, k and v."""
    base = tl.program_id(0).to(tl.int64) * tokens * channels + tl.program_id(1) * DIM
    kv = tl.zeros((DIM, DIM), tl.float32)
    dkv = tl.zeros((DIM, DIM), tl.float32)
    for first in range(0, tokens, TOKENS):
        key = _tile(k, base, first, tokens, channels, DIM, TOKENS)
        value = _tile(v, base, first, tokens, channels, DIM, TOKENS)
        query = _tile(q, base, first, tokens, channels, DIM, TOKENS)
        above = _tile(grad, base, first, tokens, channels, DIM, TOKENS)
        kv = tl.dot(tl.trans(key), value, kv, input_precision="ieee")
        dkv = tl.dot(tl.trans(query), above, dkv, input_precision="ieee")
    kv = kv.to(q.dtype.element_ty)
    dkv = dkv.to(q.dtype.element_ty)
    for first in range(0, tokens, TOKENS):
        key = _tile(k, base, first, tokens, channels, DIM, TOKENS)
        value = _tile(v, base, first, tokens, channels, DIM, TOKENS)
        above = _tile(grad, base, first, tokens, channels, DIM, TOKENS)
        _put(dq, tl.dot(above, tl.trans(kv), input_precision="ieee"), base, first, tokens, channels, DIM, TOKENS)
        _put(dk, tl.dot(value, tl.trans(dkv), input_precision="ieee"), base, first, tokens, channels, DIM, TOKENS)
        _put(dv, tl.dot(key, dkv, input_precision="ieee"), base, first, tokens, channels, DIM, TOKENS)


class SpikingAttention(torch.autograd.Function):
    """``Q (K^T V)`` per head, without the scale."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        """Sums ``[images, tokens, channels]`` of contiguous q, k and v of that shape."""
        ctx.save_for_backward(q, k, v)
        ctx.heads = heads
        images, tokens, channels = q.shape
        out = torch.empty_like(q)
        _attend[(images, heads)](q, k, v, out, tokens, channels, DIM=channels // heads, TOKENS=TOKENS)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of q, k and v."""
        q, k, v = ctx.saved_tensors
        images, tokens, channels = q.shape
        dq, dk, dv = (torch.empty_like(q) for _ in range(3))
        _attend_back[(images, ctx.heads)](
            q, k, v, gradients[0].contiguous(), dq, dk, dv, tokens, channels, DIM=channels // ctx.heads, TOKENS=TOKENS
        )
        return dq, dk, dv, None
