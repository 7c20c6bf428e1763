"""The key layouts of Spikformer checkpoints: where each of our layers is found in a state dictionary.

Five are known: the authors' code for CIFAR (linear layers), for ImageNet (1x1 convolutions) and for CIFAR10-DVS (the
same of one dimension, event frames), the CML variant of it for CIFAR (pools before the neurons), and SpikingJelly's
Spikformer (q, k and v fused into one matrix, no biases, pools before the neurons).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sw.layer import Layer
from sw.network import STEM, STEM_PARTS, LinearBias, NetworkConfig, PoolOrder

FUSED = "qkv"
"""Rows of a fused matrix, in this order: D of q, D of k, D of v."""


@dataclass(frozen=True)
class Place:
    """Where a layer's tensors are.

    Attributes
    ----------
    weights : str
        Key before ``.weight`` and ``.bias``.
    norm : str, optional
        Key before the four tensors of its batch norm; the head has none.
    part : int, optional
        Of a fused matrix: which third of the rows it is.
    """

    weights: str
    norm: str | None = None
    part: int | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way to name and shape the tensors of a Spikformer.

    Attributes
    ----------
    name, title : str
        Name in provenance, name in prose.
    blocks : str
        Key before the number of an encoder block.
    kernel : dict of str to tuple
        Last axes of the weights of a linear layer: by its part, as the 1x1 convolutions have.
    pools : int
    pool_order : str
    linear_bias : str
        What the code behind the layout does; see `NetworkConfig`.
    stem : callable
        Place of the parts `sw.network.STEM_PARTS` by their number: ``conv0`` to ``conv3`` and ``rpe``.
    block : callable
        Place of a layer of a block, by its part and the key of the block.
    heads : dict of (int, int, int) to int
        Attention heads of the networks that the code behind the layout names and the paper does not, by their blocks,
        dimension and MLP ratio.
    attention_scale : float
        What the code multiplies attention by.
    events : bool
        Whether it reads event frames.
    unused : tuple of str
        Keys of tensors that the code keeps but never reads.
    """

    name: str
    title: str
    blocks: str
    kernel: dict[str, tuple[int, ...]]
    pools: int
    pool_order: PoolOrder
    linear_bias: LinearBias
    stem: Callable[[int], Place]
    block: Callable[[str, str], Place]
    heads: dict[tuple[int, int, int], int] = field(default_factory=dict)
    attention_scale: float = NetworkConfig.attention_scale
    events: bool = False
    unused: tuple[str, ...] = ()

    def place(self, layer: Layer) -> Place:
        """Where the tensors of a layer with weights are."""
        if layer.kind == "head":
            return Place("head")
        if layer.kind == "conv":
            return self.stem(STEM_PARTS.index(layer.part))
        return self.block(layer.part, f"{self.blocks}.{layer.block}")

    def weight_shape(self, layer: Layer) -> tuple[int, ...]:
        """Shape of a layer's weights in the checkpoint, before a fused matrix is cut."""
        kernel = self.kernel.get(layer.part, ()) if layer.kind == "linear" else ()
        rows, *columns = layer.weight_shape
        return (rows * (len(FUSED) if self.place(layer).part is not None else 1), *columns, *kernel)

    def tensors(self, network: NetworkConfig) -> dict[str, tuple[int, ...]]:
        """Every key that a checkpoint of `network` must have, with its shape."""
        wanted: dict[str, tuple[int, ...]] = {}
        for layer in network.layers():
            if not layer.has_weights:
                continue
            place, shape = self.place(layer), self.weight_shape(layer)
            wanted[f"{place.weights}.weight"] = shape
            if layer.bias:
                wanted[f"{place.weights}.bias"] = shape[:1]
            if place.norm is not None:
                wanted |= {f"{place.norm}.{part}": shape[:1] for part in NORM_PARTS}
        return wanted

    def modules(self) -> tuple[str, ...]:
        """Every module that holds tensors, as `module` names it: of blocks one for all."""
        side, dim = 1 << self.pools, 8
        network = NetworkConfig(image_size=side, image_channels=1, classes=1, embed_dim=dim, depth=1, heads=1)
        return tuple(dict.fromkeys(self.module(key) for key in self.tensors(network)))

    def module(self, key: str) -> str:
        """Module of a key: what is before its last dot, with a ``*`` in place of the number of a block."""
        module = key.rpartition(".")[0] or key
        return re.sub(rf"^{self.blocks}\.\d+(?=\.|$)", f"{self.blocks}.*", module)


NORM_PARTS = ("weight", "bias", "running_mean", "running_var")
"""Tensors of a batch norm that eval mode reads."""


_RPE = Place("patch_embed.rpe_conv", "patch_embed.rpe_bn")


def _authors_stem(number: int) -> Place:
    if number == STEM:
        return _RPE
    suffix = number or ""
    return Place(f"patch_embed.proj_conv{suffix}", f"patch_embed.proj_bn{suffix}")


def _authors_block(kind: str) -> Callable[[str, str], Place]:
    def place(part: str, block: str) -> Place:
        where = f"{block}.{'mlp' if part.startswith('fc') else 'attn'}.{part}"
        return Place(f"{where}_{kind}", f"{where}_bn")

    return place


def _cml_stem(number: int) -> Place:
    where = f"patch_embed.block{number + 1}"
    return _RPE if number == STEM else Place(f"{where}_conv", f"{where}_bn")


def _spikingjelly_stem(number: int) -> Place:
    where = "patch_embed." + ("positional_encoding" if number == STEM else f"stages.{number}") + ".conv_bn.block"
    return Place(f"{where}.0", f"{where}.1")


def _spikingjelly_block(part: str, block: str) -> Place:
    if part in FUSED:
        return Place(f"{block}.attn.qkv_conv_bn.0", f"{block}.attn.qkv_conv_bn.1", FUSED.index(part))
    where = f"{block}.attn.proj_conv_bn" if part == "proj" else f"{block}.mlp.{part}"
    return Place(f"{where}.0", f"{where}.1")


_CONV1D = dict.fromkeys(("q", "k", "v", "proj"), (1,))

LAYOUTS = (
    Layout(
        name="authors-cifar",
        title="the authors' CIFAR code",
        blocks="block",
        kernel={},
        pools=2,
        pool_order="after",
        linear_bias="all",
        stem=_authors_stem,
        block=_authors_block("linear"),
    ),
    Layout(
        name="authors-imagenet",
        title="the authors' ImageNet code",
        blocks="block",
        kernel={**_CONV1D, "fc1": (1, 1), "fc2": (1, 1)},
        pools=4,
        pool_order="after",
        linear_bias="not-qkv",
        stem=_authors_stem,
        block=_authors_block("conv"),
    ),
    Layout(
        name="authors-dvs",
        title="the authors' CIFAR10-DVS code",
        blocks="block",
        kernel={**_CONV1D, "fc1": (1,), "fc2": (1,)},
        pools=4,
        pool_order="after",
        linear_bias="not-qkv",
        stem=_authors_stem,
        block=_authors_block("conv"),
        attention_scale=0.25,
        events=True,
        unused=("pos_embed", "norm.weight", "norm.bias"),
    ),
    Layout(
        name="cml",
        title="the CML Spikformer's CIFAR code",
        blocks="block",
        kernel={},
        pools=2,
        pool_order="before",
        linear_bias="all",
        stem=_cml_stem,
        block=_authors_block("linear"),
    ),
    Layout(
        name="spikingjelly",
        title="SpikingJelly's Spikformer",
        blocks="blocks",
        kernel={**_CONV1D, "fc1": (1,), "fc2": (1,)},
        pools=4,
        pool_order="before",
        linear_bias="none",
        stem=_spikingjelly_stem,
        block=_spikingjelly_block,
        heads={(4, 256, 4): 8, (6, 384, 4): 12},  # its spikformer_ti and spikformer_s
    ),
)
"""Every layout that is understood."""
