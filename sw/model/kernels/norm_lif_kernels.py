"""Triton kernels of `sw.model.kernels.norm_lif`: moments and spikes going forward, slopes and their sums backward.

A tile is ROWS rows by CHANNELS channels; a row is one position of one image, all of its channels lie side by side in
memory. Sums over rows are made by `programs` programs, each over some of the rows, and then finished over the programs.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def moments(x, partial, rows, channels, programs, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    """Sums and sums of squares of a program's rows, to ``partial[2, programs, channels]``."""
    program = tl.program_id(0)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros((ROWS, CHANNELS), tl.float32)
    squares = tl.zeros((ROWS, CHANNELS), tl.float32)
    for first in range(program * ROWS, rows, programs * ROWS):
        r = first + tl.arange(0, ROWS)
        inside = (r[:, None] < rows) & (c[None, :] < channels)
        value = tl.load(x + r[:, None].to(tl.int64) * channels + c[None, :], mask=inside, other=0.0).to(tl.float32)
        total += value
        squares += value * value
    out = partial + program * channels + c
    tl.store(out, tl.sum(total, axis=0), mask=c < channels)
    tl.store(out + programs * channels, tl.sum(squares, axis=0), mask=c < channels)


@triton.jit
def _column_sums(partial, c, channels, programs, PROGRAMS: tl.constexpr, CHANNELS: tl.constexpr):
    """Sum of ``partial[programs, channels]`` over the programs."""
    total = tl.zeros((PROGRAMS, CHANNELS), tl.float32)
    for first in range(0, programs, PROGRAMS):
        p = first + tl.arange(0, PROGRAMS)
        inside = (p[:, None] < programs) & (c[None, :] < channels)
        total += tl.load(partial + p[:, None] * channels + c[None, :], mask=inside, other=0.0)
    return tl.sum(total, axis=0)


@triton.jit
def finish_moments(
    partial, gain, offset, bias, running_mean, running_var, norm, rows, channels, programs, momentum, eps,
    BIASED: tl.constexpr, PROGRAMS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Mean, 1/deviation, scale and shift of every channel to ``norm[4, channels]``; running statistics move on."""
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside = c < channels
    mean = _column_sums(partial, c, channels, programs, PROGRAMS, CHANNELS) / rows
    squares = _column_sums(partial + programs * channels, c, channels, programs, PROGRAMS, CHANNELS) / rows
    variance = tl.maximum(squares - mean * mean, 0.0)
    deviation = 1.0 / tl.sqrt(variance + eps)
    scale = tl.load(gain + c, mask=inside, other=0.0) * deviation
    tl.store(norm + c, mean, mask=inside)
    tl.store(norm + channels + c, deviation, mask=inside)
    tl.store(norm + 2 * channels + c, scale, mask=inside)
    tl.store(norm + 3 * channels + c, tl.load(offset + c, mask=inside, other=0.0) - mean * scale, mask=inside)
    if BIASED:
        mean += tl.load(bias + c, mask=inside, other=0.0)
    before = tl.load(running_mean + c, mask=inside, other=0.0)
    tl.store(running_mean + c, before + momentum * (mean - before), mask=inside)
    before = tl.load(running_var + c, mask=inside, other=0.0)
    unbiased = variance * (rows / tl.maximum(rows - 1.0, 1.0))
    tl.store(running_var + c, before + momentum * (unbiased - before), mask=inside)


@triton.jit
def fire(
    x, scale, shift, spikes, rows, channels, threshold, SHARE: tl.constexpr,
    STEPS: tl.constexpr, REPEAT: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Spikes ``[T, rows, channels]`` of the currents ``scale * x + shift``, `x` of as many steps or (REPEAT) one."""
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    inside = (r[:, None] < rows) & (c[None, :] < channels)
    at = r[:, None].to(tl.int64) * channels + c[None, :]
    step = rows.to(tl.int64) * channels
    a = tl.load(scale + c, mask=c < channels, other=0.0)[None, :]
    b = tl.load(shift + c, mask=c < channels, other=0.0)[None, :]
    membrane = tl.zeros((ROWS, CHANNELS), tl.float32)
    if REPEAT:
        current = tl.load(x + at, mask=inside, other=0.0).to(tl.float32) * a + b
    for t in tl.static_range(STEPS):
        if not REPEAT:
            current = tl.load(x + t * step + at, mask=inside, other=0.0).to(tl.float32) * a + b
        charged = (membrane + current) * SHARE
        fired = charged >= threshold
        tl.store(spikes + t * step + at, fired.to(spikes.dtype.element_ty), mask=inside)
        membrane = tl.where(fired, 0.0, charged)


@triton.jit
def _charges(x, at, step, inside, a, b, threshold, SHARE: tl.constexpr, STEPS: tl.constexpr, REPEAT: tl.constexpr):
    """Inputs and membranes before the reset of every step, as two tuples of tiles."""
    value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    charged = (value * a + b) * SHARE
    values = (value,)
    charges = (charged,)
    for t in tl.static_range(1, STEPS):
        if not REPEAT:
            value = tl.load(x + t * step + at, mask=inside, other=0.0).to(tl.float32)
        charged = (tl.where(charged >= threshold, 0.0, charged) + value * a + b) * SHARE
        values = values + (value,)  # type: ignore[assignment]
        charges = charges + (charged,)  # type: ignore[assignment]
    return values, charges


@triton.jit
def _slope(grad, at, step, inside, charged, later, t, threshold, SHARE: tl.constexpr, ALPHA: tl.constexpr):
    """Gradient of the current of step `t`, which is that of the membrane before it too.

    `later` is the gradient of the membrane behind this step; the reset lets none of it through to a neuron that fired.
    """
    sigmoid = tl.sigmoid((charged - threshold) * ALPHA)
    above = tl.load(grad + t * step + at, mask=inside, other=0.0).to(tl.float32)
    return (above * (sigmoid * (1.0 - sigmoid) * ALPHA) + tl.where(charged >= threshold, 0.0, later)) * SHARE


@triton.jit
def slope_sums(
    x, grad, norm, partial, rows, channels, programs, threshold, SHARE: tl.constexpr,
    STEPS: tl.constexpr, REPEAT: tl.constexpr, ALPHA: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Sums of the currents' gradients, alone and times the normalised current: ``partial[2, programs, channels]``."""
    program = tl.program_id(0)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    known = c < channels
    mean = tl.load(norm + c, mask=known, other=0.0)[None, :]
    deviation = tl.load(norm + channels + c, mask=known, other=0.0)[None, :]
    a = tl.load(norm + 2 * channels + c, mask=known, other=0.0)[None, :]
    b = tl.load(norm + 3 * channels + c, mask=known, other=0.0)[None, :]
    step = rows.to(tl.int64) * channels
    plain = tl.zeros((ROWS, CHANNELS), tl.float32)
    weighted = tl.zeros((ROWS, CHANNELS), tl.float32)
    for first in range(program * ROWS, rows, programs * ROWS):
        r = first + tl.arange(0, ROWS)
        inside = (r[:, None] < rows) & (c[None, :] < channels)
        at = r[:, None].to(tl.int64) * channels + c[None, :]
        values, charges = _charges(x, at, step, inside, a, b, threshold, SHARE, STEPS, REPEAT)
        later = tl.zeros((ROWS, CHANNELS), tl.float32)
        for back in tl.static_range(STEPS):
            later = _slope(
                grad, at, step, inside, charges[STEPS - 1 - back], later, STEPS - 1 - back, threshold, SHARE, ALPHA
            )
            plain += later
            weighted += later * (values[STEPS - 1 - back] - mean) * deviation
    out = partial + program * channels + c
    tl.store(out, tl.sum(plain, axis=0), mask=known)
    tl.store(out + programs * channels, tl.sum(weighted, axis=0), mask=known)


@triton.jit
def finish_slopes(
    partial, norm, grads, means, rows, channels, programs, PROGRAMS: tl.constexpr, CHANNELS: tl.constexpr
):
    """Gradients of gain and offset to ``grads[2, channels]``; what batch norm takes off, ``k1 x + k0``, to `means`."""
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    inside = c < channels
    plain = _column_sums(partial, c, channels, programs, PROGRAMS, CHANNELS)
    weighted = _column_sums(partial + programs * channels, c, channels, programs, PROGRAMS, CHANNELS)
    tl.store(grads + c, weighted, mask=inside)
    tl.store(grads + channels + c, plain, mask=inside)
    mean = tl.load(norm + c, mask=inside, other=0.0)
    deviation = tl.load(norm + channels + c, mask=inside, other=0.0)
    scale = tl.load(norm + 2 * channels + c, mask=inside, other=0.0) / rows
    tl.store(means + c, scale * weighted * deviation, mask=inside)
    tl.store(means + channels + c, scale * (plain - weighted * deviation * mean), mask=inside)


@triton.jit
def slopes(
    x, grad, scale, shift, means, out, rows, channels, threshold, SHARE: tl.constexpr,
    STEPS: tl.constexpr, REPEAT: tl.constexpr, NORMED: tl.constexpr, ALPHA: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Gradient of `x`, through the neuron, the scale and (NORMED) the moments that the scale was made of."""
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    known = c < channels
    inside = (r[:, None] < rows) & known[None, :]
    at = r[:, None].to(tl.int64) * channels + c[None, :]
    step = rows.to(tl.int64) * channels
    a = tl.load(scale + c, mask=known, other=0.0)[None, :]
    b = tl.load(shift + c, mask=known, other=0.0)[None, :]
    slope = tl.zeros((1, CHANNELS), tl.float32)
    base = tl.zeros((1, CHANNELS), tl.float32)
    if NORMED:
        slope = tl.load(means + c, mask=known, other=0.0)[None, :]
        base = tl.load(means + channels + c, mask=known, other=0.0)[None, :]
    values, charges = _charges(x, at, step, inside, a, b, threshold, SHARE, STEPS, REPEAT)
    later = tl.zeros((ROWS, CHANNELS), tl.float32)
    total = tl.zeros((ROWS, CHANNELS), tl.float32)
    for back in tl.static_range(STEPS):
        later = _slope(
            grad, at, step, inside, charges[STEPS - 1 - back], later, STEPS - 1 - back, threshold, SHARE, ALPHA
        )
        if REPEAT:
            total += later
        else:
            result = later * a - values[STEPS - 1 - back] * slope - base
            tl.store(out + (STEPS - 1 - back) * step + at, result.to(out.dtype.element_ty), mask=inside)
    if REPEAT:
        tl.store(out + at, (total * a - values[0] * slope - base).to(out.dtype.element_ty), mask=inside)
