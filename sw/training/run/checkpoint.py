"""Checkpoints of a training run: written whole or not at all, resumed only with the settings they were made with."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hw.user_text import listed, quoted
from sw.errors import UserError
from sw.files import write_atomically

FILE = "checkpoint.pt"
"""Name of the checkpoint in a run's folder."""


@dataclass
class Progress:
    """How far a run has come. Every random choice follows from the seed and these numbers.

    Attributes
    ----------
    phase : int
        Place in the recipe's phases; their number when all are finished.
    epoch, step : int
        Within the phase and within the epoch: what comes next.
    seen, correct, loss_sum, seconds
        Totals of the epoch so far.
    rows : list of dict
        Finished epochs, as in the CSV log.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    seen: int = 0
    correct: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def begin_epoch(self, phase: int, epoch: int) -> None:
        """Move on to an epoch, with its totals at zero."""
        self.phase, self.epoch = phase, epoch
        self.step = self.seen = self.correct = 0
        self.loss_sum = self.seconds = 0.0


def save(path: Path, settings: dict[str, Any], progress: Progress, model: dict[str, Any], optimiser: Any) -> None:
    """Write a checkpoint atomically."""
    buffer = io.BytesIO()
    content = {"settings": settings, "progress": asdict(progress), "model": model, "optimiser": optimiser}
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, settings: dict[str, Any]) -> tuple[Progress, dict[str, Any], Any]:
    """Read a checkpoint.

    Returns
    -------
    progress, model, optimiser
        The last two as state dictionaries.

    Raises
    ------
    UserError
        If the file is no checkpoint, or was made with other settings: then naming differing keys.
    """
    content = read(path)
    try:
        theirs, progress = dict(content["settings"]), Progress(**content["progress"])
        model, optimiser = content["model"], content["optimiser"]
        counts = (progress.phase, progress.epoch, progress.step)
        groups = optimiser["param_groups"]
        if not all(type(count) is int and count >= 0 for count in counts) or not all(
            type(each) is dict for each in groups
        ):
            raise TypeError
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"checkpoint {path} is of something else than a run; start over in another folder") from error
    differing = [key for key in sorted({*map(str, theirs), *settings}) if theirs.get(key) != settings.get(key)]
    if differing:
        changes = [f"{key} {quoted(theirs.get(key), 40)} -> {quoted(settings.get(key), 40)}" for key in differing]
        raise UserError(
            f"checkpoint {path} was made with other settings ({listed(changes)}); use another output folder"
        )
    return progress, model, optimiser


def read(path: Path) -> Any:
    """Read what a run has saved, without running anything of the file.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = type(error).__name__
        raise UserError(f"checkpoint {path} cannot be read ({reason}); start over in another folder") from error


def restore(target: nn.Module | torch.optim.Optimizer, state: Any, path: Path) -> None:
    """Load a state dictionary that `path` holds into what it is of.

    Raises
    ------
    UserError
        If it is of something else.
    """
    try:
        target.load_state_dict(state)
    except Exception as error:  # of keys, shapes and types, each from another place
        what = type(target).__name__
        raise UserError(
            f"checkpoint {path} does not hold the {what} of this run; start over in another folder"
        ) from error
