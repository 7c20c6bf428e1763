"""One layer of the network: its place, its sizes, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LayerKind = Literal["conv", "linear", "attention", "head"]

QKV = ("q", "k", "v")
"""Parts of a block that attention reads, in this order."""

IMAGE_BITS = 8
"""Bits of the signed image, whose bit-planes are the first layer's input, and of a pixel or a count as it comes."""

WEIGHT_WIDTHS = (2, 3, 4, 8)
"""Bits that a weight may have. The hardware reads those of 2 and 3 bits as weights of 4."""

IMAGE_WEIGHT_LIMIT = 119
"""Largest magnitude of an 8-bit weight of the image layer: ``16 * 7 + 7``, two signed halves of 4 bits."""


def block_name(block: int) -> str:
    """Name of an encoder block."""
    return f"block{block}"


def layer_name(part: str, block: int | None = None) -> str:
    """Name of a layer, such as ``conv0`` or ``block1.fc2``: its part, within its block if it is in one."""
    return part if block is None else f"{block_name(block)}.{part}"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One step of the network: integer sums of its input, then a neuron (none after the head).

    Attributes
    ----------
    part : str
        What it is: ``conv0`` to ``conv3``, ``rpe``, ``head``; in a block ``q``, ``k``, ``v``, ``attention``, ``proj``,
        ``fc1`` or ``fc2``.
    block : int, optional
        Number of its encoder block; None outside the blocks.
    kind : str
        ``conv`` (3x3, stride 1, pad 1), ``linear``, ``attention`` (no weights) or ``head``.
    source : str
        Name of what it reads: ``image`` or ``events``, the spikes of an earlier layer, or ``residual``.
        Attention names ``q``, see `sources`.
    in_channels, out_channels : int
        Channels read and written; for attention both are the embedding dimension.
    height, width : int
        Grid of positions it computes on (before pooling). Token ``n`` is ``row * width + column``.
    input_max : int
        Largest input integer: 1 for spikes, more for the residual stream and for counts of events, 127 for the signed
        image.
    pool : bool
        Whether there is a 3x3/2 pad 1 max-pool: behind the neuron, where it is an OR of spikes, or before it.
    residual : bool
        Whether the spikes join the residual stream.
    pool_first : bool
        Whether the pool comes before the neuron, as the largest current; then there are neurons for its output only.
    bias : bool
        Whether the float model's layer has a bias of its own beside that of its batch norm.
    """

    part: str
    block: int | None = None
    kind: LayerKind
    source: str
    in_channels: int
    out_channels: int
    height: int
    width: int
    input_max: int = 1
    pool: bool = False
    residual: bool = False
    pool_first: bool = False
    bias: bool = False

    @property
    def name(self) -> str:
        """Unique name, see `layer_name`; names its tensors everywhere."""
        return layer_name(self.part, self.block)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all that it reads: for attention ``q``, ``k`` and ``v`` of its block, otherwise `source`."""
        return tuple(layer_name(part, self.block) for part in QKV) if self.kind == "attention" else (self.source,)

    @property
    def has_weights(self) -> bool:
        """Whether the layer has a weight tensor."""
        return self.kind != "attention"

    @property
    def reads_input(self) -> bool:
        """Whether it is the first layer, which reads the network's input."""
        return self.source in ("image", "events")

    @property
    def pools_spikes(self) -> bool:
        """Whether a pool follows the neuron."""
        return self.pool and not self.pool_first

    @property
    def taps(self) -> int:
        """Kernel positions: 9 for a convolution, otherwise 1."""
        return 9 if self.kind == "conv" else 1

    @property
    def positions(self) -> int:
        """Positions (pixels or tokens) it computes on."""
        return self.height * self.width

    @property
    def input_planes(self) -> int:
        """Bit-planes of its input; the image's top plane is negative."""
        return IMAGE_BITS if self.source == "image" else self.input_max.bit_length()

    def weight_limit(self, weight_bits: int) -> int:
        """Largest magnitude of a weight of so many bits; the range is symmetric."""
        limit = (1 << weight_bits - 1) - 1
        return min(limit, IMAGE_WEIGHT_LIMIT) if self.source == "image" else limit

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight tensor: ``[out, in, 3, 3]`` or ``[out, in]``."""
        shape = (self.out_channels, self.in_channels)
        return (*shape, 3, 3) if self.kind == "conv" else shape

    @property
    def output_grid(self) -> tuple[int, int]:
        """Height and width after the pool, if there is one."""
        return (self.height // 2, self.width // 2) if self.pool else (self.height, self.width)
