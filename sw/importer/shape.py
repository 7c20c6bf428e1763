"""What network a checkpoint holds, from its keys and shapes, and how it differs from one that fits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sw.errors import UserError
from sw.importer.layouts import LAYOUTS, Layout
from sw.named_networks import NAMED_NETWORKS
from sw.network import NetworkConfig

DEAD = re.compile(r"(.*\.norm[12]\.(weight|bias)|.*\.num_batches_tracked)")
"""Keys that no forward pass reads: layer norms that the authors' blocks hold but never call, counters of batches."""

LISTED = 8
"""Differences of a kind that an error names; a wrong variant has hundreds."""

EVENTS = "pos_embed"
"""A tensor that only the authors' code for event cameras has."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a checkpoint turned out to be.

    Attributes
    ----------
    layout : Layout
    fields : dict
        Fields of `NetworkConfig` that follow from its shapes and its layout.
    """

    layout: Layout
    fields: dict[str, Any]


def find_layout(tensors: Mapping[str, Tensor]) -> Found:
    """Recognise the layout and infer the shape.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        State dictionary.

    Raises
    ------
    UserError
        If the layout is none of the known ones, or a tensor that tells the shape is missing or cannot be right.
    """
    if EVENTS in tensors:
        raise UserError(
            f"{EVENTS} is of the authors' code for event cameras, whose input is a frame of events for each time step; "
            "only networks of images can be imported"
        )
    layout = next((layout for layout in LAYOUTS if layout.mark in tensors), None)
    if layout is None:
        known = "; ".join(f"{layout.mark} of {layout.title}" for layout in LAYOUTS)
        raise UserError(
            f"none of the known layouts (by {known}), but {_some(sorted(tensors))}; "
            "rename its keys to one of these, or train a model of your own"
        )

    def rows_columns(key: str, *, what: str) -> tuple[int, int]:
        if key not in tensors:
            raise UserError(f"{key} is missing, from which {what}; give a whole checkpoint")
        if tensors[key].ndim < 2:
            raise UserError(f"{key} is {list(tensors[key].shape)}, but a matrix was expected; give a whole checkpoint")
        return int(tensors[key].shape[0]), int(tensors[key].shape[1])

    _, channels = rows_columns(f"{layout.stem(0).weights}.weight", what="the channels of the image follow")
    dim, _ = rows_columns(f"{layout.stem(4).weights}.weight", what="the embedding dimension follows")
    classes, _ = rows_columns("head.weight", what="the classes follow")
    hidden, _ = rows_columns(
        f"{layout.block('fc1', f'{layout.blocks}.0').weights}.weight", what="the size of the MLP follows"
    )
    if hidden % dim:
        raise UserError(f"the MLP has {hidden} hidden channels, no multiple of the {dim} of the embedding")
    numbers = {match[1] for key in tensors if (match := re.match(rf"{layout.blocks}\.(\d+)\.", key))}
    return Found(
        layout=layout,
        fields={
            "image_channels": channels,
            "classes": classes,
            "embed_dim": dim,
            "depth": len(numbers),
            "mlp_ratio": hidden // dim,
            "pools": layout.pools,
            "pool_order": layout.pool_order,
            "linear_bias": layout.linear_bias,
        },
    )


def network_of(found: Found, *, image_size: int, heads: int | None, timesteps: int) -> NetworkConfig:
    """Complete the shape with what no tensor tells.

    Parameters
    ----------
    found : Found
        Layout and fields that follow from the shapes.
    image_size : int
        Height and width of the image.
    heads : int, optional
        Attention heads; without them those of the paper's configuration of the same shape.
    timesteps : int
        Time steps.

    Raises
    ------
    UserError
        If the heads are needed, or a field is out of its range.
    """
    if heads is None:
        fields = {key: value for key, value in found.fields.items() if key not in ("classes", "image_channels")}
        alike = (n for n in NAMED_NETWORKS.values() if all(getattr(n, key) == fields[key] for key in fields))
        paper = next(alike, None)
        if paper is None:
            raise UserError(
                f"no tensor tells the attention heads, and {found.fields['depth']} blocks of dimension "
                f"{found.fields['embed_dim']} are no configuration of the paper: give --heads"
            )
        heads = paper.heads
    try:
        return NetworkConfig(image_size=image_size, heads=heads, timesteps=timesteps, **found.fields)
    except ValueError as error:
        raise UserError(f"{error}; see spikeloom import --help") from error


def check_tensors(layout: Layout, network: NetworkConfig, tensors: Mapping[str, Tensor]) -> list[str]:
    """Refuse a checkpoint whose tensors are not those of `network`.

    Returns
    -------
    list of str
        Keys that are ignored, because nothing reads them.

    Raises
    ------
    UserError
        Naming the keys that are missing, unknown or of another shape.
    """
    wanted = layout.tensors(network)
    missing = [f"{key} {list(shape)}" for key, shape in wanted.items() if key not in tensors]
    others = [key for key in tensors if key not in wanted]
    unknown = [f"{key} {list(tensors[key].shape)}" for key in others if not DEAD.fullmatch(key)]
    wrong = [
        f"{key} is {list(tensors[key].shape)} instead of {list(shape)}"
        for key, shape in wanted.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    differences = [
        f"{what} {_some(items)}"
        for what, items in (("missing:", missing), ("unknown:", unknown), ("of another shape:", wrong))
        if items
    ]
    if differences:
        raise UserError(
            f"does not match {layout.title} with {network.depth} blocks of dimension {network.embed_dim}; "
            + "; ".join(differences)
        )
    return [key for key in others if not key.endswith("num_batches_tracked")]


def _some(items: list[str]) -> str:
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(items[:LISTED]) + more
