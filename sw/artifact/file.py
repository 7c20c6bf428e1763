"""The artifact's file: written whole or not at all, read with every refusal a line of value, limit and remedy.

`sw.artifact.artifact` says what a file holds, `sw.artifact.versions` what older ones held, `sw.tensor_file` how.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from sw.files import write_asked_for
from sw.network import NetworkConfig
from sw.tensor_file import CHECKSUM, TensorFormat, encode_header, tensor_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = TensorFormat(
    name="spikeloom-artifact", version=VERSION, called="an artifact", made_by="export one from a trained model",
    again="export the artifact again", checksum_since=CHECKSUM_SINCE,
)  # fmt: skip

SUFFIX = ".spikeloom"
HEADER_FIELDS = frozenset(
    {"format", "version", "network", "weight_bits", "bias_fraction_bits", "image_scale", "dataset", "class_names"}
    | {"provenance", "accuracy", "ranges"}
)


def file_header(artifact: Artifact) -> dict[str, Any]:
    """Make the JSON header that a file of `artifact` holds, but for its checksum."""
    return {
        "format": FORMAT.name,
        "version": FORMAT.version,
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


def encode(artifact: Artifact) -> tuple[str, dict[str, NDArray[Any]]]:
    """The header's text, with its checksum, and the tensors by name: all that any file needs to hold of an artifact."""
    return encode_header(file_header(artifact), artifact.flat_tensors())


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
    data = tensor_file(file_header(artifact), artifact.flat_tensors())
    write_asked_for(path, data)


def load(path: str | os.PathLike[str]) -> Artifact:
    """Read the artifact at `path` and check all of it.

    Raises
    ------
    UserError
        In one line that names the file, the value, the limit and the remedy, for anything not understood.
    """
    path = Path(path)
    header, tensors = FORMAT.read(path)
    try:
        _check_header(header)
        artifact = artifact_of(header, tensors)
        _check_ranges(artifact, header["ranges"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if header["version"] < CHECKSUM_SINCE:
        _remark(path, header["version"])
    return artifact


def artifact_of(header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Artifact:
    """Build what a file with these tensors holds; its values are checked as an `Artifact`.

    Raises
    ------
    UserError
        Naming the value and the limit.
    """
    network = network_of_header(header)
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


def parse_header(text: str) -> dict[str, Any]:
    """Parse the JSON header of a file; its form only, the values are checked as an `Artifact`.

    Raises
    ------
    UserError
        If it is not one of a version that is known.
    """
    header = FORMAT.parse_header(text)
    _check_header(header)
    return header


def _check_header(header: Mapping[str, Any]) -> None:
    """Refuse a header that is not of an artifact's form; its values are checked as an `Artifact`."""
    checked = {CHECKSUM} if header["version"] >= CHECKSUM_SINCE else set()
    check_same_names("header keys", header, HEADER_FIELDS | checked)
    if header["class_names"] is not None and not isinstance(header["class_names"], list):
        raise UserError(f"class_names must be a list or null, not {quoted(header['class_names'])}; {EXPORT_AGAIN}")


def network_of_header(header: Mapping[str, Any]) -> NetworkConfig:
    """Build the network configuration from the ``network`` object of a header.

    Raises
    ------
    UserError
        Naming the field.
    """
    values, version = header["network"], header["version"]
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
