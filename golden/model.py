"""The golden model: an artifact run in exact integers, the reference the hardware equals bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from golden.arithmetic import exact_arithmetic
from golden.layer_arithmetic import LayerArithmetic
from golden.walk import LayerActivity, Observer, pool_sums, walk
from sw.artifact.artifact import Artifact
from sw.artifact.ranges import layer_ranges
from sw.network import Layer

BATCH_PIXELS = 8 * 32 * 32
"""Pixels at a time: in larger batches the spikes of a layer leave the cache, and its sums ask for fresh memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldenResult:
    """What the network says of a batch and, if recorded, every integer on the way; all tensors on the CPU.

    Attributes
    ----------
    logits : int64 Tensor [B, classes]
    predictions : int64 Tensor [B]
        First largest logit.
    spikes : dict of uint8 Tensor [T, B, C, H, W]
        By layer name, before a pool that follows.
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
        ranges = layer_ranges(artifact)
        self._layers = {
            layer.name: LayerArithmetic(artifact, layer, ranges[layer.name]) for layer in self.network.layers()
        }

    @property
    def batch_size(self) -> int:
        """Images at a time that suit the caches."""
        return max(1, BATCH_PIXELS // self.network.image_size**2)

    def quantise_image(self, images: Tensor) -> Tensor:
        """Look pixels up in the image table.

        Parameters
        ----------
        images : uint8 Tensor [B, C, H, W], of event frames [B, T, C, H, W]

        Returns
        -------
        float32 Tensor [1, B, H, W, C], of event frames uint8 Tensor [T, B, H, W, C]
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
        image = torch.stack(planes, dim=-1)
        return image.to(torch.uint8) if self.network.events else image  # spikes are bytes

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
                currents, kv = arithmetic.attention(*inputs)
                if internals:
                    key_values[layer.name] = kv.to(torch.int64)
            else:
                currents = pool_sums(layer, arithmetic.currents(inputs[0]))
            if internals:
                accumulators[layer.name] = _channels_first(arithmetic.accumulators(currents), torch.int64)
            fired, charged = arithmetic.fire(currents)
            if internals:
                membranes[layer.name] = _channels_first(charged, torch.int64)
            return fired.view(torch.uint8)

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
        batch_size: int | None = None,
        progress: Callable[[int], None] | None = None,
        observers: tuple[Observer, ...] = (),
    ) -> Generator[GoldenResult]:
        """Classify any number of images batch by batch, in order.

        Parameters
        ----------
        images : uint8 Tensor [B, C, H, W]
            Raw pixels.
        batch_size : int, optional
            Images at a time, by default `batch_size`; the last batch may be smaller.
        progress : callable, optional
            Called with the number of images done after every batch.
        observers : tuple of Observer
            Passed to `run`.
        """
        done = 0
        for batch in torch.split(images, batch_size or self.batch_size):
            yield self.run(batch, observers=observers)
            done += len(batch)
            if progress is not None:
                progress(done)
