"""The spiking neuron in integers: leaky integrate-and-fire, tau = 2, hard reset, without rounding.

Spikformer's neuron is ``H = (V + X) / 2``, spike ``H >= theta``, then ``V = 0 where spike else H``. Each halving adds
one fractional bit; keeping ``G_t = 2^t H_t`` instead makes every step an integer addition (see `sw.artifact`).
"""

from __future__ import annotations

import torch
from torch import Tensor


def thresholds_at(threshold: Tensor, timesteps: int) -> list[Tensor]:
    """Integer limits on ``G_t`` itself: ``G_t 2^(T-t) >= threshold`` is ``G_t >= ceil(threshold / 2^(T-t))``.

    Parameters
    ----------
    threshold : int64 Tensor [C]
        In units of ``2^-(f+T)``.
    timesteps : int
        Time steps ``T``.

    Returns
    -------
    list of int64 Tensor [C]
        For t = 1..T.
    """
    return [-((-threshold) >> (timesteps - t)) for t in range(1, timesteps + 1)]


def lif_step(membrane: Tensor | None, current: Tensor, limit: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor]:
    """One time step of the neuron.

    Parameters
    ----------
    membrane : int Tensor, optional
        ``G_(t-1)`` after its reset; None stands for zero.
    current : int Tensor [..., C]
        ``C_t``.
    limit : int Tensor [C]
        ``ceil(threshold / 2^(T-t))``.
    t : int
        Time step, from 1.

    Returns
    -------
    spike : bool Tensor
    charged : int Tensor
        ``G_t`` before the reset.
    membrane : int Tensor
        ``G_t`` after the reset.
    """
    charged = current << (t - 1)
    if membrane is not None:
        charged = charged.add_(membrane)
    spike = charged >= limit
    return spike, charged, charged.masked_fill(spike, 0)


def lif(current: Tensor, threshold: Tensor, timesteps: int) -> tuple[Tensor, Tensor]:
    """Run the neuron over the time steps of an image, from a membrane of zero.

    Parameters
    ----------
    current : int32 or int64 Tensor [T, ..., C] or [1, ..., C]
        Current ``C_t``, or one current for all time steps. Its type must hold every ``G_t`` (see `sw.ranges`).
    threshold : int64 Tensor [C]
        In units of ``2^-(f+T)``, at least 1.
    timesteps : int
        Time steps ``T``.

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
    top = torch.iinfo(current.dtype).max
    limits = [limit.clamp(max=top).to(current.dtype) for limit in thresholds_at(threshold, timesteps)]
    spikes, charges = [], []
    membrane = None
    for t, limit in enumerate(limits, start=1):
        spike, charged, membrane = lif_step(membrane, current[min(t, current.shape[0]) - 1], limit, t)
        spikes.append(spike)
        charges.append(charged)
    return torch.stack(spikes), torch.stack(charges)
