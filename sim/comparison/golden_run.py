"""The golden model over the images of a comparison, each of them once, with what the comparison needs of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from golden.accounting.firing import FiringStatistics, LayerFiring
from golden.accounting.operations import LayerOperations, OperationCounter
from golden.evaluate import classify
from golden.model import GoldenModel
from golden.recorder import Recorder, Recording
from sw.artifact.artifact import Artifact

OnRecorded = Callable[[int, Tensor, Tensor, Recording], None]
"""Called with the number of a batch's first image, its images, its logits and what was recorded of it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class GoldenRun:
    """What the golden model says.

    Attributes
    ----------
    predictions : int64 Tensor [n]
        Of all images.
    logits : int64 Tensor [counted, classes]
        Of the first ones.
    operations : tuple of LayerOperations
        Mean of these.
    firing : tuple of LayerFiring
        Of these.
    """

    predictions: Tensor
    logits: Tensor
    operations: tuple[LayerOperations, ...]
    firing: tuple[LayerFiring, ...]


def run_golden(
    artifact: Artifact,
    images: Tensor,
    *,
    counted: int,
    recorded: tuple[int, ...],
    on_recorded: OnRecorded,
    progress: Callable[[int], None],
) -> GoldenRun:
    """Run the golden model.

    Parameters
    ----------
    artifact : Artifact
    images : uint8 Tensor [n, C, H, W]
    counted : int
        The operations and the spikes of the first so many are counted.
    recorded : tuple of int
        The first so many are recorded, up to the largest; each ends a batch. A recording lives as long as it is kept.
    on_recorded : OnRecorded
    progress : callable
        Called with the number of images done.
    """
    model = GoldenModel(artifact)
    operations, firing = OperationCounter(artifact.network), FiringStatistics(artifact.network)
    predictions = torch.empty(len(images), dtype=torch.int64)
    logits = torch.empty((counted, artifact.network.classes), dtype=torch.int64)
    for first, end in _batches((counted, *recorded), model.batch_size):
        batch, recorder = images[first:end], Recorder()
        counts, records = end <= counted, end <= max(recorded)
        result = model.run(batch, (*((operations, firing) if counts else ()), *((recorder,) if records else ())))
        predictions[first:end] = result.predictions
        if counts:
            logits[first:end] = result.logits
        if records:
            on_recorded(first, batch, result.logits, recorder.recording)
        progress(end)
    rest = max(counted, *recorded)
    if rest < len(images):
        with closing(classify(model, images[rest:])) as results:
            for result in results:
                end = rest + len(result.predictions)
                predictions[rest:end] = result.predictions
                progress(end)
                rest = end
    return GoldenRun(predictions=predictions, logits=logits, operations=operations.report(), firing=firing.report())


def _batches(limits: tuple[int, ...], size: int) -> Iterator[tuple[int, int]]:
    """Begin and end of batches of at most `size`, up to the last of `limits`, of which each ends one."""
    for begin, end in pairwise(sorted({0, *limits})):
        for first in range(begin, end, size):
            yield first, min(first + size, end)
