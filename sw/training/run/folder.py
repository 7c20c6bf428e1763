"""The folder of a training run: its checkpoint, its records, and the models of its finished phases."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sw.errors import UserError
from sw.files import write_atomically
from sw.training.run import checkpoint
from sw.training.run.checkpoint import Progress
from sw.training.run.log import write_curve, write_log


class RunFolder:
    """Files of a run, each written whole or not at all.

    ``checkpoint.pt``, ``log.csv``, ``curve.png``, and ``<phase>.pt`` for every finished phase, the state dictionary of
    its model.

    Parameters
    ----------
    path : Path
        The folder.
    settings : dict
        The recipe's, as `sw.training.recipe.Recipe.to_dict` has them: a checkpoint of others is refused.
    title : str
        Of the learning curve.
    """

    def __init__(self, path: Path, settings: dict[str, Any], title: str) -> None:
        self._path, self._settings, self._title = path, settings, title
        self.checkpoint = path / checkpoint.FILE

    def check(self, *, resume: bool) -> None:
        """Refuse to begin a run where there is one, or to go on with what is of another recipe: before any work.

        Raises
        ------
        UserError
            If there is a checkpoint that may not be continued, or cannot be read.
        """
        if self.checkpoint.exists():
            if not resume:
                raise UserError(
                    f"{self._path} already holds a training run; resume it, or choose another output folder"
                )
            self.load()

    def load(self) -> tuple[Progress, dict[str, Any], Any]:
        """Read the checkpoint, as `sw.training.run.checkpoint.load` does."""
        return checkpoint.load(self.checkpoint, self._settings)

    def save(self, progress: Progress, model: nn.Module, optimiser: Optimizer) -> None:
        """Write the checkpoint, and log and curve of the epochs finished so far."""
        checkpoint.save(self.checkpoint, self._settings, progress, model.state_dict(), optimiser.state_dict())
        if progress.rows:
            write_log(self._path / "log.csv", progress.rows)
            write_curve(self._path / "curve.png", progress.rows, self._title)

    def save_model(self, phase: str, model: nn.Module) -> None:
        """Write the model of a phase that is over."""
        buffer = io.BytesIO()
        torch.save(model.state_dict(), buffer)
        write_atomically(self._path / f"{phase}.pt", buffer.getvalue())

    def finished(self, phase: str) -> dict[str, Tensor]:
        """State of the model of a phase that is over.

        Raises
        ------
        UserError
            If its file cannot be read.
        """
        state: dict[str, Tensor] = checkpoint.read(self._path / f"{phase}.pt")
        return state

    def restore(self, model: nn.Module, phase: str) -> None:
        """Load into `model` what the model of a phase that is over had learnt.

        Raises
        ------
        UserError
            If its file cannot be read, or is of another model.
        """
        checkpoint.restore(model, self.finished(phase), self._path / f"{phase}.pt")
