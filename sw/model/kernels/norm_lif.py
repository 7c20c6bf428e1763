"""Batch norm and LIF over all T steps in one pass each way: `norm_lif_kernels` behind autograd functions.

A training step of a spiking network moves far more bytes than it does arithmetic. Per neuron and step this reads the
current twice and writes the spike going forward (moments, then norm and neuron together), and reads current and
gradient twice and writes one gradient going backward. Membranes, normalised currents and surrogate slopes exist in
registers only: the backward pass computes them again. Sums and membranes are fp32 whatever the dtype of the currents.

The neuron is `sw.model.neuron.lif_step`, which keeps half of the sum of membrane and current (SHARE), or without leak
all of it; the reference of both passes is `torch.nn.BatchNorm2d` and `sw.model.neuron.lif_over_time_stepwise`, which
the tests compare them with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from sw.model.kernels import norm_lif_kernels as kernels
from sw.model.neuron import SURROGATE_ALPHA

ROWS = 16
"""Rows of a tile; a row is one position of one image, all of its channels lie side by side in memory."""

PROGRAMS = 1024
"""Programs that share the rows of a reduction."""


class Neuron(NamedTuple):
    """How a layer's neurons run.

    Attributes
    ----------
    steps : int
        Time steps T.
    threshold : float
        Firing threshold; equality fires.
    leaky : bool
        Whether they leak.
    """

    steps: int
    threshold: float
    leaky: bool

    @property
    def share(self) -> float:
        """Of the sum of membrane and current, what is kept."""
        return 0.5 if self.leaky else 1.0


class _Tiles:
    """How ``[steps, rows, channels]`` is cut into tiles."""

    def __init__(self, x: Tensor) -> None:
        self.rows, self.channels = x.shape[1], x.shape[2]
        self.width = min(64, triton.next_power_of_2(self.channels))
        self.columns = triton.cdiv(self.channels, self.width)

    def grid(self) -> tuple[int, int]:
        return triton.cdiv(self.rows, ROWS), self.columns

    def programs(self, rows: int) -> int:
        return max(1, min(PROGRAMS // self.columns, triton.cdiv(rows, ROWS)))

    def finish(self) -> tuple[int]:
        return (triton.cdiv(self.channels, 16),)


class NormLif(torch.autograd.Function):
    """Batch norm over steps and rows (training mode), then the neuron; see `norm_lif`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, offset: Tensor, bias: Tensor | None, running_mean: Tensor,
        running_var: Tensor, neuron: Neuron, momentum: float, eps: float,
    ) -> Tensor:  # fmt: skip
        """Spikes ``[steps, rows, channels]``."""
        tiles = _Tiles(x)
        rows = x.shape[0] * tiles.rows
        programs = tiles.programs(rows)
        partial = torch.empty(2, programs, tiles.channels, device=x.device)
        norm = torch.empty(4, tiles.channels, device=x.device)
        kernels.moments[(programs, tiles.columns)](
            x, partial, rows, tiles.channels, programs, ROWS=ROWS, CHANNELS=tiles.width
        )
        kernels.finish_moments[tiles.finish()](
            partial, gain, offset, gain if bias is None else bias, running_mean, running_var, norm, rows,
            tiles.channels, programs, momentum, eps, BIASED=bias is not None, PROGRAMS=64, CHANNELS=16,
        )  # fmt: skip
        ctx.save_for_backward(x, norm)
        ctx.neuron = neuron
        return _spikes(x, norm[2], norm[3], neuron)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of `x`, gain and offset. The bias has none: the mean takes it off again."""
        x, norm = ctx.saved_tensors
        grad = gradients[0].contiguous()
        grads, means = _sums(x, grad, norm, ctx.neuron)
        out = _gradient(x, grad, norm[2], norm[3], means, ctx.neuron)
        return out, grads[0], grads[1], None, None, None, None, None, None


class ScaledLif(torch.autograd.Function):
    """The neuron behind a given scale and shift of every channel: batch norm whose statistics stand still."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, neuron: Neuron) -> Tensor:
        """Spikes ``[steps, rows, channels]`` of `x` ``[steps or 1, rows, channels]``, both of its factors fp32."""
        ctx.save_for_backward(x, scale, shift)
        ctx.neuron = neuron
        return _spikes(x, scale, shift, neuron)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of `x`, scale and shift."""
        x, scale, shift = ctx.saved_tensors
        grad = gradients[0].contiguous()
        sums: tuple[Tensor | None, Tensor | None] = (None, None)
        if ctx.needs_input_grad[1]:
            norm = torch.stack((torch.zeros_like(scale), torch.ones_like(scale), scale, shift))
            weighted, plain = _sums(x, grad, norm, ctx.neuron)[0]
            sums = (weighted, plain)
        return _gradient(x, grad, scale, shift, None, ctx.neuron), *sums, None


def _spikes(x: Tensor, scale: Tensor, shift: Tensor, neuron: Neuron) -> Tensor:
    tiles = _Tiles(x)
    spikes = torch.empty(neuron.steps, tiles.rows, tiles.channels, device=x.device, dtype=x.dtype)
    kernels.fire[tiles.grid()](
        x, scale, shift, spikes, tiles.rows, tiles.channels, neuron.threshold, SHARE=neuron.share,
        STEPS=neuron.steps, REPEAT=x.shape[0] < neuron.steps, ROWS=ROWS, CHANNELS=tiles.width,
    )  # fmt: skip
    return spikes


def _sums(x: Tensor, grad: Tensor, norm: Tensor, neuron: Neuron) -> tuple[Tensor, Tensor]:
    """Gradients of gain and offset, and what batch norm takes off the gradient of `x`: both ``[2, channels]``."""
    tiles = _Tiles(x)
    programs = tiles.programs(tiles.rows)
    partial = torch.empty(2, programs, tiles.channels, device=x.device)
    grads, means = torch.empty(2, 2, tiles.channels, device=x.device)
    kernels.slope_sums[(programs, tiles.columns)](
        x, grad, norm, partial, tiles.rows, tiles.channels, programs, neuron.threshold, SHARE=neuron.share,
        STEPS=neuron.steps, REPEAT=x.shape[0] < neuron.steps, ALPHA=SURROGATE_ALPHA, ROWS=ROWS, CHANNELS=tiles.width,
    )  # fmt: skip
    kernels.finish_slopes[tiles.finish()](
        partial, norm, grads, means, x.shape[0] * tiles.rows, tiles.channels, programs, PROGRAMS=64, CHANNELS=16
    )
    return grads, means


def _gradient(x: Tensor, grad: Tensor, scale: Tensor, shift: Tensor, means: Tensor | None, neuron: Neuron) -> Tensor:
    tiles = _Tiles(x)
    out = torch.empty_like(x)
    kernels.slopes[tiles.grid()](
        x, grad, scale, shift, scale if means is None else means, out, tiles.rows, tiles.channels, neuron.threshold,
        SHARE=neuron.share, STEPS=neuron.steps, REPEAT=x.shape[0] < neuron.steps, NORMED=means is not None,
        ALPHA=SURROGATE_ALPHA, ROWS=ROWS, CHANNELS=tiles.width,
    )  # fmt: skip
    return out
