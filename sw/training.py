"""Train a Spikformer by a recipe: a float phase, then quantisation-aware training from its weights.

Every random choice is drawn from a generator seeded with (recipe seed, phase, epoch, step), so a run that was stopped
anywhere continues to the same weights, and nothing about randomness has to be stored.
"""

from __future__ import annotations

import io
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from torch import Generator, Tensor, nn
from torch.nn import functional

from sw import checkpoint
from sw.augment import augment
from sw.checkpoint import Progress
from sw.data import ImageSet, data_set
from sw.errors import UserError
from sw.files import write_atomically
from sw.model import Spikformer
from sw.neuron import compile_neurons
from sw.quantizers import begin_scales
from sw.recipe import Phase, Recipe
from sw.training_log import write_curve, write_log

PHASES = ("float", "quantised")
CHECKPOINT_EVERY_S = 120.0
"""Seconds of training that a kill may cost."""

EVALUATION_BATCH = 250


class TrainingStopped(UserError):
    """The user stopped the run; its checkpoint is saved."""


def evaluate(model: Spikformer, images: Tensor, labels: Tensor, image_scale: float) -> float:
    """Percent of images classified correctly, in the model's own precision.

    Parameters
    ----------
    model : Spikformer
        Put into eval mode, and left so.
    images, labels : Tensor
        Encoded int8 images ``[n, C, H, W]`` and int64 labels ``[n]``.
    image_scale : float
        Value of one integer step of the image.
    """
    model.eval()
    dtype = next(model.parameters()).dtype
    correct = 0
    with torch.inference_mode():
        for batch, truth in zip(
            torch.split(images, EVALUATION_BATCH), torch.split(labels, EVALUATION_BATCH), strict=True
        ):
            correct += int((model(batch.to(dtype) * image_scale).argmax(1) == truth).sum())
    return 100 * correct / len(labels)


def learning_rate(phase: Phase, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step of a phase: linear warm-up, then a cosine that reaches zero at its end."""
    total, warmup = phase.epochs * steps_per_epoch, phase.warmup_epochs * steps_per_epoch
    if step < warmup:
        return phase.learning_rate * (step + 1) / warmup
    return phase.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, total - warmup)))


def quantised_from_float(recipe: Recipe, state: dict[str, Tensor]) -> Spikformer:
    """A quantised model that begins with the weights of a float model of the same recipe."""
    model = Spikformer(recipe.network_config(), recipe.weight_bits, data_set(recipe.data).image_scale)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all("_quant." in name for name in missing), (missing, unexpected)
    begin_scales(model)
    return model


class Trainer:
    """One training run in one folder.

    The folder holds ``checkpoint.pt``, ``log.csv``, ``curve.png``, and in the end ``float.pt`` and ``quantised.pt``
    (state dictionaries of the two models).

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
    console : Console, optional
        Where progress is shown.

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
        console: Console | None = None,
    ) -> None:
        self._recipe, self._out = recipe, out
        self._console = console or Console()
        data = data_set(recipe.data)
        self._scale = data.image_scale
        self._train = (data.encode(train.images), train.labels)
        self._test = (data.encode(test.images), test.labels)
        self._steps = math.ceil(len(train) / recipe.batch_size)
        self._checkpoint = out / "checkpoint.pt"
        self._stop = False
        self.progress = Progress()
        if self._checkpoint.exists() and not resume:
            raise UserError(f"{out} already holds a training run; resume it, or choose another output folder")
        if self._checkpoint.exists():
            self.progress, model, optimiser = checkpoint.load(self._checkpoint, recipe.to_dict())
            if self.progress.phase == 0:
                self._begin_model(Spikformer(recipe.network_config()), model)
            else:
                self._begin_model(Spikformer(recipe.network_config(), recipe.weight_bits, self._scale), model)
            self._optimiser.load_state_dict(optimiser)
        else:
            torch.manual_seed(recipe.seed)
            self._begin_model(Spikformer(recipe.network_config()))

    def _begin_model(self, model: Spikformer, state: dict[str, Tensor] | None = None) -> None:
        """Take a model, its state if there is one, and make its optimiser.

        In this order: Brevitas makes new parameters for its scales when a state is loaded.
        """
        self.model = model
        if state is not None:
            self.model.load_state_dict(state)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        parameters = dict(self.model.named_parameters())
        decayed = [p for name, p in parameters.items() if p.ndim >= 2 and "_quant." not in name]
        others = [p for name, p in parameters.items() if p.ndim < 2 or "_quant." in name]
        self._optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": self._recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        )

    def run(self) -> Spikformer:
        """Train to the end.

        Returns
        -------
        Spikformer
            The quantised model, in eval mode.

        Raises
        ------
        TrainingStopped
            After SIGINT or SIGTERM, with the checkpoint saved.
        UserError
            If the loss is no longer a number.
        """
        if compile_neurons():
            self._console.print("neurons compiled by torch")
        with self._signals_stop():
            while self.progress.phase < len(PHASES):
                self._run_epoch()
        return self.model.eval()

    def _run_epoch(self) -> None:
        progress, recipe = self.progress, self._recipe
        phase = recipe.quantised_phase if progress.phase else recipe.float_phase
        order = torch.randperm(len(self._train[1]), generator=self._generator())
        self.model.train()
        if progress.epoch >= phase.epochs - phase.freeze_norm_epochs:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        saved = time.monotonic()
        with self._bar(phase) as show:
            for step in range(progress.step, self._steps):
                began = time.monotonic()
                rate = learning_rate(phase, progress.epoch * self._steps + step, self._steps)
                self._step(phase, order[step * recipe.batch_size : (step + 1) * recipe.batch_size], step, rate)
                progress.step = step + 1
                progress.seconds += time.monotonic() - began
                show()
                if step + 1 == self._steps:
                    break  # the end of an epoch is saved by `_finish_epoch`
                if self._stop:
                    self._save()
                    raise self._stopped()
                if time.monotonic() - saved > CHECKPOINT_EVERY_S:
                    self._save()
                    saved = time.monotonic()
        self._finish_epoch(phase, rate)
        if self._stop:
            raise self._stopped()

    def _stopped(self) -> TrainingStopped:
        return TrainingStopped(f"stopped; the checkpoint is {self._checkpoint}, resume to continue")

    def _step(self, phase: Phase, chosen: Tensor, step: int, rate: float) -> None:
        """One step of the optimiser on one batch."""
        progress, recipe = self.progress, self._recipe
        images, labels = (tensor[chosen] for tensor in self._train)
        images = augment(images, phase.augmentation, self._generator(step)).float() * self._scale
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16"):
            logits = self.model(images).float()
        loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        # A neuron whose current is not a number stays silent, so the loss alone can look healthy: gradients tell.
        slopes = nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        if not math.isfinite(loss.item() + slopes.item()):
            raise UserError(
                f"the loss or a gradient is not finite in {PHASES[progress.phase]} epoch {progress.epoch + 1}, "
                f"step {step + 1}; the last good checkpoint is {self._checkpoint}: "
                f"lower learning_rate ({rate:g} at that step) and start over"
            )
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        progress.seen += len(labels)
        progress.loss_sum += loss.item() * len(labels)
        progress.correct += int((logits.detach().argmax(1) == labels).sum())

    def _finish_epoch(self, phase: Phase, rate: float) -> None:
        """Evaluate, log, and move on to the next epoch or phase."""
        progress, recipe = self.progress, self._recipe
        row = {
            "phase": PHASES[progress.phase],
            "epoch": progress.epoch + 1,
            "learning_rate": f"{rate:.3g}",
            "train_loss": round(progress.loss_sum / progress.seen, 4),
            "train_accuracy": round(100 * progress.correct / progress.seen, 2),
            "test_accuracy": round(evaluate(self.model, *self._test, self._scale), 2),
            "images_per_s": round(progress.seen / progress.seconds, 1),
            "seed": recipe.seed,
        }
        progress.rows.append(row)
        self._console.print(", ".join(f"{key} {value}" for key, value in row.items()), highlight=False, soft_wrap=True)
        if progress.epoch + 1 < phase.epochs:
            progress.begin_epoch(progress.phase, progress.epoch + 1)
        else:
            self._write_model(self._out / f"{PHASES[progress.phase]}.pt")
            if progress.phase == 0:
                self._begin_model(quantised_from_float(recipe, self.model.state_dict()))
            progress.begin_epoch(progress.phase + 1, 0)
        self._save()
        write_log(self._out / "log.csv", progress.rows)
        write_curve(self._out / "curve.png", progress.rows, f"{recipe.name}, {recipe.weight_bits}-bit weights")

    def _generator(self, step: int = -1) -> Generator:
        """Randomness of one step, or with no step of the order of the images, independent of all others."""
        numbers = (self._recipe.seed, self.progress.phase, self.progress.epoch, step + 1)
        seed = 0
        for number in numbers:
            seed = (seed * 1_000_003 + number + 1) % (2**63)
        return Generator().manual_seed(seed)

    def _write_model(self, path: Path) -> None:
        buffer = io.BytesIO()
        torch.save(self.model.state_dict(), buffer)
        write_atomically(path, buffer.getvalue())

    def _save(self) -> None:
        model, optimiser = self.model.state_dict(), self._optimiser.state_dict()
        checkpoint.save(self._checkpoint, self._recipe.to_dict(), self.progress, model, optimiser)

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
        name, rate = TextColumn("{task.description}"), TextColumn("{task.fields[rate]}")
        columns = (name, BarColumn(), rate, TimeRemainingColumn())
        silent = not self._console.is_terminal  # a log file gets one line per epoch
        with Bar(*columns, console=self._console, transient=True, disable=silent) as bar:
            title = f"{PHASES[progress.phase]} epoch {progress.epoch + 1}/{phase.epochs}"
            task = bar.add_task(title, total=self._steps, completed=progress.step, rate="")

            def show() -> None:
                rate = f"{progress.seen / progress.seconds:.0f} images/s, loss {progress.loss_sum / progress.seen:.3f}"
                bar.update(task, completed=progress.step, rate=rate)

            yield show
