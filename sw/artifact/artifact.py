"""The artifact: one file with every integer of a quantised Spikformer, between export, golden model and compiler.

An artifact is a safetensors file (suffix ``.spikeloom``) whose metadata holds one key, ``spikeloom``, with a JSON
header. Tensors, with the layers named by `sw.network.NetworkConfig.layers`:

================== ======= ================ ==================================================================
tensor             dtype   shape            meaning
================== ======= ================ ==================================================================
image.table        int8    [channels, 256]  network input, -127..127, for each value of an unsigned 8-bit pixel; for
                                            event frames 0 or 1
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
import functools
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as safetensors_bytes

from sw.artifact.ranges import LayerRange, layer_ranges
from sw.errors import UserError
from sw.files import write_atomically
from sw.network import NetworkConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "spikeloom-artifact"
LARGEST_BIAS = 2**31 - 1
"""Largest magnitude of a channel's bias, so that its sign may change."""

VERSION = 4
"""Version of the format that is written; every earlier one is read, with the defaults of the fields it lacks.

Version 2 brought ``residual_mode`` and ``pools`` to the network, before they are ``add`` and 2. Version 3 brought
``events``, ``pool_order``, ``linear_bias`` and ``neuron``, before they are false, ``after``, ``all`` and ``lif``.
Version 4 brought `CHECKSUM`; a file without it is read with a remark.
"""
CHECKSUM_SINCE = 4
CHECKSUM = "sha256"
"""Key of the header with `checksum`."""
SUFFIX = ".spikeloom"
HEADER_KEY = "spikeloom"
HEADER_FIELDS = frozenset(
    {"format", "version", "network", "weight_bits", "bias_fraction_bits", "image_scale", "dataset", "class_names"}
    | {"provenance", "accuracy", "ranges", CHECKSUM}
)


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
    image_table : int8 array [channels, 256]
        Network input for each pixel value 0..255.
    image_scale : float
        Real (normalised) value of one unit of the network input.
    dataset : str
        Name of the data set the network classifies.
    class_names : tuple[str, ...], optional
    provenance : dict
        Command, seed, versions, recipe: plain JSON values.
    accuracy : dict
        For each name of a model (``float``, ``golden`` ...) its ``{"correct": int, "images": int, "set": str}``; older
        files lack ``set``, see `sw.artifact.accuracy`.

    Raises
    ------
    UserError
        If a value breaks the contract.
    """

    network: NetworkConfig
    weight_bits: int
    bias_fraction_bits: int
    tensors: dict[str, LayerParameters]
    image_table: NDArray[np.int8]
    image_scale: float
    dataset: str
    class_names: tuple[str, ...] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    accuracy: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from sw.artifact.file import check_artifact  # it reads this module's names

        check_artifact(self)

    def ranges(self) -> dict[str, LayerRange]:
        """Proven worst-case ranges of every layer, by name."""
        return layer_ranges(self)

    def header(self) -> dict[str, Any]:
        """Make the JSON header that the file holds, but for its checksum."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "network": self.network.to_dict(),
            "weight_bits": self.weight_bits,
            "bias_fraction_bits": self.bias_fraction_bits,
            "image_scale": self.image_scale,
            "dataset": self.dataset,
            "class_names": None if self.class_names is None else list(self.class_names),
            "provenance": self.provenance,
            "accuracy": self.accuracy,
            "ranges": {name: bounds.to_dict() for name, bounds in self.ranges().items()},
        }

    def flat_tensors(self) -> dict[str, NDArray[Any]]:
        """Every tensor under its name in the file."""
        flat: dict[str, NDArray[Any]] = {"image.table": self.image_table}
        for name, parameters in self.tensors.items():
            for part in dataclasses.fields(parameters):
                value = getattr(parameters, part.name)
                if value is not None:
                    flat[f"{name}.{part.name}"] = value
        return flat


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
    tensors = {name: np.ascontiguousarray(value) for name, value in artifact.flat_tensors().items()}
    header = json.loads(json.dumps(artifact.header(), allow_nan=False))  # as it will be read: every key is text
    header[CHECKSUM] = checksum(header, tensors)
    data = safetensors_bytes(tensors, metadata={HEADER_KEY: json.dumps(header, sort_keys=True)})
    try:
        write_atomically(path, data)
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror}); free space or choose a writable folder") from error


def load(path: str | os.PathLike[str]) -> Artifact:
    """Read the artifact at `path` and check all of it.

    Raises
    ------
    UserError
        In one line that names the file, the value, the limit and the remedy, for anything not understood.
    """
    from sw.artifact.file import check_checksum, check_header, check_ranges, check_tensor_names, network_from_header

    path = Path(path)
    if not path.is_file():  # a device or a pipe might never end
        reason = "a folder" if path.is_dir() else "not a file" if path.exists() else "no such file"
        raise UserError(f"{path}: cannot read ({reason}); give the path of an artifact")
    try:
        with safe_open(path, framework="numpy") as stream:
            metadata = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (no iterator)
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror or error}); give the path of an artifact") from error
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: not a whole safetensors file; export the artifact again") from error
    try:
        header = check_header(metadata)
        check_checksum(header, tensors)
        network = network_from_header(header["network"], header["version"])
        check_tensor_names(network, tensors)
        artifact = Artifact(
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
            image_table=tensors["image.table"],
            image_scale=header["image_scale"],
            dataset=header["dataset"],
            class_names=None if header["class_names"] is None else tuple(header["class_names"]),
            provenance=header["provenance"],
            accuracy=header["accuracy"],
        )
        check_ranges(artifact, header["ranges"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    if header["version"] < CHECKSUM_SINCE:
        _remark(path, header["version"])
    return artifact


@functools.cache
def _remark(path: Path, version: int) -> None:
    """Say once what a file without a checksum cannot show."""
    logging.getLogger("spikeloom").warning(
        "%s: version %d of the format has no checksum, so damage may go unnoticed; renew it: spikeloom info --renew %s",
        path, version, path,
    )  # fmt: skip
