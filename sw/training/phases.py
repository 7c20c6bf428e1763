"""The phases of a training run: what each trains, from which weights, with which optimiser and which teacher."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sw.artifact.artifact import Artifact
from sw.data.sets import data_set
from sw.errors import UserError
from sw.model.quantizers import begin_scales
from sw.model.spikformer import Spikformer
from sw.training.recipe import Distillation, Phase, Recipe
from sw.training.run import checkpoint
from sw.training.run.folder import RunFolder
from sw.training.start import begin_with, load_start
from sw.training.step import adamw, descent
from sw.training.teachers.residual import Teacher
from sw.training.teachers.whitened import WhitenedTeacher


def phases_of(recipe: Recipe, kind: type[Spikformer] = Spikformer) -> tuple[TrainingPhase, ...]:
    """Phases of a run of `recipe` in their order, with the implementation of `Spikformer` that trains."""
    quantised = QuantisedPhase(recipe, kind)
    own = (quantised,) if recipe.float_phase is None else (FloatPhase(recipe, kind, recipe.float_phase), quantised)
    return own if recipe.teacher is None or recipe.teacher.trained else (TeacherPhase(recipe, recipe.teacher), *own)


def spikformer_class(device: torch.device) -> type[Spikformer]:
    """Return the implementation of `Spikformer` for a device: with fused kernels where Triton can make them."""
    if device.type == "cuda":
        try:
            from sw.model.kernels.spikformer import FusedSpikformer
        except ImportError:
            return Spikformer
        return FusedSpikformer
    return Spikformer


class Modes(NamedTuple):
    """How a model runs in an epoch.

    Attributes
    ----------
    frozen_norms : bool
        Batch norm uses, and keeps, the statistics collected before.
    single_step : bool
        One time step of neurons without leak. With a leak half of a current would count in that step, and a neuron
        would fire at twice the threshold.
    """

    frozen_norms: bool
    single_step: bool


class TrainingPhase(ABC):
    """One phase of a run.

    Attributes
    ----------
    name : str
        Of the phase in the log, and of its model's file.
    settings : Phase
        Length, learning rates, changes to the images.
    """

    name: ClassVar[str]

    def __init__(self, settings: Phase) -> None:
        self.settings = settings

    @abstractmethod
    def new_model(self) -> nn.Module:
        """Make the phase's model, for a state to be loaded into it."""

    def first_model(self, folder: RunFolder, images: Tensor) -> nn.Module:
        """Make the model that the phase begins with.

        Parameters
        ----------
        folder : RunFolder
            Has the phases before.
        images : Tensor
            Some training images as the network sees them, float32 ``[n, C, H, W]``.
        """
        return self.new_model()

    @abstractmethod
    def optimiser(self, model: nn.Module, device: torch.device) -> Optimizer:
        """Make the optimiser of the phase's model."""

    def teacher(self, folder: RunFolder) -> tuple[nn.Module, Distillation] | None:
        """Whom the model learns from beside the labels, in eval mode, and how much; None for nobody."""
        return None

    def modes(self, epoch: int) -> Modes:
        """How the model runs in an epoch of the phase."""
        phase = self.settings
        return Modes(
            frozen_norms=epoch >= phase.epochs - phase.freeze_norm_epochs,
            single_step=epoch < phase.single_step_epochs,
        )

    def running(self, model: nn.Module, modes: Modes) -> nn.Module:
        """What runs of the phase's model in an epoch of these modes; the parameters are the model's."""
        return model

    def timesteps(self, modes: Modes) -> int | None:
        """Time steps that run in an epoch of these modes; None if the model has none."""
        return None


class TeacherPhase(TrainingPhase):
    """The teacher learns from the labels alone."""

    name = "teacher"

    def __init__(self, recipe: Recipe, distillation: Distillation) -> None:
        super().__init__(distillation.phase)
        self._data, self._distillation = data_set(recipe.data), distillation

    def new_model(self) -> nn.Module:
        """Make a teacher."""
        kind = {"residual": Teacher, "whitened": WhitenedTeacher}[self._distillation.network]
        return kind(self._data.image_channels, len(self._data.class_names), self._distillation.width)

    def first_model(self, folder: RunFolder, images: Tensor) -> nn.Module:
        """Make a teacher that has looked at the images, if it is of the kind that does."""
        model = self.new_model()
        if isinstance(model, WhitenedTeacher):
            model.whiten(images)
        return model

    def optimiser(self, model: nn.Module, device: torch.device) -> Optimizer:
        """Make the optimiser that the recipe chooses."""
        make = descent if self._distillation.optimiser == "sgd" else adamw
        return make(model, self._distillation.weight_decay, device)


class SpikformerPhase(TrainingPhase):
    """A Spikformer learns, from a teacher too if the recipe has one."""

    def __init__(self, recipe: Recipe, kind: type[Spikformer], settings: Phase) -> None:
        super().__init__(settings)
        self._recipe, self._kind = recipe, kind
        self._start: Artifact | None = None

    def _read_start(self, weight_bits: int | None) -> None:
        """Read the artifact that the phase begins with, if there is one: before any work."""
        if self._recipe.start:
            self._start = load_start(self._recipe.start, self._recipe.network, weight_bits, self._recipe.data)

    def optimiser(self, model: nn.Module, device: torch.device) -> Optimizer:
        """Make AdamW."""
        return adamw(model, self._recipe.weight_decay, device)

    def teacher(self, folder: RunFolder) -> tuple[nn.Module, Distillation] | None:
        """Make the teacher that was trained before."""
        settings = self._recipe.teacher
        if settings is None:
            return None
        model = TeacherPhase(self._recipe, settings).new_model()
        if settings.trained:
            path = Path(settings.trained)
            if not path.is_file():
                raise UserError(f"teacher.trained {path} does not exist; train a teacher, or leave the key out")
            checkpoint.restore(model, checkpoint.read(path), path)
        else:
            folder.restore(model, TeacherPhase.name)
        return model.eval(), settings

    def running(self, model: nn.Module, modes: Modes) -> nn.Module:
        """The model, or in single-step epochs the network of one step with its weights."""
        assert isinstance(model, Spikformer)
        return model.as_network(replace(self._recipe.network, timesteps=1, neuron="if")) if modes.single_step else model

    def timesteps(self, modes: Modes) -> int:
        """The network's, or 1."""
        return 1 if modes.single_step else self._recipe.network.timesteps


class FloatPhase(SpikformerPhase):
    """The float model learns."""

    name = "float"

    def __init__(self, recipe: Recipe, kind: type[Spikformer], settings: Phase) -> None:
        super().__init__(recipe, kind, settings)
        self._read_start(None)

    def new_model(self) -> Spikformer:
        """Make a float model."""
        return self._kind(self._recipe.network)

    def first_model(self, folder: RunFolder, images: Tensor) -> Spikformer:
        """Make a float model, of the artifact's weights if there is one to start with."""
        model = self.new_model()
        if self._start is not None:
            begin_with(model, self._start, images)
        return model


class QuantisedPhase(SpikformerPhase):
    """The quantised model learns, beginning with the weights of the float model or of an artifact."""

    name = "quantised"

    def __init__(self, recipe: Recipe, kind: type[Spikformer]) -> None:
        super().__init__(recipe, kind, recipe.quantised_phase)
        if recipe.float_phase is None:
            self._read_start(recipe.weight_bits)

    def new_model(self) -> Spikformer:
        """Make a quantised model."""
        return self._kind(self._recipe.network, self._recipe.weight_bits, data_set(self._recipe.data).image_scale)

    def first_model(self, folder: RunFolder, images: Tensor) -> Spikformer:
        """Make a quantised model with the weights of the finished float model, or without that phase the artifact's."""
        if self._start is not None:
            model = self.new_model()
            begin_with(model, self._start, images)
            return model
        return self.from_float(folder.finished(FloatPhase.name))

    def from_float(self, state: dict[str, Tensor]) -> Spikformer:
        """Make a quantised model that begins with the weights of a float model of the same recipe."""
        model = self.new_model()
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert not unexpected and all("_quant." in name for name in missing), (missing, unexpected)
        begin_scales(model)
        return model
