"""The network's shape and its layer list: the one place that says what runs in which order.

The model, the golden model, the operation counts and the compiler all walk `NetworkConfig.layers()`;
nothing else in the project spells out the sequence of a Spikformer (ICLR 2023, arXiv 2209.15425).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from hw.user_text import quoted
from sw.layer import IMAGE_BITS, QKV, Layer, layer_name

ResidualMode = Literal["add", "clamp", "iand"]
"""How spikes join the residual stream; see `NetworkConfig.residual_mode`."""

PoolOrder = Literal["after", "before"]
"""Whether a pool comes after or before its neuron; see `NetworkConfig.pool_order`."""

LinearBias = Literal["all", "not-qkv", "none"]
"""Which linear layers of the blocks have a bias; see `NetworkConfig.linear_bias`."""

NeuronKind = Literal["lif", "if"]
"""Whether neurons leak; see `NetworkConfig.neuron`."""

NEURON_THRESHOLD = 1.0
"""Firing threshold of every neuron but the one after attention."""

ATTENTION_NEURON_THRESHOLD = 0.5
"""Firing threshold of the neuron after attention."""

STEM = 4
"""Convolutions before `rpe`, ``conv0`` to ``conv3``; each doubles the channels, up to the embedding dimension."""

STEM_PARTS = (*(f"conv{i}" for i in range(STEM)), "rpe")
"""Parts of the network before its encoder blocks, in order of execution."""

LARGEST = {
    "image_size": 2048, "image_channels": 4096, "classes": 1 << 16, "embed_dim": 1 << 14, "depth": 256,
    "heads": 1 << 14, "mlp_ratio": 64,
}  # fmt: skip
"""Largest sizes of a network, far beyond any hardware: within them every proven range is exact in 64 bits."""

RESIDUAL_LIMIT = 255
"""Largest residual integer of the mode ``add``: the golden model and the trace keep bytes."""

RESIDUAL_CLAMP = 3
"""Largest residual integer of the mode ``clamp``: what two bit-planes hold."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Shape of a Spikformer.

    Attributes
    ----------
    image_size : int
        Height and width of the square image; divisible by ``2**pools``.
    image_channels : int
        1 or 3 (any positive number works).
    classes : int
        Outputs of the head.
    embed_dim : int
        Channels ``D`` of the tokens; divisible by 8 and by `heads`.
    depth : int
        Encoder blocks ``L``.
    heads : int
        Attention heads.
    timesteps : int
        Time steps ``T``, 1 to 16.
    mlp_ratio : int
        Hidden channels of the MLP as a multiple of `embed_dim`.
    attention_scale : float
        Factor on ``Q (K^T V)``, a power of two; 0.125 in the paper whatever the head size is.
    residual_mode : str
        How spikes ``s`` join the residual stream ``x``, which starts as the pooled spikes of ``conv3``: ``add``,
        ``x + s``, as in the paper, up to ``2 + 2 L``; ``clamp``, ``min(x + s, 3)``, never more than two bit-planes;
        ``iand``, ``x AND NOT s`` (the IAND of SEW-ResNet, arXiv 2102.04159), always spikes.
    pools : int
        How many of the four convolutions are followed by a max-pool, the last ones: 2 in the paper's CIFAR variant, 4
        in its ImageNet and its DVS variant.
    event_bits : int
        0: the input is an 8-bit image, the same at every time step. 1 to 8: it is event frames, as in the paper's DVS
        variant, a frame of `image_channels` polarities for each time step, whose counts of events have so many bits;
        with 1 the frames are spikes.
    pool_order : str
        ``after``: pools follow their neurons, as in the authors' code. ``before``: they take the largest current, and
        the neurons follow, as in SpikingJelly's Spikformer.
    linear_bias : str
        Which linear layers of the blocks have a bias: ``all`` (the authors' CIFAR variant), ``not-qkv``, all but q, k
        and v (their ImageNet variant), or ``none`` (SpikingJelly's). Integers do not show it: it folds into the
        layer's bias with the batch norm.
    neuron : str
        ``lif``, the leaky neuron of the paper, ``H = (V + X) / 2``, or ``if``, integrate-and-fire, ``H = V + X``; both
        with the same thresholds and the same hard reset, also after attention.

    Raises
    ------
    ValueError
        Naming the field, its value and the limit.
    """

    image_size: int
    image_channels: int
    classes: int
    embed_dim: int
    depth: int
    heads: int
    timesteps: int = 4
    mlp_ratio: int = 4
    attention_scale: float = 0.125
    residual_mode: ResidualMode = "add"
    pools: int = 2
    event_bits: int = 0
    pool_order: PoolOrder = "after"
    linear_bias: LinearBias = "all"
    neuron: NeuronKind = "lif"

    def __post_init__(self) -> None:
        for field, most in LARGEST.items():
            value = getattr(self, field)
            if not 1 <= value <= most:
                raise ValueError(
                    f"{field} must be at {'least 1' if value < 1 else f'most {most:,}'}, not {quoted(value)}"
                )
        if not 1 <= self.pools <= STEM:
            raise ValueError(f"pools must be 1 to {STEM}, not {quoted(self.pools)}")
        if self.image_size % 2**self.pools:
            raise ValueError(
                f"image_size must be divisible by {2**self.pools} ({self.pools} 2x pools), not {self.image_size}"
            )
        if self.embed_dim % 8:
            raise ValueError(f"embed_dim must be divisible by 8 (conv0 has D/8 channels), not {self.embed_dim}")
        if self.embed_dim % self.heads:
            raise ValueError(f"embed_dim {self.embed_dim} must be divisible by heads, not {self.heads}")
        if not 0 <= self.event_bits <= IMAGE_BITS:
            raise ValueError(
                f"event_bits must be 0 (an image) or 1 to {IMAGE_BITS} (event frames), not {quoted(self.event_bits)}"
            )
        if not 1 <= self.timesteps <= 16:
            raise ValueError(f"timesteps must be 1 to 16, not {quoted(self.timesteps)}")
        if self.attention_scale not in (0.0625, 0.125, 0.25, 0.5):
            raise ValueError(f"attention_scale must be 0.0625, 0.125, 0.25 or 0.5, not {quoted(self.attention_scale)}")
        if self.residual_mode not in get_args(ResidualMode):
            raise ValueError(f"residual_mode must be add, clamp or iand, not {quoted(self.residual_mode)}")
        if self.pool_order not in get_args(PoolOrder):
            raise ValueError(f"pool_order must be after or before, not {quoted(self.pool_order)}")
        if self.linear_bias not in get_args(LinearBias):
            raise ValueError(f"linear_bias must be all, not-qkv or none, not {quoted(self.linear_bias)}")
        if self.neuron not in get_args(NeuronKind):
            raise ValueError(f"neuron must be lif or if, not {quoted(self.neuron)}")
        # rpe, and two layers of every block, add a spike to the spikes that start the stream.
        most = (RESIDUAL_LIMIT - 2) // 2
        if self.residual_mode == "add" and self.depth > most:
            raise ValueError(
                f"depth must be at most {most} in residual_mode add, whose integers reach {RESIDUAL_LIMIT} then, not "
                f"{self.depth}; the modes clamp and iand may be deeper"
            )

    @property
    def events(self) -> bool:
        """Whether the input is event frames, one for each time step, instead of an image."""
        return self.event_bits > 0

    @property
    def largest_pixel(self) -> int:
        """Largest value that an input may hold: of an image a byte, of event frames their largest count."""
        return (1 << (self.event_bits or IMAGE_BITS)) - 1

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of an input: ``[channels, size, size]``, of event frames ``[T, channels, size, size]``."""
        image = (self.image_channels, self.image_size, self.image_size)
        return (self.timesteps, *image) if self.events else image

    @property
    def grid(self) -> int:
        """Height and width of the grid of tokens, after all pools."""
        return int(self.image_size // 2**self.pools)

    @property
    def tokens(self) -> int:
        """Tokens ``N``."""
        return self.grid**2

    @property
    def head_dim(self) -> int:
        """Channels ``d`` of one attention head."""
        return self.embed_dim // self.heads

    @property
    def leaky(self) -> bool:
        """Whether neurons leak."""
        return self.neuron == "lif"

    @property
    def membrane_bits(self) -> int:
        """Fractional bits that the membranes gain over all time steps: one for every halving."""
        return self.timesteps if self.leaky else 0

    @property
    def attention_threshold(self) -> int:
        """Integer threshold of the neuron after attention, in the units of `sw.artifact.artifact` thresholds.

        That is ``0.5 / attention_scale``, times ``2^T`` with a leak: exact, since the scale is a power of two.
        """
        return int(2**self.membrane_bits * ATTENTION_NEURON_THRESHOLD / self.attention_scale)

    def residual_after(self, largest: int) -> int:
        """Largest residual integer after one more layer joined the stream, if it was `largest` before."""
        if self.residual_mode == "iand":
            return largest
        return largest + 1 if self.residual_mode == "add" else min(largest + 1, RESIDUAL_CLAMP)

    def layers(self) -> tuple[Layer, ...]:
        """Every layer, in order of execution."""
        blocks = [layer for index in range(self.depth) for layer in self.block(index)]
        return (*self._stem(), *blocks, self._head())

    def block(self, index: int) -> tuple[Layer, ...]:
        """Layers of an encoder block, in order of execution."""
        dim, hidden = self.embed_dim, self.embed_dim * self.mlp_ratio
        name = partial(layer_name, block=index)
        linear = partial(
            Layer, block=index, kind="linear", height=self.grid, width=self.grid, bias=self.linear_bias != "none"
        )
        qkv = partial(
            linear, source="residual", in_channels=dim, out_channels=dim, bias=self.linear_bias == "all",
            input_max=self._residual_max(1 + 2 * index),
        )  # fmt: skip
        return (
            *(qkv(part=part) for part in QKV),
            Layer(part="attention", block=index, kind="attention", source=name("q"), in_channels=dim, out_channels=dim,
                  height=self.grid, width=self.grid),
            linear(part="proj", source=name("attention"), in_channels=dim, out_channels=dim, residual=True),
            linear(part="fc1", source="residual", in_channels=dim, out_channels=hidden,
                   input_max=self._residual_max(2 + 2 * index)),
            linear(part="fc2", source=name("fc1"), in_channels=hidden, out_channels=dim, residual=True),
        )  # fmt: skip

    def _stem(self) -> tuple[Layer, ...]:
        """The convolutions."""
        size, channels = self.image_size, self.image_channels
        source, largest = ("events", self.largest_pixel) if self.events else ("image", 127)
        layers = []
        for i, part in enumerate(STEM_PARTS):
            pool = STEM - self.pools <= i < STEM
            layer = Layer(
                part=part, kind="conv", source=source, in_channels=channels,
                out_channels=self.embed_dim >> max(0, STEM - 1 - i), height=size, width=size, input_max=largest,
                pool=pool, pool_first=pool and self.pool_order == "before", residual=i == STEM,
            )  # fmt: skip
            layers.append(layer)
            source, largest, channels, size = layer.name, 1, layer.out_channels, layer.output_grid[0]
        return tuple(layers)

    def _head(self) -> Layer:
        """The classifier."""
        return Layer(
            part="head", kind="head", source="residual", in_channels=self.embed_dim, out_channels=self.classes,
            height=self.grid, width=self.grid, input_max=self._residual_max(1 + 2 * self.depth), bias=True,
        )  # fmt: skip

    def _residual_max(self, joined: int) -> int:
        """Largest residual integer after so many layers joined the stream: rpe, and two of every block."""
        largest = 1  # the pooled spikes that start the stream
        for _ in range(joined):
            largest = self.residual_after(largest)
        return largest

    def to_dict(self) -> dict[str, int | float | str]:
        """Fields as plain JSON values."""
        return dataclasses.asdict(self)
