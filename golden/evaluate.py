"""Accuracy of an artifact over a data set, in the golden model's integers."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from torch import Tensor

from golden.accounting.operations import LayerOperations, OperationCounter
from golden.arithmetic import exact_arithmetic
from golden.model import GoldenModel
from golden.parallel import in_parallel
from golden.walk import Observer
from sw.artifact.artifact import Artifact
from sw.plain_console import PlainConsole, text_column


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Result over a data set.

    Attributes
    ----------
    correct, images : int
    seconds : float
        Wall time.
    predictions : int64 Tensor [images]
    operations : tuple of LayerOperations, optional
        Per image, if they were counted.
    """

    correct: int
    images: int
    seconds: float
    predictions: Tensor
    operations: tuple[LayerOperations, ...] | None = None

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return self.correct / self.images


def evaluate(
    artifact: Artifact,
    images: Tensor,
    labels: Tensor,
    *,
    batch_size: int | None = None,
    bar: bool = True,
    count_operations: bool = False,
    progress: Callable[[int], None] | None = None,
    observers: tuple[Observer, ...] = (),
) -> Evaluation:
    """Classify every image and compare with its label.

    Batches run side by side on PyTorch's threads; one after the other, in order, if operations are counted.

    Parameters
    ----------
    artifact : Artifact
        What classifies.
    images : uint8 Tensor [images, C, H, W]
        Raw pixels.
    labels : integer Tensor [images]
        Class of each image.
    batch_size : int, optional
        Images at a time, by default `GoldenModel.batch_size`.
    bar : bool
        Show a progress bar on standard error.
    count_operations : bool
        Measure executed operations too (slower).
    progress : callable, optional
        Called with the number of images done after every batch.
    observers : tuple of Observer
        See `golden.walk`; called beside the counter of operations.

    Raises
    ------
    ValueError
        If there are no images, or not one label for each.
    """
    if len(images) == 0 or labels.shape != images.shape[:1]:
        raise ValueError(f"labels must be one for each of at least 1 image, not {list(labels.shape)} for {len(images)}")
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}")
    model = GoldenModel(artifact)
    counter = OperationCounter(artifact.network) if count_operations else None
    columns = (text_column("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    display = Progress(*columns, console=PlainConsole(stderr=True)) if bar else None
    started = time.perf_counter()
    # One tensor for all: a small one kept of every batch would pin the large ones that are free beside it, and memory
    # would grow with the images.
    predictions, done = torch.empty(len(images), dtype=torch.int64), 0
    with display or nullcontext():
        task = display.add_task("golden model", total=len(images)) if display else None

        def report(done: int) -> None:
            if display is not None and task is not None:
                display.update(task, completed=done)
            if progress is not None:
                progress(done)

        observing = (*(() if counter is None else (counter,)), *observers)
        size = batch_size or model.batch_size
        results = (
            model.stream(images, size, observers=observing)
            if observing
            else in_parallel(model.run, torch.split(images, size))
        )
        # Settings are the process's: made once around all threads, for none may take them back while others compute.
        with exact_arithmetic(), closing(results):
            for result in results:
                batch = result.predictions
                predictions[done : done + len(batch)] = batch
                done += len(batch)
                report(done)
    return Evaluation(
        correct=int((predictions == labels).sum()),
        images=len(images),
        seconds=time.perf_counter() - started,
        predictions=predictions,
        operations=None if counter is None else counter.report(),
    )
