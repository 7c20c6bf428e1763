"""Integrate-and-fire neurons, leaky or not, as pure functions: spikes and membrane out, nothing kept inside.

The neuron of Spikformer (arXiv 2209.15425, section 3) as its authors run it: ``H = V + (X - V) / tau`` with tau = 2,
a spike where ``H >= threshold``, hard reset to 0, membrane 0 at the start of every image. Without leak it is
``H = V + X``, and all else the same. The backward pass replaces
the step by a sigmoid of slope `SURROGATE_ALPHA` and lets no gradient through the reset.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

SURROGATE_ALPHA = 4.0
"""Slope of the sigmoid that stands in for the spike's step in the backward pass."""

_CHUNK = 1 << 16
"""Neurons updated at a time, so that the temporaries of a chunk stay in the second-level cache."""


class SurrogateSpike(torch.autograd.Function):
    """Step at zero forward (1 where the input is >= 0), derivative of ``sigmoid(alpha * x)`` backward."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor) -> Tensor:
        """Spikes, in the dtype of `distance` (membrane minus threshold)."""
        ctx.save_for_backward(distance)
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """Gradient of `distance`."""
        (distance,) = ctx.saved_tensors
        sigmoid = torch.sigmoid(distance * SURROGATE_ALPHA)
        return grads[0] * sigmoid * (1 - sigmoid) * SURROGATE_ALPHA


def lif_step(current: Tensor, membrane: Tensor, threshold: float, *, leaky: bool = True) -> tuple[Tensor, Tensor]:
    """Advance neurons by one time step.

    Parameters
    ----------
    current : Tensor
        Input current ``X``, any shape.
    membrane : Tensor
        Membrane ``V`` after the previous step (zeros before the first), same shape.
    threshold : float
        Firing threshold; equality fires.
    leaky : bool
        Whether the neuron leaks.

    Returns
    -------
    spike, membrane : Tensor
        Spikes (0 or 1 in the dtype of `current`) and the membrane after the reset.
    """
    charged = charge(membrane, current, leaky=leaky)
    spike: Tensor = SurrogateSpike.apply(charged - threshold)  # type: ignore[no-untyped-call]
    return spike, charged * (1 - spike.detach())


def charge(membrane: Tensor, current: Tensor, *, leaky: bool) -> Tensor:
    """Membrane before its reset: half of the sum with a leak of tau = 2, the sum without one."""
    total = membrane + current
    return total * 0.5 if leaky else total


def lif_over_time_stepwise(current: Tensor, threshold: float, *, leaky: bool = True) -> Tensor:
    """All T steps of an image by `lif_step`: the readable definition that `lif_over_time` must equal.

    Parameters
    ----------
    current : Tensor
        ``[T, ...]``.
    threshold : float
        Firing threshold.
    leaky : bool
        Whether the neurons leak.

    Returns
    -------
    Tensor
        Spikes ``[T, ...]``.
    """
    membrane = torch.zeros_like(current[0])
    spikes = []
    for step in current:
        spike, membrane = lif_step(step, membrane, threshold, leaky=leaky)
        spikes.append(spike)
    return torch.stack(spikes)


def _spikes(current: Tensor, threshold: float, leaky: bool) -> Tensor:
    """Spikes ``[T, n]`` of currents ``[T, n]``."""
    membrane = torch.zeros_like(current[0], dtype=_wide(current))
    spikes = []
    for step in current.unbind():
        charged = charge(membrane, step.to(membrane.dtype), leaky=leaky)
        spike = torch.where(charged >= threshold, 1.0, 0.0).to(membrane.dtype)
        spikes.append(spike.to(current.dtype))
        membrane = charged * (1 - spike)
    return torch.stack(spikes)


def _gradient(current: Tensor, grad_spikes: Tensor, threshold: float, leaky: bool) -> Tensor:
    """Gradient ``[T, n]`` of the currents: the membranes again, then the steps in reverse."""
    membrane = torch.zeros_like(current[0], dtype=_wide(current))
    history = []
    for step in current.unbind():
        charged = charge(membrane, step.to(membrane.dtype), leaky=leaky)
        silent = torch.where(charged >= threshold, 0.0, 1.0).to(membrane.dtype)
        history.append((charged, silent))
        membrane = charged * silent
    grad_membrane = torch.zeros_like(membrane)
    grads = []
    for (charged, silent), grad_spike in zip(reversed(history), reversed(grad_spikes.unbind()), strict=True):
        sigmoid = torch.sigmoid((charged - threshold) * SURROGATE_ALPHA)
        surrogate = sigmoid * (1 - sigmoid) * SURROGATE_ALPHA
        grad_membrane = charge(grad_spike.to(membrane.dtype) * surrogate, grad_membrane * silent, leaky=leaky)
        grads.append(grad_membrane.to(current.dtype))
    return torch.stack(grads[::-1])


def _wide(current: Tensor) -> torch.dtype:
    """Dtype of the membranes: bf16 currents are summed in fp32."""
    return torch.float32 if current.dtype == torch.bfloat16 else current.dtype


def _in_chunks(function: Callable[..., Tensor], threshold: float, leaky: bool, *tensors: Tensor) -> Tensor:
    """Apply `function` to runs of neurons small enough for the cache."""
    out = torch.empty_like(tensors[0])
    for start in range(0, out.shape[1], _CHUNK):
        piece = slice(start, start + _CHUNK)
        out[:, piece] = function(*(tensor[:, piece] for tensor in tensors), threshold, leaky)
    return out


_compiled: dict[Callable[..., Tensor], Callable[..., Tensor]] = {}


def compile_neurons() -> bool:
    """Have torch compile the neurons into one C++ loop each: the same spikes, training about twice as fast.

    Needs a C++ compiler; without one the neurons stay as they are.

    Returns
    -------
    bool
        Whether they are compiled now.
    """
    torch._dynamo.config.recompile_limit = 64  # one version for each dtype and mode; the default of 8 is a guess
    # By default a child process tries whether vectors work. Where it dies of something else, all is compiled for single
    # numbers, and nobody is told; here the compiled functions themselves are tried.
    torch._inductor.config.cpp.vec_isa_ok = True
    try:
        for function in (_spikes, _gradient):
            compiled = torch.compile(function, dynamic=True)
            tensors = [torch.ones(2, 8)] * (1 if function is _spikes else 2)
            compiled(*tensors, 1.0, True)
            _compiled[function] = compiled
    except Exception:  # whatever the compiler's trouble is, the plain functions give the same result
        _compiled.clear()
    return bool(_compiled)


def _run(function: Callable[..., Tensor], threshold: float, leaky: bool, *tensors: Tensor) -> Tensor:
    if function in _compiled and tensors[0].device.type == "cpu":
        return _compiled[function](*(tensor.contiguous() for tensor in tensors), threshold, leaky)
    return _in_chunks(function, threshold, leaky, *tensors)


class LifOverTime(torch.autograd.Function):
    """All T steps at once, saving only the currents: the backward pass computes the membranes again.

    In bf16 the membranes are kept in fp32; in fp32 and fp64 the spikes equal those of `lif_over_time_stepwise` exactly.
    """

    @staticmethod
    def forward(ctx: Any, current: Tensor, threshold: float, leaky: bool) -> Tensor:
        """Spikes ``[T, n]`` of the currents ``[T, n]``."""
        ctx.save_for_backward(current)
        ctx.threshold, ctx.leaky = threshold, leaky
        return _run(_spikes, threshold, leaky, current)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Gradient of the currents."""
        (current,) = ctx.saved_tensors
        return _run(_gradient, ctx.threshold, ctx.leaky, current, grads[0]), None, None


def lif_over_time(current: Tensor, threshold: float, *, leaky: bool = True) -> Tensor:
    """All T steps of an image, fused.

    Parameters
    ----------
    current : Tensor
        ``[T, n]``: the neurons in any order.
    threshold : float
        Firing threshold; equality fires.
    leaky : bool
        Whether the neurons leak.

    Returns
    -------
    Tensor
        Spikes ``[T, n]``, 0 or 1 in the dtype of `current`.
    """
    spikes: Tensor = LifOverTime.apply(current, threshold, leaky)  # type: ignore[no-untyped-call]
    return spikes
