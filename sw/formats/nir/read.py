"""An artifact from a NIR file: its integers out of the nodes, and then the whole graph compared with theirs.

Nothing else about the graph has to be checked: the integers found make an artifact, which refuses what breaks the
contract, and the graph of that artifact must be the one in the file, node by node and edge by edge.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.user_text import listed, quoted
from sw.artifact.artifact import LARGEST_BIAS, Artifact
from sw.artifact.file import artifact_of, network_of_header, parse_header
from sw.artifact.versions import IMAGE_TABLE
from sw.errors import UserError
from sw.formats.nir.graph import check_sayable, wire
from sw.formats.nir.library import nir
from sw.formats.nir.primitives import DT, LARGEST_THRESHOLD
from sw.formats.nir.untrusted import REMEDY, read_content
from sw.formats.nir.write import HEADER, SCALE
from sw.layer import Layer
from sw.network import NetworkConfig
from sw.tensor_file import CHECKSUM, HEADER_KEY, checksum

KINDS = ("Input", "Output", "Conv2d", "LIF", "IF", "I", "Threshold", "Scale", "SumPool2d")
"""Types of the nodes that a Spikformer has here."""

LARGEST_WEIGHT = 127
"""Largest magnitude of an int8 of narrow range; `Artifact` knows the limit of each layer."""

SHAPES = {"Input": "input_type", "Output": "output_type"}
"""Nodes that are nothing but a shape, and where it is; others have it by their arrays or their neighbours."""


def read_nir(path: Path) -> tuple[Artifact, bool]:
    """Read a NIR file of a Spikformer.

    Parameters
    ----------
    path : Path

    Returns
    -------
    artifact : Artifact
        The one that was exported, equal in every field; if numbers were changed since, without its accuracies, and
        with the file in its provenance.
    exported : bool
        Whether it is that one.

    Raises
    ------
    UserError
        Naming the file, the node, the value and the limit.
    """
    try:
        content = read_content(path)
        with np.errstate(over="ignore"):  # what becomes infinite is no integer
            return _artifact_of(content, path.name)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _artifact_of(content: Mapping[str, Any], file_name: str) -> tuple[Artifact, bool]:
    """What `read_nir` gives, of a file's content."""
    nodes = _nodes(content.get("nodes"))
    header, tensors = _tensors(content.get("metadata"), nodes)
    exported = header.get(CHECKSUM) == checksum(header, tensors)
    if not exported:
        made_by = {"made_by": "spikeloom import", "nir": file_name, "changed_from": header.get(CHECKSUM)}
        header |= {"provenance": made_by, "accuracy": {}}
    artifact = artifact_of(header, tensors)
    _compare(artifact, nodes, content.get("edges"))
    return artifact, exported


def _nodes(content: Any) -> dict[str, Any]:
    """Nodes by name, each made by NIR itself."""
    if not isinstance(content, dict) or not content:
        raise UserError(f"no graph with nodes; {REMEDY}")
    nodes = {}
    for name, fields in content.items():
        kind = fields.get("type") if isinstance(fields, dict) else None
        if not isinstance(kind, str) or kind not in KINDS:
            raise UserError(
                f"node {quoted(name)} is of type {quoted(kind)}, and a Spikformer here has only {', '.join(KINDS)}; "
                f"{REMEDY}"
            )
        try:
            nodes[name] = nir.dict2NIRNode(dict(fields))
        except Exception as error:  # whatever fails in NIR's constructors
            raise UserError(f"node {quoted(name)} is no whole {kind} ({type(error).__name__}); {REMEDY}") from error
    return nodes


def _tensors(metadata: Any, nodes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and tensors of the artifact: integers from the nodes, the rest from the metadata."""
    own = metadata.get(HEADER_KEY) if isinstance(metadata, dict) else None
    if not isinstance(own, dict):
        raise UserError(
            f"metadata without {HEADER_KEY!r}: a graph says neither time steps nor units nor how pixels become its "
            f"input, so only graphs that Spikeloom wrote can be read; {REMEDY}"
        )
    if not isinstance(own.get(HEADER), str) or not isinstance(own.get(SCALE), dict):
        raise UserError(f"metadata {HEADER_KEY!r} without {HEADER!r} or {SCALE!r}; {REMEDY}")
    header = parse_header(own[HEADER])
    network, fraction = network_of_header(header), header["bias_fraction_bits"]
    check_sayable(network)
    for key, wanted in (("dt", DT), ("timesteps", network.timesteps)):
        if not np.array_equal(metadata.get(key), wanted):
            raise UserError(f"metadata {key!r} must be {wanted}, not {quoted(metadata.get(key))}; {REMEDY}")
    if type(fraction) is not int or not 0 <= fraction <= 8:
        raise UserError(f"bias_fraction_bits must be 0 to 8, not {quoted(fraction)}; {REMEDY}")
    tensors = {IMAGE_TABLE: np.asarray(own.get(IMAGE_TABLE))}
    for layer in network.layers():
        if not layer.has_weights:
            continue
        name, kernel = layer.name, (*layer.weight_shape, 1, 1)[:4]
        weight = _numbers(nodes, name, "Conv2d", "weight", kernel)
        bias = _numbers(nodes, name, "Conv2d", "bias", kernel[:1])
        weights = _integers(f"node {name!r}: weight", weight, weight, LARGEST_WEIGHT, np.int8)
        tensors |= {
            f"{name}.weight": weights.reshape(layer.weight_shape),
            f"{name}.bias": _integers(f"node {name!r}: bias", bias, np.ldexp(bias, fraction), LARGEST_BIAS, np.int32),
            f"{name}.scale": np.asarray(own[SCALE].get(name)),
        }
        if layer.kind != "head":
            tensors[f"{name}.threshold"] = _threshold(nodes, layer, network, fraction)
    return header, tensors


def _threshold(nodes: Mapping[str, Any], layer: Layer, network: NetworkConfig, fraction: int) -> NDArray[np.int64]:
    """Integer thresholds of a layer's neurons, from limits half a unit below."""
    name, shape = f"{layer.name}.neuron", (layer.out_channels, layer.height, layer.width)
    limits = _numbers(nodes, name, network.neuron.upper(), "v_threshold", shape)
    limit = limits[:, 0, 0]
    different = limits != limit[:, None, None]
    if different.any():
        channel = np.nonzero(different)[0][0]
        raise UserError(
            f"node {name!r}: v_threshold of channel {channel} holds {limit[channel]} and {limits[different][0]}; the "
            "neurons of a channel share one threshold"
        )
    threshold = (np.ldexp(limit, fraction + network.membrane_bits + 1) + 1) / 2
    return _integers(f"node {name!r}: v_threshold", limit, threshold, LARGEST_THRESHOLD, np.int64)


def _numbers(
    nodes: Mapping[str, Any], name: str, kind: str, part: str, shape: tuple[int, ...]
) -> NDArray[np.float64]:  # fmt: skip
    """One array of a node, as float64."""
    if name not in nodes:
        raise UserError(f"node {name!r} ({kind}) is missing; {REMEDY}")
    if type(nodes[name]).__name__ != kind:
        raise UserError(f"node {name!r} must be of type {kind}, not {type(nodes[name]).__name__}; {REMEDY}")
    value = np.asarray(getattr(nodes[name], part))
    if value.dtype.kind not in "fiu":
        raise UserError(f"node {name!r}: {part} must be numbers, not {quoted(str(value.dtype))}; {REMEDY}")
    _check_shape(name, part, value, shape)
    return value.astype(np.float64)


def _check_shape(name: str, part: str, value: NDArray[Any], shape: tuple[int, ...]) -> None:
    if value.shape != shape:
        have = quoted(list(value.shape))
        raise UserError(f"node {name!r}: {part} must have shape {list(shape)}, not {have}; {REMEDY}")


def _integers(
    what: str, stored: NDArray[np.float64], scaled: NDArray[np.float64], limit: int, dtype: type[np.integer[Any]]
) -> NDArray[Any]:
    """Numbers in the units of the artifact, which must be integers; in the file they are `stored`."""
    wrong = ~((np.abs(scaled) <= limit) & (scaled == np.round(scaled)))
    if wrong.any():
        raise UserError(
            f"{what} holds {stored[wrong][0]}, which makes {scaled[wrong][0]} in the artifact, not an integer of "
            f"-{limit}..{limit}; round it to one"
        )
    return scaled.astype(dtype)


def _compare(artifact: Artifact, nodes: Mapping[str, Any], edges: Any) -> None:
    """Refuse a graph that is not that of `artifact`."""
    wanted = wire(artifact)
    for names, problem in ((wanted.nodes.keys() - nodes, "missing"), (nodes.keys() - wanted.nodes, "unknown")):
        if names:
            raise UserError(f"nodes {problem}: {listed(sorted(names))}; {REMEDY}")
    for name, node in wanted.nodes.items():
        _compare_node(name, node, nodes[name])
    found = _edges(edges)
    for pairs, problem in ((set(wanted.edges) - set(found), "missing"), (set(found) - set(wanted.edges), "too many")):
        if pairs:
            raise UserError(f"edges {problem}: {listed(' -> '.join(pair) for pair in sorted(pairs))}; {REMEDY}")
    if len(found) > len(wanted.edges):
        twice = next(pair for pair in found if found.count(pair) > 1)
        raise UserError(f"edge {' -> '.join(twice)} is there twice; {REMEDY}")


def _compare_node(name: str, wanted: Any, found: Any) -> None:
    kind = type(wanted).__name__
    if type(found) is not type(wanted):
        raise UserError(f"node {name!r} must be of type {kind}, not {type(found).__name__}; {REMEDY}")
    for field in dataclasses.fields(wanted):
        if field.name == "metadata" or (field.name in SHAPES.values() and field.name != SHAPES.get(kind)):
            continue
        want, have = (_array(getattr(node, field.name)) for node in (wanted, found))
        _check_shape(name, field.name, have, want.shape)
        if (different := want != have).any():
            raise UserError(
                f"node {name!r}: {field.name} holds {quoted(have[different][0].item())} where the network has "
                f"{want[different][0]}; {REMEDY}"
            )


def _array(value: Any) -> NDArray[Any]:
    """A field of a node: a number, some, or those of its one port."""
    if isinstance(value, dict):
        (value,) = value.values()
    return np.asarray(value)


def _edges(edges: Any) -> list[tuple[str, str]]:
    """Edges as pairs of names."""
    pairs = np.asarray(edges)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise UserError(f"edges must be pairs of names, not an array of shape {quoted(list(pairs.shape))}; {REMEDY}")
    return [(_text(start), _text(end)) for start, end in pairs.tolist()]


def _text(name: Any) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
