"""The artifact: one file with every integer of a quantised Spikformer, between export, golden model and compiler.

An artifact is a safetensors file (suffix ``.spikeloom``) whose metadata holds one key, ``spikeloom``, with a JSON
header. Tensors, with the layers named by `sw.network.NetworkConfig.layers`:

================== ======= ================ ==================================================================
tensor             dtype   shape            meaning
================== ======= ================ ==================================================================
image.table        int8    [channels, 256]  network input, -127..127, for each value of an unsigned 8-bit pixel; for
                                            event frames uint8, at most the largest count of the network
<layer>.weight     int8    weight shape     signed weights, narrow range: ``-(2^(b-1)-1)..2^(b-1)-1``; -119..119 for
                                            8-bit weights of the image layer (`sw.layer.IMAGE_WEIGHT_LIMIT`)
<layer>.bias       int32   [out]            ``B`` in units of ``2^-f``, with `f` the bias fraction bits
<layer>.threshold  int64   [out]            ``ceil(2^T 2^f theta / alpha)``, at least 1; the head has none; neurons
                                            without leak: ``ceil(2^f theta / alpha)``
<layer>.scale      float64 [out]            ``alpha``: real current (head: logit) of ``2^f`` integer units
================== ======= ================ ==================================================================

The integer contract, with no rounding anywhere::

    acc      = sum of weight * input                       exact integer, per position and time step t = 1..T
    C_t      = (acc_t << f) + bias                         current
    G_t      = G_(t-1) + 2^(t-1) C_t,  G_0 = 0             membrane, gains one fractional bit a step
    spike_t  iff G_t 2^(T-t) >= threshold, then G_t := 0   LIF, tau = 2, hard reset
    logits   = ((sum of acc over tokens and T) << f) + bias

Neurons without leak (`NetworkConfig.neuron` ``if``) halve nothing, and their threshold is the same at every t::

    G_t      = G_(t-1) + C_t,  G_0 = 0
    spike_t  iff G_t >= threshold, then G_t := 0

The image layer has the same `acc` at every t. The neuron after attention reads ``acc = Q (K^T V)`` with f = 0,
bias 0 and `NetworkConfig.attention_threshold`. Prediction is the first largest logit. `scale` is not used by any
integer computation; it says what the integers mean (the head's includes the mean over tokens and time steps).
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hw.user_text import listed, quoted
from sw.errors import UserError
from sw.layer import WEIGHT_WIDTHS, Layer
from sw.network import NetworkConfig
from sw.strict_json import parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_BIAS = 2**31 - 1
"""Largest magnitude of a channel's bias, so that its sign may change."""

LARGEST_COUNT = 1 << 31
"""Most images of an accuracy."""

LONGEST_NAME = 200
"""Characters of the names of data sets, classes and models."""

EXPORT_AGAIN = "export the artifact again with this version"
"""Remedy for what only a foreign or a damaged file can hold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerParameters:
    """Integers of one layer with weights; see the module's table.

    Attributes
    ----------
    weight : int8 array [out, in, 3, 3] or [out, in]
    bias : int32 array [out]
    threshold : int64 array [out], None for the head
    scale : float64 array [out]
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    threshold: NDArray[np.int64] | None
    scale: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Artifact:
    """A quantised network, checked when it is made: an instance always keeps the integer contract.

    Attributes
    ----------
    network : NetworkConfig
    weight_bits : int
        One of `sw.layer.WEIGHT_WIDTHS`.
    bias_fraction_bits : int
        ``f``, 0 to 8.
    tensors : dict[str, LayerParameters]
        By name of every layer with weights.
    image_table : int8 or uint8 array [channels, 256]
        Network input for each pixel value 0..255 (int8), or for each count of event frames (uint8).
    image_scale : float
        Real (normalised) value of one unit of the network input.
    dataset : str
        Name of the data set the network classifies.
    class_names : tuple[str, ...], optional
    provenance : dict
        Command, seed, versions, recipe: plain JSON values.
    accuracy : dict
        For each name of a model (``float``, ``golden`` ...) its ``{"correct": int, "images": int, "image_set": str}``;
        older files may lack ``image_set``, see `sw.artifact.accuracy`.

    Raises
    ------
    UserError
        If a value breaks the contract.
    """

    network: NetworkConfig
    weight_bits: int
    bias_fraction_bits: int
    tensors: dict[str, LayerParameters]
    image_table: NDArray[np.int8] | NDArray[np.uint8]
    image_scale: float
    dataset: str
    class_names: tuple[str, ...] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    accuracy: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_artifact(self)

    def flat_tensors(self) -> dict[str, NDArray[Any]]:
        """Every tensor under its name in the file."""
        flat: dict[str, NDArray[Any]] = {"image.table": self.image_table}
        for name, parameters in self.tensors.items():
            for part in dataclasses.fields(parameters):
                value = getattr(parameters, part.name)
                if value is not None:
                    flat[f"{name}.{part.name}"] = value
        return flat


def check_same_names(what: str, have: Collection[str], want: Collection[str]) -> None:
    """Refuse names that are not exactly those wanted; `what` they are of begins the message."""
    missing, unknown = set(want) - set(have), set(have) - set(want)
    if missing:
        raise UserError(f"{what} missing: {listed(sorted(missing))}; {EXPORT_AGAIN}")
    if unknown:
        raise UserError(f"{what} unknown: {listed(sorted(unknown))}; {EXPORT_AGAIN}")


def check_artifact(artifact: Artifact) -> None:
    """Refuse values that break the integer contract, or descriptions that no file can hold."""
    if artifact.weight_bits not in WEIGHT_WIDTHS or type(artifact.weight_bits) is not int:
        widths = ", ".join(map(str, WEIGHT_WIDTHS))
        raise UserError(
            f"weight_bits must be one of {widths}, not {quoted(artifact.weight_bits)}; quantise to one of these"
        )
    fraction = artifact.bias_fraction_bits
    if type(fraction) is not int or not 0 <= fraction <= 8:
        raise UserError(f"bias_fraction_bits must be 0 to 8, not {quoted(fraction)}; export with fewer fraction bits")
    _check_image_table(artifact.network, artifact.image_table)
    _check_descriptions(artifact)
    weighted = {layer.name: layer for layer in artifact.network.layers() if layer.has_weights}
    check_same_names("layers", artifact.tensors, weighted)
    for name, layer in weighted.items():
        _check_layer(layer, artifact.tensors[name], artifact.weight_bits)


def _check_image_table(network: NetworkConfig, table: NDArray[np.int8] | NDArray[np.uint8]) -> None:
    _check_tensor("image.table", table, np.uint8 if network.events else np.int8, (network.image_channels, 256))
    lowest, highest, limit = int(table.min()), int(table.max()), network.largest_pixel
    if network.events and highest > limit:
        raise UserError(
            f"image.table holds {highest}, but counts of {network.event_bits} event bits are 0 to {limit}; "
            "map every count to one of them"
        )
    if lowest == -128:
        raise UserError("image.table holds -128, outside -127..127; quantise the image with a narrow range")


def _check_descriptions(artifact: Artifact) -> None:
    scale = artifact.image_scale
    if type(scale) not in (int, float) or not 0 < scale <= sys.float_info.max:
        raise UserError(f"image_scale must be a positive finite number, not {quoted(scale)}; calibrate the image input")
    _check_names("dataset", (artifact.dataset,), "name the data set")
    names, classes = artifact.class_names, artifact.network.classes
    if names is not None:
        if len(names) != classes:
            raise UserError(f"class_names holds {len(names)} names for {classes} classes; give one name for each class")
        _check_names("class_names", names, "give one name for each class")
    for name in ("provenance", "accuracy"):
        _check_json(name, getattr(artifact, name))
    _check_accuracy(artifact.accuracy)


def _check_json(name: str, value: object) -> None:
    if not isinstance(value, dict):
        raise UserError(f"{name} must be a dict, not {quoted(value)}; give plain JSON values")
    try:
        parse_json(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{name} is not plain JSON ({error}); give finite numbers, text, lists") from error


def _check_accuracy(accuracy: dict[str, Any]) -> None:
    _check_names("accuracy", accuracy, "name the model")
    for name, counts in accuracy.items():
        correct, images = (counts.get("correct"), counts.get("images")) if isinstance(counts, dict) else (None, None)
        if type(correct) is not int or type(images) is not int or not 0 <= correct <= images or images < 1:
            rule = "must count 0 <= correct <= images"
            raise UserError(f"accuracy of {listed([name])} {rule}, not {quoted(counts)}; evaluate it again")
        if images > LARGEST_COUNT:
            rule = f"must count at most {LARGEST_COUNT:,} images"
            raise UserError(f"accuracy of {listed([name])} {rule}, not {quoted(images)}; evaluate it again")
        if not isinstance(counts.get("image_set", ""), str):
            rule = "must name its set of images"
            raise UserError(
                f"accuracy of {listed([name])} {rule}, not {quoted(counts['image_set'])}; evaluate it again"
            )


def _check_names(what: str, names: Collection[object], remedy: str) -> None:
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
            raise UserError(f"{what} must be 1 to {LONGEST_NAME} printable characters, not {quoted(name)}; {remedy}")


def _check_tensor(name: str, value: object, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if not isinstance(value, np.ndarray) or value.dtype != dtype:
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise UserError(f"{name} must be {np.dtype(dtype)}, not {kind}; {EXPORT_AGAIN}")
    if value.shape != shape:
        raise UserError(f"{name} must have shape {list(shape)}, not {quoted(list(value.shape))}; {EXPORT_AGAIN}")


def _check_layer(layer: Layer, parameters: LayerParameters, weight_bits: int) -> None:
    name, out = layer.name, (layer.out_channels,)
    _check_tensor(f"{name}.weight", parameters.weight, np.int8, layer.weight_shape)
    _check_tensor(f"{name}.bias", parameters.bias, np.int32, out)
    _check_tensor(f"{name}.scale", parameters.scale, np.float64, out)
    limit = layer.weight_limit(weight_bits)
    magnitude = np.abs(parameters.weight.astype(np.int64))
    if magnitude.max() > limit:
        worst = parameters.weight.flat[int(magnitude.argmax())]
        raise UserError(
            f"{name}.weight holds {worst}, outside -{limit}..{limit} of {weight_bits}-bit weights"
            f"{' of the image' if layer.source == 'image' else ''}; quantise with a narrow range"
        )
    if layer.kind == "head":
        if parameters.threshold is not None:
            raise UserError(f"{name}.threshold must be absent, the head has no neuron; leave it out")
        if np.unique(parameters.scale).size > 1:
            raise UserError(
                f"{name}.scale holds {parameters.scale.min()} and {parameters.scale.max()} but must be one value, as "
                "logits are compared as integers; quantise the head per tensor"
            )
    else:
        _check_tensor(f"{name}.threshold", parameters.threshold, np.int64, out)
        assert parameters.threshold is not None
        if parameters.threshold.min() < 1:
            raise UserError(
                f"{name}.threshold holds {parameters.threshold.min()}, below the limit 1; "
                "flip the channel's weights so that its scale is positive"
            )
    wrong = ~(np.isfinite(parameters.scale) & (parameters.scale > 0))
    if wrong.any():
        raise UserError(
            f"{name}.scale holds {parameters.scale[wrong][0]}, not a positive finite number; "
            "flip the channel's weights so that its scale is positive"
        )
