"""The golden model: an artifact run in exact integers, the reference the hardware equals bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from golden.arithmetic import exact_arithmetic, exact_dtype, weighted_sum
from golden.attention import attend, key_value
from golden.neuron import lif
from golden.walk import LayerActivity, Observer, walk
from sw.artifact import Artifact
from sw.network import Layer
from sw.ranges import LayerRange, signed_bits

BATCH_SIZE = 16
"""Images at a time: larger batches leave the cache and get slower."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldenResult:
    """What the network says of a batch and, if recorded, every integer on the way; all tensors on the CPU.

    Attributes
    ----------
    logits : int64 Tensor [B, classes]
    predictions : int64 Tensor [B]
        First largest logit.
    spikes : dict of uint8 Tensor [T, B, C, H, W]
        By layer name, before the pool.
    pooled : dict of uint8 Tensor [T, B, C, H/2, W/2]
        By layer name, where a pool follows.
    residuals : dict of uint8 Tensor [T, B, C, H, W]
        The residual stream after the named layer (``rpe``, ``blockI.proj``, ``blockI.fc2``).
    accumulators : dict of int64 Tensor [T, B, C, H, W]
        Sums of weight times input by layer name; one time step for the image layer.
    membranes : dict of int64 Tensor [T, B, C, H, W]
        ``G_t`` before its reset, by layer name.
    key_values : dict of int64 Tensor [T, B, heads, d, d]
        ``K^T V`` by name of the attention layer.
    """

    logits: Tensor
    predictions: Tensor
    spikes: dict[str, Tensor] = field(default_factory=dict)
    pooled: dict[str, Tensor] = field(default_factory=dict)
    residuals: dict[str, Tensor] = field(default_factory=dict)
    accumulators: dict[str, Tensor] = field(default_factory=dict)
    membranes: dict[str, Tensor] = field(default_factory=dict)
    key_values: dict[str, Tensor] = field(default_factory=dict)


def _channels_first(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.permute(0, 1, 4, 2, 3).to(dtype).contiguous()


class LayerArithmetic:
    """One layer in the cheapest arithmetic that is proven exact for it.

    Parameters
    ----------
    artifact : Artifact
    layer : Layer
        Any layer of ``artifact.network.layers()``.
    bounds : LayerRange
        Of this layer, from ``artifact.ranges()``.
    """

    def __init__(self, artifact: Artifact, layer: Layer, bounds: LayerRange):
        self.layer = layer
        self.heads = artifact.network.heads
        self.timesteps = artifact.network.timesteps
        self.shift = 0
        low, high = bounds.accumulator
        self.float_dtype = exact_dtype(high - low)
        if layer.kind == "attention":
            self.bias = None
            self.threshold = torch.full((layer.out_channels,), artifact.network.attention_threshold)
        else:
            parameters = artifact.tensors[layer.name]
            self.shift = artifact.bias_fraction_bits
            self.bias = torch.tensor(parameters.bias, dtype=torch.int64)
            self.weight = torch.tensor(parameters.weight, dtype=self.float_dtype)
            if layer.kind == "conv":
                self.weight = self.weight.contiguous(memory_format=torch.channels_last)
            if parameters.threshold is not None:
                self.threshold = torch.tensor(parameters.threshold)
        # The current before its bias must fit too, not only the membrane.
        bits = max(bounds.result_bits, signed_bits(low << self.shift, high << self.shift))
        assert bits <= 64, f"{layer.name} needs {bits} bits"
        self.int_dtype = torch.int32 if bits <= 32 else torch.int64

    def fire(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Bias and neuron: `sums` [T or 1, B, H, W, out] to spikes (bool) and ``G_t``, both [T, B, H, W, out]."""
        current = sums.to(self.int_dtype)
        if self.bias is not None:
            current = (current << self.shift).add_(self.bias.to(self.int_dtype))
        return lif(current, self.threshold, self.timesteps)

    def logits(self, inputs: Tensor) -> Tensor:
        """Head: `inputs` [T, B, H, W, in] to int64 logits [B, classes]; W is linear, so the inputs are summed first."""
        total = inputs.to(torch.int64).sum(dim=(0, 2, 3))
        assert self.bias is not None
        return ((total @ self.weight.to(torch.int64).T) << self.shift) + self.bias


class GoldenModel:
    """Run an artifact in integers.

    Parameters
    ----------
    artifact : Artifact

    Examples
    --------
    >>> model = GoldenModel(load("mnist.spikeloom"))  # doctest: +SKIP
    >>> model.run(images).predictions  # doctest: +SKIP
    """

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self.network = artifact.network
        self._table = torch.tensor(artifact.image_table, dtype=torch.float32)
        ranges = artifact.ranges()
        self._layers = {
            layer.name: LayerArithmetic(artifact, layer, ranges[layer.name]) for layer in self.network.layers()
        }

    def quantise_image(self, images: Tensor) -> Tensor:
        """Look pixels up in the image table.

        Parameters
        ----------
        images : uint8 Tensor [B, C, H, W], of event frames [B, T, C, H, W]

        Returns
        -------
        float32 Tensor [1, B, H, W, C], of event frames [T, B, H, W, C]
            Integers: the network's input.

        Raises
        ------
        ValueError
            If the images are not uint8 or not of the network's shape.
        """
        if images.dtype != torch.uint8:
            raise ValueError(f"images must be uint8 pixels, not {images.dtype}")
        shape = self.network.input_shape
        if images.shape[1:] != shape:
            wanted = ", ".join(map(str, shape))
            raise ValueError(f"images must have shape [B, {wanted}], not {list(images.shape)}")
        frames = images.transpose(0, 1) if self.network.events else images.unsqueeze(0)
        planes = [self._table[channel][frames[:, :, channel].long()] for channel in range(len(self._table))]
        return torch.stack(planes, dim=-1)

    def run(
        self,
        images: Tensor,
        record: bool = False,
        internals: bool = False,
        observers: tuple[Observer, ...] = (),
    ) -> GoldenResult:
        """Classify a batch.

        Parameters
        ----------
        images : uint8 Tensor [B, C, H, W]
            Raw pixels; the artifact's table makes the network input of them.
        record : bool
            Keep spikes, pooled spikes and residuals of every layer.
        internals : bool
            Keep accumulators, membranes and ``K^T V`` of every layer too (large: few images at a time).
        observers : tuple of Observer
            See `golden.walk`; called while the batch runs, so nothing has to be kept.

        Returns
        -------
        GoldenResult

        Raises
        ------
        ValueError
            If the images are not uint8 or not of the network's shape.
        """
        image = self.quantise_image(images)
        accumulators: dict[str, Tensor] = {}
        membranes: dict[str, Tensor] = {}
        key_values: dict[str, Tensor] = {}
        spikes: dict[str, Tensor] = {}
        pooled: dict[str, Tensor] = {}
        residuals: dict[str, Tensor] = {}

        def step(layer: Layer, inputs: tuple[Tensor, ...]) -> Tensor:
            arithmetic = self._layers[layer.name]
            if layer.kind == "head":
                return arithmetic.logits(inputs[0])
            if layer.kind == "attention":
                q, k, v = (part.to(arithmetic.float_dtype) for part in inputs)
                kv = key_value(k, v, arithmetic.heads)
                sums = attend(q, kv)
                if internals:
                    key_values[layer.name] = kv.to(torch.int64)
            else:
                sums = weighted_sum(layer, arithmetic.weight, inputs[0])
            fired, charged = arithmetic.fire(sums)
            if internals:
                accumulators[layer.name] = _channels_first(sums, torch.int64)
                membranes[layer.name] = _channels_first(charged, torch.int64)
            return fired.to(torch.float32)

        def keep(activity: LayerActivity) -> None:
            name = activity.layer.name
            if activity.layer.kind != "head":
                spikes[name] = _channels_first(activity.spikes, torch.uint8)
            if activity.pooled is not None:
                pooled[name] = _channels_first(activity.pooled, torch.uint8)
            if activity.residual is not None:
                residuals[name] = _channels_first(activity.residual, torch.uint8)

        with exact_arithmetic():
            logits = walk(self.network, image, step, (keep, *observers) if record else observers)
        return GoldenResult(
            logits=logits,
            predictions=logits.argmax(dim=1),
            spikes=spikes,
            pooled=pooled,
            residuals=residuals,
            accumulators=accumulators,
            membranes=membranes,
            key_values=key_values,
        )

    def stream(
        self,
        images: Tensor,
        batch_size: int = BATCH_SIZE,
        progress: Callable[[int], None] | None = None,
        observers: tuple[Observer, ...] = (),
    ) -> Iterator[GoldenResult]:
        """Classify any number of images batch by batch, in order.

        Parameters
        ----------
        images : uint8 Tensor [B, C, H, W]
            Raw pixels.
        batch_size : int
            Images at a time; the last batch may be smaller.
        progress : callable, optional
            Called with the number of images done after every batch.
        observers : tuple of Observer
            Passed to `run`.
        """
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            yield self.run(batch, observers=observers)
            if progress is not None:
                progress(start + len(batch))
