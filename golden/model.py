"""The golden model: an artifact run in exact integers, the reference the hardware equals bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from golden.arithmetic import exact_arithmetic
from golden.layer_arithmetic import LayerArithmetic
from golden.recorder import Recorder, Recording
from golden.walk import Observer, walk
from sw.artifact.artifact import Artifact
from sw.artifact.ranges import layer_ranges
from sw.data.image_table import check_counts, lookup
from sw.layer import Layer
from sw.network import NetworkConfig

BATCH_PIXELS = 8 * 32 * 32
"""Pixels at a time: in larger batches the spikes of a layer leave the cache, and its sums ask for fresh memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldenResult(Recording):
    """What the network says of a batch and, if recorded, every integer on the way; all tensors on the CPU.

    Attributes
    ----------
    logits : int64 Tensor [B, classes]
    predictions : int64 Tensor [B]
        First largest logit.
    """

    logits: Tensor
    predictions: Tensor


def check_images(images: Tensor, network: NetworkConfig) -> None:
    """Refuse images that a network does not take.

    Raises
    ------
    ValueError
        If they are not uint8 or not of the network's shape, or hold counts of events above its range.
    """
    if images.dtype != torch.uint8:
        raise ValueError(f"images must be uint8 pixels, not {images.dtype}")
    if images.shape[1:] != network.input_shape:
        wanted = ", ".join(map(str, network.input_shape))
        raise ValueError(f"images must have shape [B, {wanted}], not {list(images.shape)}")
    check_counts(images, network)


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
        check_images(images, self.network)
        frames = images.transpose(0, 1) if self.network.events else images.unsqueeze(0)
        image = lookup(self._table, frames.long()).movedim(2, -1).contiguous()
        return image.to(torch.uint8) if self.network.events else image  # counts are bytes

    def run(self, images: Tensor, observers: tuple[Observer, ...] = ()) -> GoldenResult:
        """Classify a batch.

        Parameters
        ----------
        images : uint8 Tensor [B, C, H, W]
            Raw pixels; the artifact's table makes the network input of them.
        observers : tuple of Observer
            See `golden.walk`; called while the batch runs, so nothing has to be kept.

        Returns
        -------
        GoldenResult
            Nothing is recorded, see `record`.

        Raises
        ------
        ValueError
            If the images are not uint8 or not of the network's shape.
        """
        image = self.quantise_image(images)
        with exact_arithmetic():
            logits = walk(self.network, image, self._step, observers)
        return GoldenResult(logits=logits, predictions=logits.argmax(dim=1))

    def _step(self, layer: Layer, inputs: tuple[Tensor, ...]) -> Tensor:
        """One layer: its spikes, or the head's logits."""
        arithmetic = self._layers[layer.name]
        if layer.kind == "head":
            return arithmetic.logits(*inputs)
        spikes, _ = arithmetic.fire(arithmetic.currents(*inputs))
        return spikes.view(torch.uint8)

    def record(self, images: Tensor, *, internals: bool = False, observers: tuple[Observer, ...] = ()) -> GoldenResult:
        """Classify a batch and keep what every layer gave.

        Parameters
        ----------
        images, observers
            As `run` takes them.
        internals : bool
            Keep accumulators, membranes and ``K^T V`` of every layer too (large: few images at a time).

        Returns
        -------
        GoldenResult
            With spikes, pooled spikes and residuals of every layer.
        """
        recorder = Recorder(self._layers if internals else None)
        result = self.run(images, (recorder, *observers))
        return replace(result, **vars(recorder.recording))

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
            yield self.run(batch, observers)
            done += len(batch)
            if progress is not None:
                progress(done)
