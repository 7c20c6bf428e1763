"""What the golden model holds while it runs over many images."""

from __future__ import annotations

import weakref

import pytest
import torch

from golden.accounting.firing import FiringStatistics
from golden.evaluate import evaluate
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=3, embed_dim=16, depth=1, heads=2)


def test_no_tensor_of_a_batch_outlives_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """One small tensor kept of every batch pinned the free memory beside it: gigabytes over 10,000 images."""
    artifact, images = random_artifact(NETWORK, 4, seed=1), random_images(NETWORK, 40, seed=2)
    expected = GoldenModel(artifact).run(images).predictions
    made: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []
    run = GoldenModel.run

    def watched(self, images, observers=()):
        result = run(self, images, observers)
        made.extend(weakref.ref(tensor) for tensor in (result.logits, result.predictions))
        alive.append(sum(tensor() is not None for tensor in made))
        return result

    monkeypatch.setattr(GoldenModel, "run", watched)
    observers = (FiringStatistics(NETWORK),)
    result = evaluate(artifact, images, expected, batch_size=2, bar=False, count_operations=True, observers=observers)
    assert len(alive) == 20 and result.correct == 40 and torch.equal(result.predictions, expected)
    assert max(alive) <= 4, "two tensors of the batch before, two of this one"
