"""Nodes of NIR as a Spikformer in integers needs them, and what the neuron's equation means in time steps.

NIR's neurons are differential equations, ``tau dv/dt = v_leak - v + r i`` (`LIF`) and ``dv/dt = r i`` (`IF`), with a
spike where ``v > v_threshold`` and ``v = v_reset`` behind it. By the forward Euler method, in steps of `DT`, and with
these constants, they are the neurons of `sw.artifact.artifact`::

    LIF  tau = 2 dt, r = 1, v_leak = 0    v + dt/tau (i - v) = (v + i) / 2
    IF   r = 1 / dt                       v + dt r i         = v + i
    both v_reset = 0                      hard reset

A spike there is ``v >= threshold``. Membranes are multiples of a unit, so that is ``v > threshold - unit / 2``: no
membrane meets that limit, and tools that compare with ``>=`` give the same spikes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.formats.nir.library import nir

DT = 1e-4
"""Seconds of a time step, as in snnTorch, SpikingJelly and the NIR paper; only its ratio to `tau` and `r` matters."""

TAU = 2 * DT

LARGEST_THRESHOLD = 1 << 52
"""Largest integer threshold: half a unit less is a float64 to its last bit."""

Shape = tuple[int, ...]


def conv(weight: NDArray[Any], bias: NDArray[Any] | float, grid: int) -> Any:
    """A convolution that keeps the grid, which has `grid` rows and columns; ``[out, in]`` weights are a 1x1 kernel.

    Parameters
    ----------
    weight : array [out, in, 3, 3] or [out, in]
    bias : array [out], or one number
    grid : int
    """
    kernel = np.asarray(weight, np.float64).reshape(*weight.shape[:2], *(weight.shape[2:] or (1, 1)))
    return nir.Conv2d(
        input_shape=(grid, grid), weight=kernel, stride=(1, 1), padding=(kernel.shape[2] // 2,) * 2, dilation=(1, 1),
        groups=1, bias=np.broadcast_to(np.float64(bias), kernel.shape[:1]),
    )  # fmt: skip


def neuron(limit: NDArray[np.float64], grid: int, *, leaky: bool) -> Any:
    """Neurons [C, grid, grid] that spike above `limit`, float64 [C]."""
    shape = (len(limit), grid, grid)
    limits = np.broadcast_to(limit[:, None, None], shape)
    if leaky:
        return nir.LIF(
            tau=filled(TAU, shape), r=filled(1, shape), v_leak=filled(0, shape), v_threshold=limits,
            v_reset=filled(0, shape),
        )  # fmt: skip
    return nir.IF(r=filled(1 / DT, shape), v_threshold=limits, v_reset=filled(0, shape))


def limits(threshold: NDArray[np.int64], bits: int) -> NDArray[np.float64]:
    """Half a unit below integer thresholds that count units of ``2^-bits``."""
    return np.ldexp(2 * threshold.astype(np.float64) - 1, -(bits + 1))


def spike_above(limit: float, shape: Shape) -> Any:
    """1 where the sum of what comes in is above `limit`, otherwise 0."""
    return nir.Threshold(threshold=filled(limit, shape))


def times(factor: float, shape: Shape) -> Any:
    """The sum of what comes in, times a number."""
    return nir.Scale(scale=filled(factor, shape))


def sums(kernel: int, stride: int, padding: int) -> Any:
    """Sum over a square window, zero outside the grid."""
    return nir.SumPool2d(
        kernel_size=np.array([kernel] * 2), stride=np.array([stride] * 2), padding=np.array([padding] * 2)
    )


def integral(shape: Shape) -> Any:
    """Sum over the time steps."""
    return nir.I(r=filled(1 / DT, shape))


def filled(value: float, shape: Shape) -> NDArray[np.float64]:
    """One number in every place, which takes no memory until it is written."""
    return np.broadcast_to(np.float64(value), shape)
