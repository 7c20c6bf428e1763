"""How far an artifact's integers are from the float model they came from: spikes layer by layer, and accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from golden.model import GoldenModel
from sw.artifact.accuracy import counts
from sw.artifact.artifact import Artifact
from sw.data.sets import DataSet
from sw.model.spikformer import Spikformer, Trace

BATCH = 16
"""Images at a time: the traces of a batch take tens of megabytes."""


@dataclass
class LayerAgreement:
    """Spikes of one layer, over all images, time steps and neurons.

    Attributes
    ----------
    neurons : int
        Neurons times time steps times images.
    equal : int
        Of these, where both models fire or both do not.
    float_spikes, golden_spikes : int
        Spikes of each.
    """

    neurons: int = 0
    equal: int = 0
    float_spikes: int = 0
    golden_spikes: int = 0

    @property
    def share(self) -> float:
        """Share of equal spikes, in 0..1."""
        return self.equal / self.neurons


@dataclass
class Agreement:
    """Float model against golden model on some images.

    Attributes
    ----------
    images : int
    float_correct, golden_correct : int
        Images classified correctly.
    equal_predictions : int
        Images that both put into the same class.
    layers : dict of str to LayerAgreement
        By layer name.
    """

    images: int = 0
    float_correct: int = 0
    golden_correct: int = 0
    equal_predictions: int = 0
    layers: dict[str, LayerAgreement] = field(default_factory=dict)

    @property
    def lost(self) -> float:
        """Percentage points of accuracy that the integers cost."""
        return 100 * (self.float_correct - self.golden_correct) / self.images

    def accuracy(self, name: str) -> dict[str, dict[str, Any]]:
        """Entries for `Artifact.accuracy`; `name` is what the images are of."""
        correct = {"float": self.float_correct, "golden": self.golden_correct}
        return {model: counts(number, self.images, name) for model, number in correct.items()}


def measure_agreement(
    model: Spikformer, artifact: Artifact, data: DataSet, images: Tensor, labels: Tensor
) -> Agreement:
    """Run both models on the same images.

    Parameters
    ----------
    model : Spikformer
        The float model, in eval mode. It reads normalised pixels as its training did, not rounded to 8 bit.
    artifact : Artifact
        The integers made of it.
    data : DataSet
        How pixels are normalised.
    images, labels : Tensor
        uint8 ``[n, C, H, W]`` and int64 ``[n]``.
    """
    golden, total = GoldenModel(artifact), Agreement()
    for pixels, truth in zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True):
        trace, exact = Trace(), golden.record(pixels)
        with torch.inference_mode():
            predictions = model(data.normalised(pixels), trace).argmax(dim=1)
        total.images += len(truth)
        total.float_correct += int((predictions == truth).sum())
        total.golden_correct += int((exact.predictions == truth).sum())
        total.equal_predictions += int((predictions == exact.predictions).sum())
        for name, spikes in trace.spikes.items():
            layer = total.layers.setdefault(name, LayerAgreement())
            layer.neurons += spikes.numel()
            layer.equal += int((spikes == exact.spikes[name]).sum())
            layer.float_spikes += int(spikes.sum())
            layer.golden_spikes += int(exact.spikes[name].sum())
    return total
