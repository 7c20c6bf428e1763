"""The record of a training run as TensorBoard reads it: an event file in the run's folder, beside ``log.csv``."""

from __future__ import annotations

import logging
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn

from sw.data.sets import ImageSet, data_set
from sw.errors import UserError
from sw.model.spikformer import Spikformer
from sw.training.evaluation import firing_rates
from sw.training.recipe import Recipe

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SCALARS = ("train_loss", "train_accuracy", "test_accuracy", "learning_rate", "images_per_s")
"""Columns of the log that become curves, one for each phase: ``train_loss/float``."""

BINS = 64
"""Of a histogram of weights: TensorBoard shows about half as many, its own 1,500 make large files."""

RATE_IMAGES = 100
"""Test images that firing rates are of: a hundredth of what an evaluation runs."""


def check_tensorboard() -> None:
    """Refuse to log where TensorBoard is not installed.

    Raises
    ------
    UserError
    """
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"TensorBoard is not installed, but --tensorboard writes its logs ({error}): install the extra with pip "
            "install --constraint constraints.txt --editable '.[tensorboard]'"
        ) from None


class EventLog:
    """Curves, firing rates and histograms of weights of one run; a step is an epoch of the run, counted from 1.

    The file is opened at the end of an epoch. What is in the folder already goes on: epochs that were logged and then
    lost with the last checkpoint are taken back, those that the run has had without a log are added.

    Parameters
    ----------
    folder : Path
        The run's.
    recipe : Recipe
        Its text is logged too.
    test : ImageSet
        Firing rates are of the first `RATE_IMAGES` of these raw images.
    """

    def __init__(self, folder: Path, recipe: Recipe, test: ImageSet) -> None:
        self._folder, self._recipe = folder, recipe
        data = data_set(recipe.data)
        self._images, self._image_scale = data.encode(test.images[:RATE_IMAGES]), data.image_scale
        self._writer: SummaryWriter | None = None
        self._logged = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def epoch(self, rows: list[dict[str, Any]], model: nn.Module) -> None:
        """Log the epoch that has just ended.

        Parameters
        ----------
        rows : list of dict
            Of the CSV log, up to this epoch.
        model : nn.Module
            What ran. If the epoch was evaluated and it is a Spikformer, its rates and weights are logged; it is left
            in eval mode then.
        """
        writer = self._open(len(rows) - 1)
        for step, row in enumerate(rows[self._logged :], self._logged + 1):
            for name in SCALARS:
                if row[name] is not None:
                    writer.add_scalar(f"{name}/{row['phase']}", float(row[name]), step)
        self._logged = len(rows)
        if rows[-1]["test_accuracy"] is not None and isinstance(model, Spikformer):
            for layer, rate in firing_rates(model, self._images, self._image_scale).items():
                writer.add_scalar(f"firing_rate/{layer}", rate, self._logged)
            for layer, weights in _weights(model).items():
                writer.add_histogram(f"weights/{layer}", weights, self._logged, BINS)
        writer.flush()

    def _open(self, before: int) -> SummaryWriter:
        """The writer; when it is opened, what the folder holds of more than `before` epochs is taken back."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._logged = min(_last_step(self._folder), before) if before else 0
            first = self._logged + 1 if self._logged else 0  # of the whole log, if it begins here
            self._writer = SummaryWriter(self._folder, purge_step=first)
            if not self._logged:
                settings = "\n".join(f"    {key} = {value!r}" for key, value in self._recipe.to_dict().items())
                self._writer.add_text("recipe", settings, 0)
        return self._writer


def _last_step(folder: Path) -> int:
    """The last epoch whose curves are in the event files of a folder; 0 if there are none."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS as SCALAR_EVENTS
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it warns of epochs that were taken back
    events = EventAccumulator(str(folder), size_guidance={SCALAR_EVENTS: 0})
    events.Reload()
    curves = (events.Scalars(tag) for tag in events.Tags()[SCALAR_EVENTS])
    return max((curve[-1].step for curve in curves), default=0)


def _weights(model: Spikformer) -> dict[str, Tensor]:
    """Weights of every layer that has some, as they are learnt: before they are rounded."""
    names = [layer.name for layer in model.config.layers() if layer.has_weights]
    modules: dict[str, Any] = {name: model.get_submodule(name) for name in names}  # the head has no norm around it
    return {name: getattr(module, "weights", module).weight for name, module in modules.items()}
