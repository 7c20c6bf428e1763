"""One layer in the cheapest arithmetic that is proven exact for it."""

from __future__ import annotations

import torch
from torch import Tensor

from golden.arithmetic import exact_dtype, weighted_sum
from golden.attention import attend, key_value
from golden.byte_sums import ByteSums
from golden.neuron import lif
from golden.walk import pool_sums
from sw.artifact.artifact import Artifact
from sw.artifact.ranges import LayerRange, signed_bits
from sw.layer import Layer


class LayerArithmetic:
    """One layer of an artifact in the cheapest arithmetic that is proven exact for it.

    Sums are taken by byte dot products where they are exact (`golden.byte_sums`), otherwise in floating point
    (`golden.arithmetic`); neurons count in 32-bit integers, or in 64-bit ones where the membrane needs them.

    Parameters
    ----------
    artifact : Artifact
    layer : Layer
        Any layer of ``artifact.network.layers()``.
    bounds : LayerRange
        Of this layer, from `layer_ranges`.
    """

    def __init__(self, artifact: Artifact, layer: Layer, bounds: LayerRange):
        self.layer = layer
        self.heads = artifact.network.heads
        self.timesteps = artifact.network.timesteps
        self.leaky = artifact.network.leaky
        low, high = bounds.accumulator
        self.float_dtype = exact_dtype(high - low)
        self.shift, self.bias = 0, torch.zeros(1, dtype=torch.int64)
        self.byte_sums: ByteSums | None = None
        if layer.kind == "attention":
            self.threshold = torch.full((layer.out_channels,), artifact.network.attention_threshold)
        else:
            parameters = artifact.tensors[layer.name]
            self.shift = artifact.bias_fraction_bits
            self.bias = torch.tensor(parameters.bias, dtype=torch.int64)
            if parameters.threshold is not None:
                self.threshold = torch.tensor(parameters.threshold)
            if layer.kind != "head" and ByteSums.proven(layer, parameters, self.shift, bounds):
                self.byte_sums = ByteSums(layer, parameters, self.shift)
            else:
                self.weight = torch.tensor(parameters.weight, dtype=self.float_dtype)
                if layer.kind == "conv":
                    self.weight = self.weight.contiguous(memory_format=torch.channels_last)
        # The current before its bias must fit too, not only the membrane.
        bits = max(bounds.result_bits, signed_bits(low << self.shift, high << self.shift))
        assert bits <= 64, f"{layer.name} needs {bits} bits"
        self.int_dtype = torch.int32 if bits <= 32 else torch.int64

    def currents(self, *inputs: Tensor) -> Tensor:
        """Input currents of the neurons, of `int_dtype` [T or 1, B, H, W, out]; where the pool comes first, behind it.

        `inputs` is [T or 1, B, H, W, in], or q, k and v of attention.
        """
        if self.layer.kind == "attention":
            q, k, v = inputs
            return attend(q.to(self.float_dtype), self.key_value(k, v)).to(self.int_dtype)
        return pool_sums(self.layer, self._sums_and_bias(*inputs))

    def _sums_and_bias(self, inputs: Tensor) -> Tensor:
        """Integer currents, before a pool."""
        if self.byte_sums is not None:
            return self.byte_sums(inputs).to(self.int_dtype)
        sums = weighted_sum(self.layer, self.weight, inputs).to(self.int_dtype)
        return torch.add(self.bias.to(self.int_dtype), sums, alpha=1 << self.shift)

    def key_value(self, k: Tensor, v: Tensor) -> Tensor:
        """``K^T V`` [T, B, heads, d, d] of spikes, of `float_dtype`."""
        return key_value(k.to(self.float_dtype), v.to(self.float_dtype), self.heads)

    def fire(self, currents: Tensor) -> tuple[Tensor, Tensor]:
        """Neurons: `currents`, which are lost, to spikes (bool) and ``G_t``, both [T, B, H, W, out]."""
        out = currents if len(currents) == self.timesteps else None
        return lif(currents, self.threshold, self.timesteps, out, leaky=self.leaky)

    def accumulators(self, currents: Tensor) -> Tensor:
        """The sums, int64, that `currents` were made of."""
        return (currents.to(torch.int64) - self.bias) >> self.shift

    def logits(self, inputs: Tensor) -> Tensor:
        """Head: `inputs` [T, B, H, W, in] to int64 logits [B, classes]; W is linear, so the inputs are summed first."""
        total = inputs.sum(dim=(0, 2, 3), dtype=torch.int64)
        return ((total @ self.weight.to(torch.int64).T) << self.shift) + self.bias
