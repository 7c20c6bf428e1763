"""What network a checkpoint holds, from its keys and shapes, and how it differs from one that fits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hw.user_text import listed
from sw.errors import UserError
from sw.importer.layouts import LAYOUTS, NORM_PARTS, Layout
from sw.importer.recognise import DEAD, recognise
from sw.named_networks import NAMED_NETWORKS
from sw.network import NetworkConfig

LISTED = 130
"""Characters of the differences that an error names; a wrong variant has hundreds."""

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Types of weights; numbers of fewer bits are codes, to which a scale belongs."""

SHAPE = ("depth", "embed_dim", "mlp_ratio", "pools")
"""Fields of a network that tell a configuration of the paper, whatever its images, classes and layout are."""


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
        If the layout is none of the known ones, a tensor of it holds no plain floating-point numbers, or one that
        tells the shape is missing or cannot be right.
    """
    layout = _of_shapes(recognise(tensors).layout, tensors)
    modules = layout.modules()
    for key, tensor in tensors.items():
        if layout.module(key) in modules and key.rpartition(".")[2] in NORM_PARTS:
            _check_plain(key, tensor)

    def rows_columns(key: str, *, what: str) -> tuple[int, int]:
        if key not in tensors:
            raise UserError(f"{key} is missing, from which {what}; give a whole checkpoint")
        if tensors[key].ndim < 2 or not tensors[key].numel():
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
            "attention_scale": layout.attention_scale,
        },
    )


def _of_shapes(layout: Layout, tensors: Mapping[str, Tensor]) -> Layout:
    """Of the layouts that have the same keys the one whose linear layers have as many axes as the tensors."""

    def fits(other: Layout) -> bool:
        fc1 = tensors.get(f"{other.block('fc1', f'{other.blocks}.0').weights}.weight")
        return fc1 is not None and fc1.ndim == 2 + len(other.kernel.get("fc1", ()))

    alike = [other for other in LAYOUTS if set(other.modules()) == set(layout.modules())]
    return next(filter(fits, alike), layout)


def usual_heads(found: Found) -> int:
    """Attention heads of the paper's configuration of the same shape, or of the one that the layout's code names.

    Raises
    ------
    UserError
        If there is neither.
    """
    shape = [found.fields[key] for key in SHAPE]
    for network in NAMED_NETWORKS.values():
        if network.events == found.layout.events and [getattr(network, key) for key in SHAPE] == shape:
            return network.heads
    depth, dim, ratio, pools = shape
    if (depth, dim, ratio) in found.layout.heads:
        return found.layout.heads[depth, dim, ratio]
    raise UserError(
        f"no tensor tells the attention heads, and {depth} blocks of dimension {dim} with {pools} pools are "
        f"no configuration of the paper or of {found.layout.title}: give --heads"
    )


def network_of(
    found: Found, *, image_size: int, heads: int | None, timesteps: int, event_bits: int = 0
) -> NetworkConfig:
    """Complete the shape with what no tensor tells.

    Parameters
    ----------
    found : Found
        Layout and fields that follow from the shapes.
    image_size : int
        Height and width of the image.
    heads : int, optional
        Attention heads; without them `usual_heads`.
    timesteps : int
        Time steps.
    event_bits : int
        Bits of a count, for a layout of event frames; 0 for one of images.

    Raises
    ------
    UserError
        If the heads are needed, or a field is out of its range.
    """
    if heads is None:
        heads = usual_heads(found)
    try:
        return NetworkConfig(
            image_size=image_size, heads=heads, timesteps=timesteps, event_bits=event_bits, **found.fields
        )
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
    unread = [key for key in others if DEAD.fullmatch(key) or key in layout.unused]
    unknown = [f"{key} {_shape(tensors[key])}" for key in others if key not in unread]
    wrong = [key for key, shape in wanted.items() if key in tensors and tuple(tensors[key].shape) != shape]
    whole = not missing and not unknown  # room for what the shapes should be
    shapes = [
        f"{key} is {_shape(tensors[key])} instead of {list(wanted[key])}" if whole else f"{key} {_shape(tensors[key])}"
        for key in wrong
    ]
    kinds = (("missing", missing), ("unknown", unknown), ("of another shape", shapes))
    found = [(what, items) for what, items in kinds if items]
    if found:
        raise UserError(
            f"does not match {layout.title} with {network.depth} blocks of dimension {network.embed_dim}; "
            + "; ".join(f"{what}: {listed(items, LISTED // len(found))}" for what, items in found)
        )
    return [key for key in others if not key.endswith("num_batches_tracked")]


def _check_plain(key: str, tensor: Tensor) -> None:
    """Refuse a tensor that is no plain array of floating-point numbers."""
    if tensor.is_quantized:
        kind, remedy = f"quantised ({tensor.dtype})", "save tensor.dequantize()"
    elif tensor.is_meta:
        kind, remedy = "on the device meta, without values", "save the model when it holds its weights"
    elif tensor.is_nested or tensor.layout != torch.strided:
        kind, remedy = f"sparse or nested ({tensor.layout})", "save tensor.to_dense()"
    elif tensor.is_complex():
        kind, remedy = f"complex ({tensor.dtype})", "save real weights"
    elif tensor.dtype not in FLOATS:
        kind, remedy = (
            f"of {tensor.dtype}, codes without their scale",
            "save the weights they stand for as float32",
        )
    else:
        return
    raise UserError(f"{key} is {kind}; {remedy}")


def _shape(tensor: Tensor) -> str:
    return "nested" if tensor.is_nested else str(list(tensor.shape))
