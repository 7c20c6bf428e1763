"""The artifact's file: written whole or not at all, read with every refusal a line of value, limit and remedy.

`sw.artifact.artifact` says what a file holds, `sw.artifact.versions` what older ones held. Here is how: the header and
the checksum.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_bytes

from hw.user_text import quoted
from sw.artifact.artifact import EXPORT_AGAIN, Artifact, LayerParameters, check_same_names
from sw.artifact.ranges import layer_ranges
from sw.artifact.versions import (
    CHECKSUM_SINCE,
    IMAGE_TABLE,
    VERSION,
    accuracy_of_today,
    image_table_of_today,
    network_fields,
    network_of_today,
)
from sw.errors import UserError
from sw.files import write_atomically
from sw.network import NetworkConfig
from sw.strict_json import parse_json

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "spikeloom-artifact"

CHECKSUM = "sha256"
"""Key of the header with `checksum`."""
SUFFIX = ".spikeloom"
HEADER_KEY = "spikeloom"
HEADER_FIELDS = frozenset(
    {"format", "version", "network", "weight_bits", "bias_fraction_bits", "image_scale", "dataset", "class_names"}
    | {"provenance", "accuracy", "ranges", CHECKSUM}
)

LARGEST_HEADER = 1 << 24
"""Characters of the JSON header; the log of a long training is a hundredth of it."""


def file_header(artifact: Artifact) -> dict[str, Any]:
    """Make the JSON header that a file of `artifact` holds, but for its checksum."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "network": artifact.network.to_dict(),
        "weight_bits": artifact.weight_bits,
        "bias_fraction_bits": artifact.bias_fraction_bits,
        "image_scale": artifact.image_scale,
        "dataset": artifact.dataset,
        "class_names": None if artifact.class_names is None else list(artifact.class_names),
        "provenance": artifact.provenance,
        "accuracy": artifact.accuracy,
        "ranges": {name: bounds.to_dict() for name, bounds in layer_ranges(artifact).items()},
    }


def checksum(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over all that a file means, in hexadecimal digits: of a JSON text with sorted keys.

    The text is an object of ``header``, as in the file but without the checksum itself, and of ``tensors``, for every
    name a list of type, shape and the SHA-256 of the bytes. Spaces and the order of keys in the file do not matter.

    Parameters
    ----------
    header : mapping of str to plain JSON values
    tensors : mapping of str to array
        By their names in the file.
    """
    described = {
        name: [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
        for name, value in tensors.items()
    }
    meant = {key: value for key, value in header.items() if key != CHECKSUM}
    text = json.dumps({"header": meant, "tensors": described}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def check_path(path: Path) -> None:
    """Refuse a path that no artifact may have: for commands that take long before they write one.

    Raises
    ------
    UserError
        If the suffix is not ``.spikeloom``.
    """
    if path.suffix != SUFFIX:
        raise UserError(f"{path}: an artifact's file name ends in {SUFFIX}, not {path.suffix or 'nothing'}; rename it")


def save(artifact: Artifact, path: str | os.PathLike[str]) -> None:
    """Write `artifact` to `path` so that the file is there whole or not at all.

    The same artifact always gives the same bytes.

    Raises
    ------
    UserError
        If the suffix is not ``.spikeloom`` or the file cannot be written.
    """
    path = Path(path)
    check_path(path)
    text, tensors = encode(artifact)
    data = safetensors_bytes(tensors, metadata={HEADER_KEY: text})
    try:
        write_atomically(path, data)
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror}); free space or choose a writable folder") from error


def encode(artifact: Artifact) -> tuple[str, dict[str, NDArray[Any]]]:
    """The header's text, with its checksum, and the tensors by name: all that any file needs to hold of an artifact."""
    tensors = {name: np.ascontiguousarray(value) for name, value in artifact.flat_tensors().items()}
    header = json.loads(json.dumps(file_header(artifact), allow_nan=False))  # as it will be read: every key is text
    header[CHECKSUM] = checksum(header, tensors)
    return json.dumps(header, sort_keys=True), tensors


def load(path: str | os.PathLike[str]) -> Artifact:
    """Read the artifact at `path` and check all of it.

    Raises
    ------
    UserError
        In one line that names the file, the value, the limit and the remedy, for anything not understood.
    """
    path = Path(path)
    metadata, tensors = _read(path)
    try:
        header = _check_header(metadata)
        _check_checksum(header, tensors)
        artifact = _artifact_of(header, tensors)
        _check_ranges(artifact, header["ranges"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if header["version"] < CHECKSUM_SINCE:
        _remark(path, header["version"])
    return artifact


def _read(path: Path) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Metadata and tensors of a safetensors file."""
    if not path.is_file():  # a device or a pipe might never end
        reason = "a folder" if path.is_dir() else "not a file" if path.exists() else "no such file"
        raise UserError(f"{path}: cannot read ({reason}); give the path of an artifact")
    try:
        with safe_open(path, framework="numpy") as stream:
            metadata = stream.metadata() or {}
            return metadata, {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (no iterator)
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror or error}); give the path of an artifact") from error
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: not a whole safetensors file; export the artifact again") from error


def _artifact_of(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Artifact:
    """Build what a file with these tensors holds; its values are checked as an `Artifact`."""
    network = _network_from_header(header["network"], header["version"])
    _check_tensor_names(network, tensors)
    return Artifact(
        network=network,
        weight_bits=header["weight_bits"],
        bias_fraction_bits=header["bias_fraction_bits"],
        tensors={
            layer.name: LayerParameters(
                weight=tensors[f"{layer.name}.weight"],
                bias=tensors[f"{layer.name}.bias"],
                threshold=tensors.get(f"{layer.name}.threshold"),
                scale=tensors[f"{layer.name}.scale"],
            )
            for layer in network.layers()
            if layer.has_weights
        },
        image_table=image_table_of_today(tensors[IMAGE_TABLE], network, header["version"]),
        image_scale=header["image_scale"],
        dataset=header["dataset"],
        class_names=None if header["class_names"] is None else tuple(header["class_names"]),
        provenance=header["provenance"],
        accuracy=accuracy_of_today(header["accuracy"], header["version"]),
    )


@functools.cache
def _remark(path: Path, version: int) -> None:
    """Say once what a file without a checksum cannot show."""
    logging.getLogger("spikeloom").warning(
        "%s: version %d of the format has no checksum, so damage may go unnoticed; renew it: spikeloom info --renew %s",
        path, version, path,
    )  # fmt: skip


def _check_header(metadata: Mapping[str, str]) -> dict[str, Any]:
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
    check_same_names("header keys", header, HEADER_FIELDS - ({CHECKSUM} if version < CHECKSUM_SINCE else set()))
    if header["class_names"] is not None and not isinstance(header["class_names"], list):
        raise UserError(f"class_names must be a list or null, not {quoted(header['class_names'])}; {EXPORT_AGAIN}")
    return header


def _check_checksum(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> None:
    """Refuse a file whose header and tensors are not those its checksum was made of; an old one has none."""
    if header["version"] >= CHECKSUM_SINCE and header[CHECKSUM] != (found := checksum(header, tensors)):
        raise UserError(
            f"damaged or changed: {CHECKSUM} of header and tensors is {found[:16]}..., recorded is "
            f"{quoted(header[CHECKSUM], 24)}; copy the file or export the artifact again"
        )


def _network_from_header(values: object, version: int) -> NetworkConfig:
    """Build the network configuration from the ``network`` object of a header of `version`."""
    if not isinstance(values, dict):
        raise UserError(f"network must be an object, not {quoted(values)}; {EXPORT_AGAIN}")
    fields = network_fields(version)
    check_same_names("network fields", values, fields)
    for name, kind in fields.items():
        value = values[name]
        exact = {"int": int, "bool": bool}
        if (kind in exact and type(value) is not exact[kind]) or (kind == "float" and type(value) not in (int, float)):
            raise UserError(f"network {name} must be of type {kind}, not {quoted(value)}; {EXPORT_AGAIN}")
    try:
        return NetworkConfig(**network_of_today(values))
    except (TypeError, ValueError) as error:
        raise UserError(f"network {error}; {EXPORT_AGAIN}") from error


def _check_tensor_names(network: NetworkConfig, names: Collection[str]) -> None:
    """Refuse a file whose tensors are not exactly those of `network`."""
    want = {IMAGE_TABLE}
    for layer in network.layers():
        if layer.has_weights:
            parts = ("weight", "bias", "scale") if layer.kind == "head" else ("weight", "bias", "threshold", "scale")
            want |= {f"{layer.name}.{part}" for part in parts}
    check_same_names("tensors", names, want)


def _check_ranges(artifact: Artifact, recorded: object) -> None:
    """Refuse a header whose ranges are not those the tensors prove."""
    proven = {name: bounds.to_dict() for name, bounds in layer_ranges(artifact).items()}
    if not isinstance(recorded, dict):
        raise UserError(f"ranges must be an object, not {quoted(recorded)}; {EXPORT_AGAIN}")
    check_same_names("ranges", recorded, proven)
    for name, bounds in proven.items():
        if not isinstance(recorded[name], dict):
            raise UserError(f"ranges of {name} must be an object, not {quoted(recorded[name])}; {EXPORT_AGAIN}")
        check_same_names(f"ranges of {name}", recorded[name], bounds)
        for key, value in bounds.items():
            if recorded[name][key] != value:
                raise UserError(
                    f"{key} of {name} is recorded as {quoted(recorded[name][key])}, but its tensors prove {value}; "
                    f"{EXPORT_AGAIN}"
                )
