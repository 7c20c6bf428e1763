"""How many operations a network has, and how many of them its spikes make necessary.

Papers count differently, so every number here says what it counts. One synaptic operation is one accumulation: a
weight (or, in attention, a one) added because an input bit is 1.

``macs``
    Multiply-accumulates of one time step: positions x taps x input channels x output channels, borders included.
    Attention counts ``2 N d^2`` per head, the order ``K^T V`` first; the head is applied at every token.
``dense``
    ``macs`` x T. An image is the same at every time step, so ``conv0`` counts once. Attention's are AND-accumulates.
``plane_sops``
    ``dense`` x bit-planes of the input: AND-accumulates of a machine that skips nothing. In attention ``K^T V`` has one
    plane and ``Q (K^T V)`` as many as it takes to hold N.
``executed``
    Measured. Every input bit that is 1 (spike, bit of a residual integer, bit of the two's complement image pixel)
    times its fan-out: the output positions its taps reach inside the image, exact at the borders, x output channels.
    Attention: the pairs of key and value that both fire at a token, plus, for every query spike, the ones in the
    bits of the ``d`` entries of ``K^T V`` that it selects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from golden.accounting.observer import RunningTotals
from golden.attention import key_value, split_heads
from golden.walk import LayerActivity
from sw.layer import Layer
from sw.network import STEM, NetworkConfig


@dataclass(frozen=True, kw_only=True)
class LayerOperations:
    """Operations of one layer; counts are per image.

    Attributes
    ----------
    name : str
    macs : int
        Per time step.
    steps : int
        Time steps that count: T, but 1 for the image layer.
    planes : int
        Bit-planes of the input; for attention of ``K^T V``.
    plane_sops : int
    executed_sops : float, optional
        Mean over the measured images; None if nothing was measured.
    input_rate : float, optional
        Share of the inputs that are not zero (attention: of q, k and v together), in 0..1.
    input_mean : float, optional
        Mean input integer; equals `input_rate` for spikes.
    """

    name: str
    macs: int
    steps: int
    planes: int
    plane_sops: int
    executed_sops: float | None = None
    input_rate: float | None = None
    input_mean: float | None = None

    @property
    def dense_sops(self) -> int:
        """Dense synaptic operations of an image."""
        return self.macs * self.steps

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "dense_sops": self.dense_sops}


def layer_macs(network: NetworkConfig, layer: Layer) -> int:
    """Multiply-accumulates of `layer` in one time step."""
    if layer.kind == "attention":
        return 2 * network.tokens * network.head_dim**2 * network.heads
    return layer.positions * layer.taps * layer.in_channels * layer.out_channels


def dense_operations(network: NetworkConfig) -> tuple[LayerOperations, ...]:
    """Count every layer of `network` without measuring anything, in order of execution."""
    counts = []
    for layer in network.layers():
        macs = layer_macs(network, layer)
        steps = 1 if layer.source == "image" else network.timesteps
        planes = layer.input_planes
        plane_sops = macs * steps * planes
        if layer.kind == "attention":
            planes = network.tokens.bit_length()
            plane_sops = macs * steps // 2 * (1 + planes)
        counts.append(LayerOperations(name=layer.name, macs=macs, steps=steps, planes=planes, plane_sops=plane_sops))
    return tuple(counts)


def paper_layer_macs(network: NetworkConfig, layer: Layer) -> int:
    """Multiply-accumulates of `layer` in one time step as Spikformer's paper counts them; none for the head.

    Attention is multiplied as the authors' code of that variant does it: ``(Q K^T) V``, ``2 N^2 D``, with two pools
    (CIFAR) and for event frames, whose attention has the scale 0.25; ``Q (K^T V)``, ``2 N d D``, with four (ImageNet).
    """
    if layer.kind == "head":
        return 0
    imagenet = network.pools == STEM and network.attention_scale == 0.125
    if layer.kind == "attention" and not imagenet:
        return 2 * network.tokens**2 * network.embed_dim
    return layer_macs(network, layer)


def paper_macs(network: NetworkConfig) -> int:
    """Multiply-accumulates of one time step as Spikformer's paper counts them: the sum of `paper_layer_macs`."""
    return sum(paper_layer_macs(network, layer) for layer in network.layers())


def count_ones(values: Tensor) -> Tensor:
    """Ones in the 8-bit two's complement form of each integer; int64 of the same shape."""
    bits = values.to(torch.int64) & 0xFF
    return sum(((bits >> plane) & 1 for plane in range(8)), torch.zeros_like(bits))


def reached_positions(height: int, width: int) -> Tensor:
    """Output positions inside the image that the 3x3 taps of each input position reach; int64 [height, width]."""

    def along(size: int) -> Tensor:
        index = torch.arange(size)
        return 1 + (index > 0).to(torch.int64) + (index < size - 1).to(torch.int64)

    return along(height)[:, None] * along(width)[None, :]


@dataclass
class _InputTally:
    executed: int = 0
    nonzero: int = 0
    value: int = 0
    inputs: int = 0


class OperationCounter(RunningTotals[LayerOperations]):
    """Measure executed operations and inputs, of every layer; see `RunningTotals`."""

    def __init__(self, network: NetworkConfig):
        super().__init__(network)
        self._tallies: defaultdict[str, _InputTally] = defaultdict(_InputTally)

    def _add(self, activity: LayerActivity) -> None:
        layer, inputs, tally = activity.layer, activity.inputs, self._tallies[activity.layer.name]
        for part in inputs:
            tally.nonzero += int(part.count_nonzero())
            tally.value += int(part.sum(dtype=torch.float64))
            tally.inputs += part.numel()
        tally.executed += self._attention(inputs) if layer.kind == "attention" else self._weighted(layer, inputs[0])

    def _weighted(self, layer: Layer, inputs: Tensor) -> int:
        ones = count_ones(inputs) if layer.input_planes > 1 else inputs
        per_position = ones.sum(dim=(0, 1, 4), dtype=torch.float64).to(torch.int64)
        if layer.kind == "conv":
            per_position = per_position * reached_positions(layer.height, layer.width)
        return int(per_position.sum()) * layer.out_channels

    def _attention(self, inputs: tuple[Tensor, ...]) -> int:
        q, k, v = (part.to(torch.float32) for part in inputs)
        kv = key_value(k, v, self.network.heads).to(torch.int64)
        ones = torch.zeros_like(kv)
        for plane in range(self.network.tokens.bit_length()):
            ones += (kv >> plane) & 1
        queries = split_heads(q, self.network.heads).to(torch.int64).sum(dim=-2)
        return int(kv.sum()) + int((queries * ones.sum(dim=-1)).sum())

    def _entries(self) -> Iterator[LayerOperations]:
        for dense in dense_operations(self.network):
            tally = self._tallies[dense.name]
            yield replace(
                dense,
                executed_sops=tally.executed / self.images,
                input_rate=tally.nonzero / tally.inputs,
                input_mean=tally.value / tally.inputs,
            )
