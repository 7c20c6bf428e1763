"""Train a Spikformer by a recipe: a float phase, then quantisation-aware training from its weights.

A recipe may put a teacher before both, which they learn from. `sw.training.batches` says what makes a run repeatable.
"""

from __future__ import annotations

import io
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from torch import Tensor, nn

from sw.data.sets import ImageSet, data_set
from sw.errors import UserError
from sw.files import write_atomically
from sw.model.neuron import compile_neurons
from sw.model.quantizers import begin_scales
from sw.model.spikformer import Spikformer
from sw.plain_console import PlainConsole, text_column
from sw.training import checkpoint
from sw.training.batches import Batches
from sw.training.checkpoint import Progress
from sw.training.log import write_curve, write_log
from sw.training.processes import Processes
from sw.training.recipe import Distillation, Phase, Recipe
from sw.training.step import TrainStep, adamw, descent
from sw.training.teacher import Teacher

CHECKPOINT_EVERY_S = 120.0
"""Seconds of training that a kill may cost."""

LOOK_EVERY = 50
"""Steps between looks at what a CUDA device has done; every look waits for it."""

EVALUATION_BATCH = 250


class TrainingStopped(UserError):
    """The user stopped the run; its checkpoint is saved."""


def spikformer_class(device: torch.device) -> type[Spikformer]:
    """Return the implementation of `Spikformer` for a device: with fused kernels where Triton can make them."""
    if device.type == "cuda":
        try:
            from sw.model.kernels.spikformer import FusedSpikformer
        except ImportError:
            return Spikformer
        return FusedSpikformer
    return Spikformer


def evaluate(model: nn.Module, images: Tensor, labels: Tensor, image_scale: float) -> float:
    """Percent of images classified correctly, in the model's own precision.

    Parameters
    ----------
    model : nn.Module
        `Spikformer` or `Teacher`; put into eval mode, and left so.
    images, labels : Tensor
        Encoded int8 images ``[n, C, H, W]`` and int64 labels ``[n]``.
    image_scale : float
        Value of one integer step of the image.
    """
    model.eval()
    parameter = next(model.parameters())
    correct = 0
    # cuDNN would round fp32 convolutions to TF32.
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
        for batch, truth in zip(
            torch.split(images, EVALUATION_BATCH), torch.split(labels, EVALUATION_BATCH), strict=True
        ):
            batch, truth = batch.to(parameter.device), truth.to(parameter.device)
            correct += int((model(batch.to(parameter.dtype) * image_scale).argmax(1) == truth).sum())
    return 100 * correct / len(labels)


def learning_rate(phase: Phase, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step of a phase: linear warm-up, then a cosine down to the final one."""
    total, warmup = phase.epochs * steps_per_epoch, phase.warmup_epochs * steps_per_epoch
    if step < warmup:
        return phase.learning_rate * (step + 1) / warmup
    cosine = 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total - warmup)))
    return phase.final_learning_rate + (phase.learning_rate - phase.final_learning_rate) * cosine


def quantised_from_float(recipe: Recipe, state: dict[str, Tensor], kind: type[Spikformer] = Spikformer) -> Spikformer:
    """A quantised model that begins with the weights of a float model of the same recipe."""
    model = kind(recipe.network_config(), recipe.weight_bits, data_set(recipe.data).image_scale)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all("_quant." in name for name in missing), (missing, unexpected)
    begin_scales(model)
    return model


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
    ) -> None:
        self._recipe, self._out = recipe, out
        self._console = console or PlainConsole()
        self._processes = processes or Processes.start()
        self._evaluate_every, self._graph = evaluate_every, graph
        self._kind = spikformer_class(self._processes.device)
        data = data_set(recipe.data)
        self._scale = data.image_scale
        if recipe.batch_size % self._processes.count:
            raise UserError(
                f"batch_size {recipe.batch_size} must be divisible by the {self._processes.count} processes; "
                "change one of them"
            )
        self._batches = Batches(recipe, data, train, self._processes)
        self._test = (data.encode(test.images), test.labels)
        self._phases = recipe.phases()
        self._checkpoint = out / checkpoint.FILE
        self._stop = False
        self._saved = time.monotonic()
        self.progress = begin or Progress()
        if self._checkpoint.exists() and not resume:
            raise UserError(f"{out} already holds a training run; resume it, or choose another output folder")
        if self._checkpoint.exists():
            self.progress, state, optimiser = checkpoint.load(self._checkpoint, recipe.to_dict())
            self._begin_model(state)
            for group in optimiser["param_groups"]:  # where the run goes on need not be where it began
                here = self._optimiser.param_groups[0]
                group.update({key: here[key] for key in ("lr", "fused", "capturable") if key in here})
            checkpoint.restore(self._optimiser, optimiser, self._checkpoint)
        else:
            self._begin_model()

    def _begin_model(self, state: dict[str, Tensor] | None = None) -> None:
        """Make the model of the phase, with its state if there is one, and its optimiser.

        In this order: Brevitas makes new parameters for its scales when a state is loaded.
        """
        recipe, network = self._recipe, self._recipe.network_config()
        name = self._phases[min(self.progress.phase, len(self._phases) - 1)][0]
        torch.manual_seed(recipe.seed)
        self.model: nn.Module
        if name == "teacher":
            assert recipe.teacher is not None
            self.model = self._new_teacher(recipe.teacher)
        elif name == "float":
            self.model = self._kind(network)
        elif state is None:
            self.model = quantised_from_float(recipe, self._finished("float"), self._kind)
        else:
            self.model = self._kind(network, recipe.weight_bits, self._scale)
        if state is not None:
            checkpoint.restore(self.model, state, self._checkpoint)
        self.model.to(self._processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        make, decay = adamw, recipe.weight_decay
        if name == "teacher":
            assert recipe.teacher is not None
            make = descent if recipe.teacher.optimiser == "sgd" else adamw
            decay = recipe.teacher.weight_decay
        self._optimiser = make(self.model, decay, self._processes.device)
        self._step: TrainStep | None = None
        self._modes = (False, False)

    def _new_teacher(self, settings: Distillation) -> Teacher:
        data = data_set(self._recipe.data)
        return Teacher(data.image_channels, len(data.class_names), settings.width)

    def _finished(self, name: str) -> dict[str, Tensor]:
        """State of the model of a phase that is over."""
        state: dict[str, Tensor] = checkpoint.read(self._out / f"{name}.pt")
        return state

    def _begin_step(self) -> TrainStep:
        """Make the optimiser's step of the model as it is now: a recorded graph keeps the modes of the modules."""
        teacher: tuple[nn.Module, Distillation] | None = None
        settings = self._recipe.teacher
        if settings is not None and self._phases[self.progress.phase][0] != "teacher":
            model = self._new_teacher(settings)
            checkpoint.restore(model, self._finished("teacher"), self._out / "teacher.pt")
            model.to(self._processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            teacher = (model.eval(), settings)
        return TrainStep(
            self.model, self._optimiser, self._processes, bf16=self._recipe.precision == "bf16", teacher=teacher,
            graph=self._graph,
        )  # fmt: skip

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
            self._say("neurons compiled by torch")
        with self._signals_stop():
            while self.progress.phase < len(self._phases):
                self._run_epoch()
        return self.model.eval()

    def _say(self, text: str) -> None:
        if self._processes.rank == 0:
            self._console.print(text, highlight=False, soft_wrap=True)

    def _run_epoch(self) -> None:
        progress = self.progress
        phase = self._phases[progress.phase][1]
        modes = self._set_modes(phase)
        if self._step is None or modes != self._modes:
            self._step, self._modes = self._begin_step(), modes
        self._processes.share_buffers(self.model)
        steps, rate = self._batches.steps, 0.0
        look_every = LOOK_EVERY if self._processes.device.type == "cuda" else 1
        began = time.monotonic()
        with self._bar(phase) as show:
            for step in range(progress.step, steps):
                rate = learning_rate(phase, progress.epoch * steps + step, steps)
                self._learn(*self._batches.batch(progress.phase, phase, progress.epoch, step), rate)
                progress.step = step + 1
                if progress.step % look_every and progress.step < steps:
                    continue
                self._look(rate)
                progress.seconds += time.monotonic() - began
                began = time.monotonic()
                show()
                if progress.step < steps:
                    self._save_if_due()
                    began = time.monotonic()
        self._finish_epoch(phase, rate)

    def _set_modes(self, phase: Phase) -> tuple[bool, bool]:
        """Prepare the model for the epoch: whether batch norm is frozen, and whether it runs a single time step.

        With a leak half of a current would count in that step, and a neuron would fire at twice the threshold.
        """
        frozen = self.progress.epoch >= phase.epochs - phase.freeze_norm_epochs
        single = self.progress.epoch < phase.single_step_epochs
        self.model.train()
        for module in self.model.modules():
            if frozen and isinstance(module, nn.BatchNorm2d):
                module.eval()
        if isinstance(self.model, Spikformer):
            network = self._recipe.network_config()
            self.model.config = replace(network, timesteps=1, neuron="if") if single else network
        return frozen, single

    def _save_if_due(self) -> None:
        """Save now and then, and before stopping."""
        stop = self._processes.agree(self._stop)
        if stop or self._processes.agree(time.monotonic() - self._saved > CHECKPOINT_EVERY_S):
            self._save()
        if stop:
            raise TrainingStopped(f"stopped; the checkpoint is {self._checkpoint}, resume to continue")

    def _learn(self, images: Tensor, targets: Tensor, rate: float) -> None:
        assert self._step is not None
        try:
            self._step(images, targets, rate)
        except torch.OutOfMemoryError as error:
            size = self._recipe.batch_size
            raise UserError(
                f"{self._processes.device} has too little memory for batch_size {size}; "
                f"use {max(1, size // 2)}, or more processes"
            ) from error

    def _look(self, rate: float) -> None:
        """Fetch what the steps since the last look gave, and stop if it is not finite."""
        assert self._step is not None
        progress = self.progress
        totals = self._step.take()
        if not math.isfinite(totals.loss):
            raise UserError(
                f"the loss or a gradient is not finite in {self._phases[progress.phase][0]} epoch "
                f"{progress.epoch + 1}, step {progress.step}; the last good checkpoint is {self._checkpoint}: "
                f"lower learning_rate ({rate:g} at that step) and start over"
            )
        progress.seen += totals.images
        progress.loss_sum += totals.loss
        progress.correct += totals.correct

    def _finish_epoch(self, phase: Phase, rate: float) -> None:
        """Evaluate, log, and move on to the next epoch or phase."""
        progress, recipe = self.progress, self._recipe
        name = self._phases[progress.phase][0]
        last = progress.epoch + 1 == phase.epochs
        accuracy: float | None = None
        if (last or (progress.epoch + 1) % self._evaluate_every == 0) and self._processes.rank == 0:
            accuracy = round(evaluate(self.model, *self._test, self._scale), 2)
        row = {
            "phase": name,
            "epoch": progress.epoch + 1,
            "timesteps": self.model.config.timesteps if isinstance(self.model, Spikformer) else None,
            "learning_rate": f"{rate:.3g}",
            "train_loss": round(progress.loss_sum / progress.seen, 4),
            "train_accuracy": round(100 * progress.correct / progress.seen, 2),
            "train_images": progress.seen,
            "test_accuracy": accuracy,
            "test_images": None if accuracy is None else len(self._test[1]),
            "images_per_s": round(progress.seen / progress.seconds, 1),
            "seed": recipe.seed,
            "device": self._processes.name(),
            "torch": str(torch.__version__),
        }
        progress.rows.append(row)
        self._say(", ".join(f"{key} {value}" for key, value in row.items() if value is not None))
        if not last:
            progress.begin_epoch(progress.phase, progress.epoch + 1)
        else:
            if self._processes.rank == 0:
                self._write_model(self._out / f"{name}.pt")
            self._processes.wait()
            progress.begin_epoch(progress.phase + 1, 0)
            if progress.phase < len(self._phases):
                self._begin_model()
            self._save()
        self._save_if_due()

    def _write_model(self, path: Path) -> None:
        buffer = io.BytesIO()
        torch.save(self.model.state_dict(), buffer)
        write_atomically(path, buffer.getvalue())

    def _save(self) -> None:
        if self._processes.rank == 0:
            model, optimiser = self.model.state_dict(), self._optimiser.state_dict()
            checkpoint.save(self._checkpoint, self._recipe.to_dict(), self.progress, model, optimiser)
            if self.progress.rows:
                write_log(self._out / "log.csv", self.progress.rows)
                title = f"{self._recipe.name}, {self._recipe.weight_bits}-bit weights"
                write_curve(self._out / "curve.png", self.progress.rows, title)
        self._processes.wait()
        self._saved = time.monotonic()

    @contextmanager
    def _signals_stop(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end the run after the step in progress."""

        def request(*_: Any) -> None:
            self._stop = True

        previous = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextmanager
    def _bar(self, phase: Phase) -> Iterator[Callable[[], None]]:
        """A progress bar of the epoch; the function it yields shows the progress so far."""
        progress = self.progress
        name, rate = text_column("{task.description}"), text_column("{task.fields[rate]}")
        columns = (name, BarColumn(), rate, TimeRemainingColumn())
        # A log file gets one line per epoch.
        silent = not self._console.is_terminal or self._processes.rank > 0
        with Bar(*columns, console=self._console, transient=True, disable=silent) as bar:
            title = f"{self._phases[progress.phase][0]} epoch {progress.epoch + 1}/{phase.epochs}"
            task = bar.add_task(title, total=self._batches.steps, completed=progress.step, rate="")

            def show() -> None:
                rate = f"{progress.seen / progress.seconds:.0f} images/s, loss {progress.loss_sum / progress.seen:.3f}"
                bar.update(task, completed=progress.step, rate=rate)

            yield show
