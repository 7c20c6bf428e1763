"""How often neurons fire, layer by layer and time step by time step, and which integers the residual stream holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from golden.accounting.observer import RunningTotals
from golden.walk import LayerActivity
from sw.network import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class LayerFiring:
    """Activity of one layer's neurons over the images measured.

    Attributes
    ----------
    name : str
    neurons : int
        Neurons that fire or do not, at each time step of an image.
    spikes : float
        Mean spikes per image, all time steps together, before a pool.
    rates : tuple of float
        Share of the neurons that fire, by time step.
    pooled_rates : tuple of float, optional
        The same behind the pool: share of its windows that hold a spike.
    residual_counts : tuple of int, optional
        How often each integer, from 0 to the largest possible, stands in the residual stream after this layer joined
        it: over all images, time steps, positions and channels.
    """

    name: str
    neurons: int
    spikes: float
    rates: tuple[float, ...]
    pooled_rates: tuple[float, ...] | None
    residual_counts: tuple[int, ...] | None

    @property
    def rate(self) -> float:
        """Share of the neurons that fire, over all time steps."""
        return sum(self.rates) / len(self.rates)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dict(self.__dict__)


class FiringStatistics(RunningTotals[LayerFiring]):
    """Measure firing rates and residual integers, of every layer that has neurons; see `RunningTotals`."""

    def __init__(self, network: NetworkConfig):
        super().__init__(network)
        self._counts: dict[tuple[str, str], Tensor] = {}
        self._sizes: dict[tuple[str, str], int] = {}
        self._largest: dict[str, int] = {}
        largest = 1  # the spikes that start the stream
        for layer in network.layers():
            if layer.residual:
                largest = self._largest[layer.name] = network.residual_after(largest)

    def _add(self, activity: LayerActivity) -> None:
        name = activity.layer.name
        if activity.layer.kind == "head":
            return
        self._add_spikes(name, "spikes", activity.spikes)
        if activity.pooled is not None:
            self._add_spikes(name, "pooled", activity.pooled)
        if activity.residual is not None:
            values = activity.residual.flatten().to(torch.int64)
            self._add_counts(name, "residual", values.bincount(minlength=self._largest[name] + 1))

    def _add_spikes(self, name: str, kind: str, spikes: Tensor) -> None:
        """Add spikes [T, B, H, W, C] by time step."""
        self._add_counts(name, kind, spikes.count_nonzero(dim=(1, 2, 3, 4)))
        self._sizes[name, kind] = spikes[0, 0].numel()

    def _add_counts(self, name: str, kind: str, counts: Tensor) -> None:
        self._counts.setdefault((name, kind), torch.zeros_like(counts)).add_(counts)

    def _entries(self) -> Iterator[LayerFiring]:
        for layer in self.network.layers():
            if layer.kind != "head":
                yield LayerFiring(
                    name=layer.name,
                    neurons=self._sizes[layer.name, "spikes"],
                    spikes=int(self._counts[layer.name, "spikes"].sum()) / self.images,
                    rates=self._rates(layer.name, "spikes"),
                    pooled_rates=self._rates(layer.name, "pooled") if layer.pools_spikes else None,
                    residual_counts=tuple(self._counts[layer.name, "residual"].tolist()) if layer.residual else None,
                )

    def _rates(self, name: str, kind: str) -> tuple[float, ...]:
        places = self._sizes[name, kind] * self.images
        return tuple(count / places for count in self._counts[name, kind].tolist())
