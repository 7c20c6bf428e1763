"""Accuracy of an artifact over a data set, in the golden model's integers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from torch import Tensor

from golden.accounting.operations import LayerOperations, OperationCounter
from golden.arithmetic import exact_arithmetic
from golden.model import GoldenModel, GoldenResult
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
    observing = (*(() if counter is None else (counter,)), *observers)
    started = time.perf_counter()
    # One tensor for all: a small one kept of every batch would pin the large ones that are free beside it, and memory
    # would grow with the images.
    predictions, done = torch.empty(len(images), dtype=torch.int64), 0
    with (
        _reporting(len(images), bar, progress) as report,
        closing(classify(model, images, batch_size=batch_size, observers=observing)) as results,
    ):
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


def classify(
    model: GoldenModel, images: Tensor, *, batch_size: int | None = None, observers: tuple[Observer, ...] = ()
) -> Generator[GoldenResult]:
    """Classify batch by batch: side by side on PyTorch's threads, or one after the other where observers watch.

    Parameters
    ----------
    model : GoldenModel
    images : uint8 Tensor [images, C, H, W]
        Raw pixels, at least one image.
    batch_size : int, optional
        Images at a time, by default `GoldenModel.batch_size`.
    observers : tuple of Observer
        See `golden.walk`.

    Yields
    ------
    GoldenResult
        Of each batch, in order. A caller that may leave early closes the generator.
    """
    size = batch_size or model.batch_size
    results = (
        model.stream(images, size, observers=observers)
        if observers
        else in_parallel(model.run, torch.split(images, size))
    )
    # Settings are the process's: made once around all threads, for none may take them back while others compute.
    with exact_arithmetic(), closing(results):
        yield from results


@contextmanager
def _reporting(total: int, bar: bool, progress: Callable[[int], None] | None) -> Iterator[Callable[[int], None]]:
    """What is told how many images are done: a progress bar, `progress`, both or none."""
    columns = (text_column("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    display = Progress(*columns, console=PlainConsole(stderr=True)) if bar else None
    with display or nullcontext():
        task = display.add_task("golden model", total=total) if display else None

        def report(done: int) -> None:
            if display is not None and task is not None:
                display.update(task, completed=done)
            if progress is not None:
                progress(done)

        yield report
