"""Training recipes: a TOML file, checked field by field into frozen dataclasses."""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from hw.user_text import listed, quoted
from sw.data.sets import data_set
from sw.errors import UserError
from sw.files import read_small_text
from sw.layer import WEIGHT_WIDTHS
from sw.named_networks import named_network
from sw.network import LinearBias, NetworkConfig, NeuronKind, PoolOrder, ResidualMode

T = TypeVar("T")

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Names of models: each has a folder and an artifact of that name."""

FILE_NAME_RULE = "1 to 64 letters, digits, '.', '_' and '-', not one of the last three first"

LARGEST_FILE = 1 << 16
"""Bytes of a TOML file."""

LARGEST_INTEGER_BITS = 64
"""Of a number that may have a fraction."""

LONGEST_LINE = 500
"""Characters of its lines: the reader's work grows with the square of the parts of a dotted key."""


@dataclass(frozen=True, kw_only=True)
class NetworkRecipe:
    """The part of `NetworkConfig` that the data set does not settle."""

    embed_dim: int
    depth: int
    heads: int
    timesteps: int = 4
    mlp_ratio: int = 4
    residual_mode: ResidualMode = "add"
    pools: int = 2
    pool_order: PoolOrder = "after"
    linear_bias: LinearBias = "all"
    neuron: NeuronKind = "lif"


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes to training images.

    Attributes
    ----------
    shift : int
        Largest shift in pixels, either way and in both directions.
    flip : bool
        Whether half of the images are mirrored left to right.
    erase : float
        Probability of a blank rectangle.
    rand_augment : float
        Magnitude, up to 10, of the random operations of `sw.training.rand_augment`; 0 for none.
    """

    shift: int = 0
    flip: bool = False
    erase: float = 0.0
    rand_augment: float = 0.0


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

    epochs: int
    learning_rate: float
    final_learning_rate: float = 0.0
    warmup_epochs: float = 0.0
    mixup: float = 0.0
    mixup_epochs: int = 0
    freeze_norm_epochs: int = 0
    single_step_epochs: int = 0
    augmentation: Augmentation = Augmentation()


@dataclass(frozen=True, kw_only=True)
class Distillation:
    """A teacher that is trained first, and how much the others learn from it; see `sw.training.teacher`.

    Attributes
    ----------
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
    """

    width: int
    weight: float
    temperature: float
    optimiser: Literal["adamw", "sgd"]
    weight_decay: float
    phase: Phase


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
    network : NetworkRecipe
        Shape of the network.
    float_phase, quantised_phase : Phase
        The float phase, and the quantisation-aware phase that starts from its weights.
    teacher : Distillation, optional
        Trained before both phases, which then learn from it.
    """

    name: str
    data: str
    weight_bits: int
    batch_size: int
    network: NetworkRecipe
    float_phase: Phase
    quantised_phase: Phase
    seed: int = 1
    precision: Literal["bf16", "fp32"] = "bf16"
    label_smoothing: float = 0.0
    weight_decay: float = 0.0
    teacher: Distillation | None = None

    def phases(self) -> tuple[tuple[str, Phase], ...]:
        """Names and settings of the phases, in order."""
        own = (("float", self.float_phase), ("quantised", self.quantised_phase))
        return own if self.teacher is None else (("teacher", self.teacher.phase), *own)

    def network_config(self) -> NetworkConfig:
        """The network's shape, with what the data set brings.

        Raises
        ------
        UserError
            If the shape is impossible.
        """
        data = data_set(self.data)
        try:
            return NetworkConfig(
                image_size=data.image_size,
                image_channels=data.image_channels,
                classes=len(data.class_names),
                **dataclasses.asdict(self.network),
            )
        except ValueError as error:
            raise UserError(f"[network]: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Flat settings, ``section.key`` to value: for records and comparisons."""
        return _flat(dataclasses.asdict(self))


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


def read_table(path: Path, kind: str) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path : Path
    kind : str
        What the file should be, for the refusal.

    Raises
    ------
    UserError
        If it cannot be read or is not TOML.
    """
    try:
        text = read_small_text(path, LARGEST_FILE)
        if max(map(len, text.split("\n"))) > LONGEST_LINE:
            raise ValueError(f"a line of more than {LONGEST_LINE} characters")
        return tomllib.loads(text)
    except OSError as error:
        raise UserError(f"{kind} {path} cannot be read ({error.strerror}); see recipes/ for examples") from error
    except RecursionError as error:
        raise UserError(f"{kind} {path} is not valid TOML: too many brackets in each other") from error
    except ValueError as error:
        raise UserError(f"{kind} {path} is not valid TOML: {listed([str(error)])}") from error


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
        table = table | {"network": {field.name: base[field.name] for field in dataclasses.fields(NetworkRecipe)} | own}
    recipe = _build(Recipe, table, "")
    _check(recipe)
    recipe.network_config()
    return recipe


def _build(kind: type[T], table: dict[str, Any], section: str) -> T:
    """Make a dataclass of a TOML table: no unknown keys, none missing, every value of the declared type."""
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(table) - set(fields)):
        raise UserError(f"unknown key {section}{listed(unknown[:1], 40)}; known are {', '.join(fields)}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _value(hints[name], table[name], f"{section}{name}")
        elif field.default is dataclasses.MISSING:
            raise UserError(f"key {section}{name} is missing")
    return kind(**values)


def _value(hint: Any, value: Any, key: str) -> Any:
    if typing.get_origin(hint) is types.UnionType:  # an optional table: there is no null in TOML
        hint = typing.get_args(hint)[0]
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise UserError(f"{key} must be a table, not {quoted(value)}")
        return _build(typing.cast(type[Any], hint), value, f"{key}.")
    if typing.get_origin(hint) is Literal:
        if value not in typing.get_args(hint):
            raise UserError(f"{key} must be one of {', '.join(typing.get_args(hint))}, not {quoted(value)}")
        return value
    if hint is float and type(value) is int and value.bit_length() <= LARGEST_INTEGER_BITS:
        return float(value)
    if type(value) is not hint:
        raise UserError(f"{key} must be of type {hint.__name__}, not {quoted(value)}")
    return value


def _check(recipe: Recipe) -> None:
    """Limits of the values."""
    if not FILE_NAME.fullmatch(recipe.name):
        raise UserError(f"name must be {FILE_NAME_RULE}, not {quoted(recipe.name)}")
    data_set(recipe.data)
    limits: list[tuple[str, float, float, float]] = [
        ("batch_size", recipe.batch_size, 1, 65536),
        ("seed", recipe.seed, 0, 2**31 - 1),
        ("label_smoothing", recipe.label_smoothing, 0, 0.9),
        ("weight_decay", recipe.weight_decay, 0, 1),
    ]
    if recipe.teacher is not None:
        limits += [
            ("teacher.width", recipe.teacher.width, 8, 512),
            ("teacher.weight", recipe.teacher.weight, 0, 1),
            ("teacher.temperature", recipe.teacher.temperature, 0.1, 100),
            ("teacher.weight_decay", recipe.teacher.weight_decay, 0, 1),
        ]
    for kind, phase in recipe.phases():
        name = "teacher.phase" if kind == "teacher" else f"{kind}_phase"
        limits += [
            (f"{name}.epochs", phase.epochs, 1, 10_000),
            (f"{name}.learning_rate", phase.learning_rate, 1e-9, 1),
            (f"{name}.final_learning_rate", phase.final_learning_rate, 0, phase.learning_rate),
            (f"{name}.warmup_epochs", phase.warmup_epochs, 0, phase.epochs),
            (f"{name}.mixup", phase.mixup, 0, 10),
            (f"{name}.mixup_epochs", phase.mixup_epochs, 0, phase.epochs),
            (f"{name}.freeze_norm_epochs", phase.freeze_norm_epochs, 0, phase.epochs),
            (f"{name}.single_step_epochs", phase.single_step_epochs, 0, 0 if kind == "teacher" else phase.epochs - 1),
            (f"{name}.augmentation.shift", phase.augmentation.shift, 0, 16),
            (f"{name}.augmentation.erase", phase.augmentation.erase, 0, 1),
            (f"{name}.augmentation.rand_augment", phase.augmentation.rand_augment, 0, 10),
        ]
    for key, value, low, high in limits:
        if not low <= value <= high:
            allowed = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            raise UserError(f"{key} must be {allowed}, not {quoted(value)}")
    if recipe.weight_bits not in WEIGHT_WIDTHS:
        widths = ", ".join(map(str, WEIGHT_WIDTHS))
        raise UserError(f"weight_bits must be one of {widths}, not {quoted(recipe.weight_bits)}")
