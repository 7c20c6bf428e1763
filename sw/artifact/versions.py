"""Versions of the artifact's format: what each brought, and an older file's content in the terms of the present one.

Version 2 brought ``residual_mode`` and ``pools`` to the network, before they are ``add`` and 2. Version 3 brought
``events``, ``pool_order``, ``linear_bias`` and ``neuron``, before they are false, ``after``, ``all`` and ``lif``.
Version 4 brought the checksum; a file without it is read with a remark. Version 5 brought ``event_bits`` instead of
``events`` (1 where that was true), the image table of event frames as uint8 instead of int8, and in accuracies
``image_set`` instead of ``set``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sw.network import NetworkConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 5
"""Version of the format that is written; every earlier one is read."""

CHECKSUM_SINCE = 4
"""First version with a checksum."""

FIELD_SINCE = {"residual_mode": 2, "pools": 2, "pool_order": 3, "linear_bias": 3, "neuron": 3, "event_bits": 5}
"""Version that brought a network field; the others were always there."""

EVENTS, EVENTS_SINCE = "events", 3
"""A network field that was there until ``event_bits`` replaced it, and since when."""

IMAGE_TABLE = "image.table"
"""Name of the tensor with the network input for each pixel value."""


def network_fields(version: int) -> dict[str, Any]:
    """Fields of the header's ``network`` in a version, each with its type by name."""
    fields = {
        field.name: field.type
        for field in dataclasses.fields(NetworkConfig)
        if FIELD_SINCE.get(field.name, 1) <= version
    }
    return fields | ({EVENTS: "bool"} if EVENTS_SINCE <= version < FIELD_SINCE["event_bits"] else {})


def network_of_today(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a network of any version, as `NetworkConfig` takes them."""
    today = {name: value for name, value in values.items() if name != EVENTS}
    return today | ({"event_bits": int(values[EVENTS])} if EVENTS in values else {})


def accuracy_of_today(accuracy: object, version: int) -> Any:
    """What a header of a version holds of accuracies, whatever that is, with the keys of today."""
    if version >= VERSION or not isinstance(accuracy, dict):
        return accuracy

    def renamed(entry: object) -> object:
        if not isinstance(entry, dict):
            return entry
        return {"image_set" if key == "set" else key: value for key, value in entry.items()}

    return {model: renamed(entry) for model, entry in accuracy.items()}


def image_table_of_today(table: NDArray[Any], network: NetworkConfig, version: int) -> NDArray[Any]:
    """The image table of a file of a version in the type of today."""
    old = version < VERSION and network.events and table.dtype == np.int8
    return table.view(np.uint8) if old else table
