"""Train a Spikformer by a recipe: a float phase, then quantisation-aware training from its weights.

A recipe may put a teacher before both, which they learn from. `sw.training.batches` says what makes a run repeatable.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from sw.data.sets import ImageSet, data_set
from sw.errors import UserError
from sw.model.neuron import compile_neurons
from sw.plain_console import PlainConsole
from sw.training.batches import Batches
from sw.training.evaluation import evaluate
from sw.training.phases import Modes, TrainingPhase, phases_of, spikformer_class
from sw.training.processes import Processes
from sw.training.recipe import Recipe
from sw.training.run import checkpoint
from sw.training.run.checkpoint import Progress
from sw.training.run.display import Display
from sw.training.run.folder import RunFolder
from sw.training.run.stop import StopRequest
from sw.training.schedule import learning_rate
from sw.training.step import TrainStep

CHECKPOINT_EVERY_S = 120.0
"""Seconds of training that a kill may cost."""

LOOK_EVERY = 50
"""Steps between looks at what a CUDA device has done; every look waits for it."""

EXAMPLES = 5000
"""Training images that a phase may look at before it begins."""


OnEpoch = Callable[[list[dict[str, Any]], nn.Module], object]
"""Called in process 0 when an epoch has ended, with the log's rows up to it and what ran."""


class TrainingStopped(UserError):
    """The user stopped the run; its checkpoint is saved."""


def run_folder(recipe: Recipe, path: Path) -> RunFolder:
    """The folder of a recipe's run."""
    return RunFolder(path, recipe.to_dict(), title=f"{recipe.name}, {recipe.weight_bits}-bit weights")


class Trainer:
    """One training run in one folder.

    The folder holds ``checkpoint.pt``, ``log.csv``, ``curve.png``, and in the end ``float.pt`` and ``quantised.pt``
    (state dictionaries of the two models), and ``teacher.pt`` if there was one.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    train, test : ImageSet
        Raw images.
    out : Path
        The folder, made if need be.
    resume : bool
        Continue from the folder's checkpoint if there is one. Otherwise the folder must have none.
    begin : Progress, optional
        Where to begin without a checkpoint, with the models of the phases before in the folder; by default at the
        first phase.
    console : Console, optional
        Where progress is shown.
    processes : Processes, optional
        Who trains, and on what; by default this process, on a GPU if there is one.
    evaluate_every : int
        Epochs between evaluations; the last epoch of a phase is always evaluated.
    graph : bool
        Replay steps as CUDA graphs, where there is a GPU.
    on_epoch : OnEpoch, optional
        Told of every epoch, such as `sw.training.run.event_log.EventLog.epoch`.

    Raises
    ------
    UserError
        If the folder's checkpoint must not be overwritten or does not fit the recipe.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: ImageSet,
        test: ImageSet,
        out: Path,
        *,
        resume: bool = False,
        begin: Progress | None = None,
        console: Console | None = None,
        processes: Processes | None = None,
        evaluate_every: int = 1,
        graph: bool = True,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        self._recipe = recipe
        self._processes = processes or Processes.start()
        self._evaluate_every, self._graph, self._on_epoch = evaluate_every, graph, on_epoch
        if recipe.batch_size % self._processes.count:
            raise UserError(
                f"batch_size {recipe.batch_size} must be divisible by the {self._processes.count} processes; "
                "change one of them"
            )
        self._display = Display(console or PlainConsole(), silent=self._processes.rank > 0)
        self._folder = run_folder(recipe, out)
        self._folder.check(resume=resume)
        self._phases = phases_of(recipe, spikformer_class(self._processes.device))
        self._data = data_set(recipe.data)
        self._batches = Batches(recipe, self._data, train, self._processes)
        self._examples = self._data.encode(train.images[:EXAMPLES]).float() * self._data.image_scale
        self._test = (self._data.encode(test.images), test.labels)
        self._stop = StopRequest()
        self._saved = time.monotonic()
        self.progress = begin or Progress()
        if self._folder.checkpoint.exists():
            self._resume()
        else:
            self._begin_phase()

    @property
    def _phase(self) -> TrainingPhase:
        """The phase in progress; of a run that is over, the last."""
        return self._phases[min(self.progress.phase, len(self._phases) - 1)]

    def _begin_phase(self) -> None:
        """Make the first model of the phase, and its optimiser."""
        torch.manual_seed(self._recipe.seed)
        self._take(self._phase.first_model(self._folder, self._examples))

    def _resume(self) -> None:
        """Go on where the checkpoint is."""
        self.progress, state, optimiser = self._folder.load()
        torch.manual_seed(self._recipe.seed)
        model = self._phase.new_model()
        # Before the optimiser is made: Brevitas makes new parameters for its scales when a state is loaded.
        checkpoint.restore(model, state, self._folder.checkpoint)
        self._take(model)
        here = self._optimiser.param_groups[0]
        for group in optimiser["param_groups"]:  # where the run goes on need not be where it began
            group.update({key: here[key] for key in ("lr", "fused", "capturable") if key in here})
        checkpoint.restore(self._optimiser, optimiser, self._folder.checkpoint)

    def _take(self, model: nn.Module) -> None:
        """Train this model from now on, with an optimiser of its own."""
        device = self._processes.device
        self.model = model
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimiser = self._phase.optimiser(self.model, device)
        self._step: TrainStep | None = None
        self._step_modes: Modes | None = None

    def run(self) -> nn.Module:
        """Train to the end.

        Returns
        -------
        nn.Module
            The quantised model, in eval mode.

        Raises
        ------
        TrainingStopped
            After SIGINT or SIGTERM, with the checkpoint saved.
        UserError
            If the loss is no longer a number, or the device has too little memory.
        """
        if self._processes.device.type == "cpu" and compile_neurons():
            self._display.say("neurons compiled by torch")
        with self._stop.listening():
            while self.progress.phase < len(self._phases):
                self._run_epoch()
        return self.model.eval()

    def _run_epoch(self) -> None:
        progress, phase, steps = self.progress, self._phase, self._batches.steps
        modes = phase.modes(progress.epoch)
        model = phase.running(self.model, modes)
        learn = self._step_in(model, modes)
        self._processes.share_buffers(self.model)
        look_every = LOOK_EVERY if self._processes.device.type == "cuda" else 1
        rate, began = 0.0, time.monotonic()
        title = f"{phase.name} epoch {progress.epoch + 1}/{phase.settings.epochs}"
        with self._display.epoch(title, progress, steps) as show:
            for step in range(progress.step, steps):
                rate = learning_rate(phase.settings, progress.epoch * steps + step, steps)
                self._learn(learn, *self._batches.batch(progress.phase, phase.settings, progress.epoch, step), rate)
                progress.step = step + 1
                if progress.step % look_every and progress.step < steps:
                    continue
                self._look(learn, rate)
                progress.seconds += time.monotonic() - began
                began = time.monotonic()
                show()
                if progress.step < steps:
                    self._save_if_due()
                    began = time.monotonic()
        self._log_epoch(model, modes, rate)
        self._finish_epoch()

    def _step_in(self, model: nn.Module, modes: Modes) -> TrainStep:
        """Put the model into the modes of an epoch, and return the optimiser's step for them.

        A recorded graph keeps the modes in which it was recorded: other modes need another step.
        """
        self.model.train()
        if modes.frozen_norms:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        if self._step is None or modes != self._step_modes:
            teacher = self._phase.teacher(self._folder)
            if teacher is not None:
                teacher[0].to(self._processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._step_modes = modes
            self._step = TrainStep(
                model, self._optimiser, self._processes, bf16=self._recipe.precision == "bf16", teacher=teacher,
                graph=self._graph,
            )  # fmt: skip
        return self._step

    def _learn(self, learn: TrainStep, images: Tensor, targets: Tensor, rate: float) -> None:
        try:
            learn(images, targets, rate)
        except torch.OutOfMemoryError as error:
            size = self._recipe.batch_size
            raise UserError(
                f"{self._processes.device} has too little memory for batch_size {size}; "
                f"use {max(1, size // 2)}, or more processes"
            ) from error

    def _look(self, learn: TrainStep, rate: float) -> None:
        """Fetch what the steps since the last look gave, and stop if it is not finite."""
        progress = self.progress
        totals = learn.take()
        if not math.isfinite(totals.loss):
            raise UserError(
                f"the loss or a gradient is not finite in {self._phase.name} epoch {progress.epoch + 1}, step "
                f"{progress.step}; the last good checkpoint is {self._folder.checkpoint}: "
                f"lower learning_rate ({rate:g} at that step) and start over"
            )
        progress.seen += totals.images
        progress.loss_sum += totals.loss
        progress.correct += totals.correct

    def _log_epoch(self, model: nn.Module, modes: Modes, rate: float) -> None:
        """Evaluate what ran if it is time to, and add the epoch's row to the log."""
        progress, phase = self.progress, self._phase
        accuracy: float | None = None
        due = self._is_last_epoch or (progress.epoch + 1) % self._evaluate_every == 0
        if due and self._processes.rank == 0:
            accuracy = round(evaluate(model, *self._test, self._data.image_scale), 2)
        row = {
            "phase": phase.name,
            "epoch": progress.epoch + 1,
            "timesteps": phase.timesteps(modes),
            "learning_rate": f"{rate:.3g}",
            "train_loss": round(progress.loss_sum / progress.seen, 4),
            "train_accuracy": round(100 * progress.correct / progress.seen, 2),
            "train_images": progress.seen,
            "test_accuracy": accuracy,
            "test_images": None if accuracy is None else len(self._test[1]),
            "images_per_s": round(progress.seen / progress.seconds, 1),
            "seed": self._recipe.seed,
            "device": self._processes.name(),
            "torch": str(torch.__version__),
        }
        progress.rows.append(row)
        self._display.say(", ".join(f"{key} {value}" for key, value in row.items() if value is not None))
        if self._on_epoch is not None and self._processes.rank == 0:
            self._on_epoch(progress.rows, model)

    @property
    def _is_last_epoch(self) -> bool:
        return self.progress.epoch + 1 == self._phase.settings.epochs

    def _finish_epoch(self) -> None:
        """Move on to the next epoch or phase."""
        progress = self.progress
        if not self._is_last_epoch:
            progress.begin_epoch(progress.phase, progress.epoch + 1)
        else:
            if self._processes.rank == 0:
                self._folder.save_model(self._phase.name, self.model)
            self._processes.wait()
            progress.begin_epoch(progress.phase + 1, 0)
            if progress.phase < len(self._phases):
                self._begin_phase()
            self._save()
        self._save_if_due()

    def _save_if_due(self) -> None:
        """Save now and then, and before stopping."""
        stop = self._processes.agree(self._stop.made)
        if stop or self._processes.agree(time.monotonic() - self._saved > CHECKPOINT_EVERY_S):
            self._save()
        if stop:
            raise TrainingStopped(f"stopped; the checkpoint is {self._folder.checkpoint}, resume to continue")

    def _save(self) -> None:
        if self._processes.rank == 0:
            self._folder.save(self.progress, self.model, self._optimiser)
        self._processes.wait()
        self._saved = time.monotonic()
