"""The spiking neuron in integers: leaky integrate-and-fire, tau = 2, or without leak; hard reset, without rounding.

Spikformer's neuron is ``H = (V + X) / 2``, spike ``H >= theta``, then ``V = 0 where spike else H``. Each halving adds
one fractional bit; keeping ``G_t = 2^t H_t`` instead makes every step an integer addition (see `sw.artifact.artifact`).
Without leak, ``H = V + X``, there is nothing to halve.
"""

from __future__ import annotations

import torch
from torch import Tensor


def thresholds_at(threshold: Tensor, timesteps: int) -> Tensor:
    """Integer limits on ``G_t`` itself: ``G_t 2^(T-t) >= threshold`` is ``G_t >= ceil(threshold / 2^(T-t))``.

    Parameters
    ----------
    threshold : int64 Tensor [C]
        In units of ``2^-(f+T)``.
    timesteps : int
        Time steps ``T``.

    Returns
    -------
    int64 Tensor [T, C]
        For t = 1..T.
    """
    steps_left = torch.arange(timesteps - 1, -1, -1)
    return -(-threshold >> steps_left[:, None])


def lif(
    current: Tensor, threshold: Tensor, timesteps: int, out: Tensor | None = None, *, leaky: bool = True
) -> tuple[Tensor, Tensor]:
    """Run the neuron over the time steps of an image, from a membrane of zero.

    Parameters
    ----------
    current : int32 or int64 Tensor [T, ..., C] or [1, ..., C]
        Current ``C_t``, or one current for all time steps. Its type must hold every ``G_t`` (see `sw.artifact.ranges`).
    threshold : int64 Tensor [C]
        In units of ``2^-(f+T)``, at least 1; without leak, of ``2^-f``.
    timesteps : int
        Time steps ``T``.
    out : Tensor [T, ..., C], optional
        Where to write ``G_t``, of `current`'s type; may be `current` itself, which is then lost.
    leaky : bool
        Whether the neuron leaks.

    Returns
    -------
    spikes : bool Tensor [T, ..., C]
    charged : Tensor [T, ..., C]
        ``G_t`` before the reset, of `current`'s type.

    Raises
    ------
    ValueError
        If `current` has neither `timesteps` steps nor one.
    """
    if current.shape[0] not in (1, timesteps):
        raise ValueError(f"current must hold {timesteps} time steps or 1, not {current.shape[0]}")
    limits = thresholds_at(threshold, timesteps) if leaky else threshold.expand(timesteps, -1)
    # ``G_t > limit - 1``: no integer of the type is above its largest one, which stands for every limit beyond it.
    limits = (limits - 1).clamp(max=torch.iinfo(current.dtype).max).to(current.dtype)
    charged = torch.empty((timesteps, *current.shape[1:]), dtype=current.dtype) if out is None else out
    spikes = torch.empty(charged.shape, dtype=torch.bool)
    membrane, fired = torch.zeros_like(charged[0]), torch.empty_like(charged[0])
    for t, limit in enumerate(limits):
        torch.add(membrane, current[min(t, len(current) - 1)], alpha=1 << t if leaky else 1, out=charged[t])
        # Comparing into integers and multiplying is vector code in PyTorch; bools and masks are many times slower.
        torch.gt(charged[t], limit, out=fired)
        torch.addcmul(charged[t], charged[t], fired, value=-1, out=membrane)
        spikes[t] = fired
    return spikes, charged
