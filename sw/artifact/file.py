"""What makes an artifact valid: every refusal of a wrong one, each a line with the value, the limit and the remedy."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hw.user_text import listed, quoted
from sw.artifact.artifact import (
    CHECKSUM,
    CHECKSUM_SINCE,
    FORMAT,
    HEADER_FIELDS,
    HEADER_KEY,
    VERSION,
    Artifact,
    LayerParameters,
    checksum,
)
from sw.errors import UserError
from sw.layer import WEIGHT_WIDTHS, Layer
from sw.network import NetworkConfig
from sw.strict_json import parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIELD_SINCE = {"residual_mode": 2, "pools": 2, "events": 3, "pool_order": 3, "linear_bias": 3, "neuron": 3}
"""Version of the format that brought a network field; the others were always there."""

EXPORT_AGAIN = "export the artifact again with this version"


LARGEST_HEADER = 1 << 24
"""Characters of the JSON header; the log of a long training is a hundredth of it."""

LARGEST_COUNT = 1 << 31
"""Most images of an accuracy."""

LONGEST_NAME = 200
"""Characters of the names of data sets, classes and models."""


def _same_names(what: str, have: Collection[str], want: Collection[str]) -> None:
    missing, unknown = set(want) - set(have), set(have) - set(want)
    if missing:
        raise UserError(f"{what} missing: {listed(sorted(missing))}; {EXPORT_AGAIN}")
    if unknown:
        raise UserError(f"{what} unknown: {listed(sorted(unknown))}; {EXPORT_AGAIN}")


def check_header(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Parse the JSON header in a file's `metadata`; its form only, the values are checked as an `Artifact`."""
    if HEADER_KEY not in metadata:
        raise UserError(f"no '{HEADER_KEY}' header, so not an artifact; export one from a trained model")

    text = metadata[HEADER_KEY]
    if len(text) > LARGEST_HEADER:
        raise UserError(f"the header has {len(text):,} characters, at most {LARGEST_HEADER:,}; {EXPORT_AGAIN}")
    try:
        header = parse_json(text)
    except ValueError as error:
        raise UserError(f"the '{HEADER_KEY}' header is not JSON ({error}); {EXPORT_AGAIN}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        found = header.get("format") if isinstance(header, dict) else header
        raise UserError(f"format is {quoted(found)}, not {FORMAT!r}; {EXPORT_AGAIN}")
    version = header.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise UserError(f"version is {quoted(version)}, this reader knows 1 to {VERSION}; {EXPORT_AGAIN}")
    _same_names("header keys", header, HEADER_FIELDS - ({CHECKSUM} if version < CHECKSUM_SINCE else set()))
    if header["class_names"] is not None and not isinstance(header["class_names"], list):
        raise UserError(f"class_names must be a list or null, not {quoted(header['class_names'])}; {EXPORT_AGAIN}")
    return header


def check_checksum(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
    """Refuse a file whose header and tensors are not those its checksum was made of; an old one has none."""
    if header["version"] >= CHECKSUM_SINCE and header[CHECKSUM] != (found := checksum(header, tensors)):
        raise UserError(
            f"damaged or changed: {CHECKSUM} of header and tensors is {found[:16]}..., recorded is "
            f"{quoted(header[CHECKSUM], 24)}; copy the file or export the artifact again"
        )


def network_from_header(values: object, version: int) -> NetworkConfig:
    """Build the network configuration from the ``network`` object of a header of `version`."""
    if not isinstance(values, dict):
        raise UserError(f"network must be an object, not {quoted(values)}; {EXPORT_AGAIN}")
    fields = {
        field.name: field.type
        for field in dataclasses.fields(NetworkConfig)
        if FIELD_SINCE.get(field.name, 1) <= version
    }
    _same_names("network fields", values, fields)
    for name, kind in fields.items():
        value = values[name]
        exact = {"int": int, "bool": bool}
        if (kind in exact and type(value) is not exact[kind]) or (kind == "float" and type(value) not in (int, float)):
            raise UserError(f"network {name} must be of type {kind}, not {quoted(value)}; {EXPORT_AGAIN}")
    try:
        return NetworkConfig(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"network {error}; {EXPORT_AGAIN}") from error


def check_tensor_names(network: NetworkConfig, names: Collection[str]) -> None:
    """Refuse a file whose tensors are not exactly those of `network`."""
    want = {"image.table"}
    for layer in network.layers():
        if layer.has_weights:
            parts = ("weight", "bias", "scale") if layer.kind == "head" else ("weight", "bias", "threshold", "scale")
            want |= {f"{layer.name}.{part}" for part in parts}
    _same_names("tensors", names, want)


def check_ranges(artifact: Artifact, recorded: object) -> None:
    """Refuse a header whose ranges are not those the tensors prove."""
    proven = {name: bounds.to_dict() for name, bounds in artifact.ranges().items()}
    if not isinstance(recorded, dict):
        raise UserError(f"ranges must be an object, not {quoted(recorded)}; {EXPORT_AGAIN}")
    _same_names("ranges", recorded, proven)
    for name, bounds in proven.items():
        if not isinstance(recorded[name], dict):
            raise UserError(f"ranges of {name} must be an object, not {quoted(recorded[name])}; {EXPORT_AGAIN}")
        _same_names(f"ranges of {name}", recorded[name], bounds)
        for key, value in bounds.items():
            if recorded[name][key] != value:
                raise UserError(
                    f"{key} of {name} is recorded as {quoted(recorded[name][key])}, but its tensors prove {value}; "
                    f"{EXPORT_AGAIN}"
                )


def check_artifact(artifact: Artifact) -> None:
    """Refuse values that break the integer contract of `sw.artifact.artifact`."""
    if artifact.weight_bits not in WEIGHT_WIDTHS or type(artifact.weight_bits) is not int:
        widths = ", ".join(map(str, WEIGHT_WIDTHS))
        raise UserError(
            f"weight_bits must be one of {widths}, not {quoted(artifact.weight_bits)}; quantise to one of these"
        )
    fraction = artifact.bias_fraction_bits
    if type(fraction) is not int or not 0 <= fraction <= 8:
        raise UserError(f"bias_fraction_bits must be 0 to 8, not {quoted(fraction)}; export with fewer fraction bits")
    _check_tensor("image.table", artifact.image_table, np.int8, (artifact.network.image_channels, 256))
    if artifact.image_table.min() == -128:
        raise UserError("image.table holds -128, outside -127..127; quantise the image with a narrow range")
    if artifact.network.events and not np.isin(artifact.image_table, (0, 1)).all():
        worst = artifact.image_table[~np.isin(artifact.image_table, (0, 1))][0]
        raise UserError(f"image.table holds {worst}, but events are 0 or 1; map every pixel value to one of them")
    _check_descriptions(artifact)
    weighted = {layer.name: layer for layer in artifact.network.layers() if layer.has_weights}
    _same_names("layers", artifact.tensors, weighted)
    for name, layer in weighted.items():
        _check_layer(layer, artifact.tensors[name], artifact.weight_bits)


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
    for field in ("provenance", "accuracy"):
        value = getattr(artifact, field)
        if not isinstance(value, dict):
            raise UserError(f"{field} must be a dict, not {quoted(value)}; give plain JSON values")
        try:
            parse_json(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise UserError(f"{field} is not plain JSON ({error}); give finite numbers, text, lists") from error
    _check_names("accuracy", artifact.accuracy, "name the model")
    for name, counts in artifact.accuracy.items():
        correct, images = (counts.get("correct"), counts.get("images")) if isinstance(counts, dict) else (None, None)
        if type(correct) is not int or type(images) is not int or not 0 <= correct <= images or images < 1:
            rule = "must count 0 <= correct <= images"
            raise UserError(f"accuracy of {listed([name])} {rule}, not {quoted(counts)}; evaluate it again")
        if images > LARGEST_COUNT:
            rule = f"must count at most {LARGEST_COUNT:,} images"
            raise UserError(f"accuracy of {listed([name])} {rule}, not {quoted(images)}; evaluate it again")
        if not isinstance(counts.get("set", ""), str):
            rule = "must name its set of images"
            raise UserError(f"accuracy of {listed([name])} {rule}, not {quoted(counts['set'])}; evaluate it again")


def _check_names(field: str, names: Collection[object], remedy: str) -> None:
    for name in names:
        if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
            raise UserError(f"{field} must be 1 to {LONGEST_NAME} printable characters, not {quoted(name)}; {remedy}")


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
