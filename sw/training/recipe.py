"""Training recipes: what decides the outcome of a run, read from a TOML file."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from sw.data.sets import data_set
from sw.errors import UserError
from sw.layer import WEIGHT_WIDTHS
from sw.named_networks import named_network
from sw.network import NetworkConfig
from sw.training.fields import Earlier, Matching, OneOf, Range, Settled, build, read_table

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Names of models: each has a folder and an artifact of that name."""

FILE_NAME_RULE = "1 to 64 letters, digits, '.', '_' and '-', not one of the last three first"

OF_THE_DATA_SET = ("image_size", "image_channels", "classes", "event_bits", "attention_scale")
"""Fields of a network that a recipe leaves out, as its data set settles them."""


def _known_data_set(key: str, name: str, earlier: Earlier) -> None:
    data_set(name)


def _needs_flip(key: str, value: bool, earlier: Earlier) -> None:
    if value and not earlier.get("flip", False):
        raise UserError(f"{key} must be false without flip, or flip must be true")


def _of_the_data_set(earlier: Earlier) -> dict[str, Any]:
    """Values of `OF_THE_DATA_SET`; every data set so far has images, with the paper's attention scale."""
    data = data_set(earlier["data"])
    sizes = (data.image_size, data.image_channels, len(data.class_names))
    return dict(zip(OF_THE_DATA_SET, (*sizes, NetworkConfig.event_bits, NetworkConfig.attention_scale), strict=True))


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes to training images.

    Attributes
    ----------
    shift : int
        Largest shift in pixels, either way and in both directions.
    flip : bool
        Whether half of the images are mirrored left to right.
    by_turns : bool
        Mirror an image in every second epoch, with `flip`, rather than at random: half of the images in each epoch, and
        in two epochs every image both ways (arXiv 2404.00498).
    erase : float
        Probability of a blank rectangle.
    rand_augment : float
        Magnitude, up to 10, of the random operations of `sw.training.rand_augment`; 0 for none.
    """

    shift: Annotated[int, Range(0, 16)] = 0
    flip: bool = False
    by_turns: Annotated[bool, _needs_flip] = False
    erase: Annotated[float, Range(0, 1)] = 0.0
    rand_augment: Annotated[float, Range(0, 10)] = 0.0


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase: its length and its learning rate, a linear warm-up and then a cosine.

    Attributes
    ----------
    epochs : int
        Passes over the training images.
    learning_rate, final_learning_rate : float
        Peak of AdamW's learning rate, and where the cosine ends.
    warmup_epochs : float
        Length of the warm-up, within `epochs`.
    mixup : float
        Both parameters of the beta distribution that mixup (arXiv 1710.09412) draws a batch's share from; 0 for none.
    mixup_epochs : int
        Epochs at the beginning that mix.
    freeze_norm_epochs : int
        Epochs at the end that use, and keep, the batch norm statistics collected before.
    single_step_epochs : int
        Epochs at the beginning, fewer than all, that run one time step of neurons without leak: a T-th of the work.
    augmentation : Augmentation
        Changes to the training images; none by default.
    """

    epochs: Annotated[int, Range(1, 10_000)]
    learning_rate: Annotated[float, Range(1e-9, 1)]
    final_learning_rate: Annotated[float, Range(0, lambda earlier: earlier["learning_rate"])] = 0.0
    warmup_epochs: Annotated[float, Range(0, lambda earlier: earlier["epochs"])] = 0.0
    mixup: Annotated[float, Range(0, 10)] = 0.0
    mixup_epochs: Annotated[int, Range(0, lambda earlier: earlier["epochs"])] = 0
    freeze_norm_epochs: Annotated[int, Range(0, lambda earlier: earlier["epochs"])] = 0
    single_step_epochs: Annotated[int, Range(0, lambda earlier: earlier["epochs"] - 1)] = 0
    augmentation: Augmentation = Augmentation()


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """A teacher that is trained first, and how much the others learn from it.

    Attributes
    ----------
    network : str
        ``residual`` for `sw.training.teachers.residual`, or ``whitened`` for `sw.training.teachers.whitened`.
    width : int
        Channels of the teacher's first stage.
    weight : float
        Share of the teacher in the loss; the rest is the labels'.
    temperature : float
        What logits are divided by before the teacher's and the student's probabilities are compared.
    optimiser : str
        ``adamw``, or ``sgd`` with Nesterov's momentum of 0.9, which suits such networks better.
    weight_decay : float
        Of the optimiser.
    phase : Phase
        The teacher's own training.
    trained : str
        File of a teacher that is trained already, ``teacher.pt`` of a run, relative to where the command runs. Then
        none is trained, and what is above says how that one was.
    """

    width: Annotated[int, Range(8, 512)]
    weight: Annotated[float, Range(0, 1)]
    temperature: Annotated[float, Range(0.1, 100)]
    optimiser: Literal["adamw", "sgd"]
    weight_decay: Annotated[float, Range(0, 1)]
    phase: Phase
    network: Literal["residual", "whitened"] = "residual"
    trained: str = ""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the outcome of a training run.

    Attributes
    ----------
    name : str
        Name of the model; it also names files, so it is as `FILE_NAME` has it.
    data : str
        Name of the data set.
    seed : int
        Seed of the initial weights, the order of the images and their augmentation.
    weight_bits : int
        One of `WEIGHT_WIDTHS`, of the quantised phase.
    batch_size : int
        Images per step.
    precision : str
        ``bf16`` or ``fp32``: arithmetic of the training steps. Evaluation is fp32.
    label_smoothing, weight_decay : float
        As in the usual cross-entropy and AdamW.
    network : NetworkConfig
        Shape of the network; what `OF_THE_DATA_SET` names is as the data set needs it.
    float_phase, quantised_phase : Phase
        The float phase, and the quantisation-aware phase that starts from its weights. With `start` there need be no
        float phase.
    start : str
        Artifact that the first of both begins with, relative to where the command runs; see `sw.training.start`.
        Without one it begins with random weights.
    teacher : Distillation, optional
        Trained before both phases, which then learn from it.
    """

    name: Annotated[str, Matching(FILE_NAME, FILE_NAME_RULE)]
    data: Annotated[str, _known_data_set]
    weight_bits: Annotated[int, OneOf(WEIGHT_WIDTHS)]
    batch_size: Annotated[int, Range(1, 65536)]
    network: Annotated[NetworkConfig, Settled(_of_the_data_set)]
    quantised_phase: Phase
    float_phase: Phase | None = None
    start: str = ""
    seed: Annotated[int, Range(0, 2**31 - 1)] = 1
    precision: Literal["bf16", "fp32"] = "bf16"
    label_smoothing: Annotated[float, Range(0, 0.9)] = 0.0
    weight_decay: Annotated[float, Range(0, 1)] = 0.0
    teacher: Distillation | None = None

    def to_dict(self) -> dict[str, Any]:
        """Flat settings, ``section.key`` to value, as in the file: for records and comparisons."""
        settings = dataclasses.asdict(self)
        for name in OF_THE_DATA_SET:
            del settings["network"][name]
        return _flat(settings)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    UserError
        Naming the file, the key, its value and what it may be.
    """
    table = read_table(path, "recipe")
    try:
        return recipe_of(table)
    except UserError as error:
        raise UserError(f"recipe {path}: {error}") from error


def recipe_of(table: dict[str, Any]) -> Recipe:
    """Check a recipe's table.

    Raises
    ------
    UserError
        Naming the key, its value and what it may be.
    """
    network = table.get("network")
    if isinstance(network, dict) and "name" in network:  # one of the paper's; other keys change it
        base = named_network(network["name"]).to_dict()
        own = {key: value for key, value in network.items() if key != "name"}
        table = table | {"network": {key: base[key] for key in base if key not in OF_THE_DATA_SET} | own}
    recipe = build(Recipe, table)
    if recipe.float_phase is None and not recipe.start:
        raise UserError("key float_phase is missing, and there is no start: give one of them")
    if recipe.teacher is not None and (single := recipe.teacher.phase.single_step_epochs):
        raise UserError(f"teacher.phase.single_step_epochs must be 0, not {single}: a teacher has no time steps")
    return recipe
