"""What the weight array reads, in the hardware's words, and how much of it is zero: what it could skip.

A word is ``[positions][timesteps][inputs]`` bits of a `HardwareConfig` (docs/architecture.md, "The machine"): one
bit-plane of `inputs` channels at all time-step lanes of a group of neighbouring positions. Words of the image hold
``positions * timesteps`` neighbouring 3x3 patches instead. The array takes a word per cycle, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from golden.accounting.observer import RunningTotals
from golden.walk import LayerActivity
from hw.config import HardwareConfig
from sw.compiler.heads import is_per_head, padded_head, reads_heads
from sw.compiler.weight_pack import output_tiles
from sw.layer import Layer
from sw.network import NetworkConfig


@dataclass(frozen=True, kw_only=True)
class PlaneWords:
    """One bit-plane of one tensor; counts are per image.

    Attributes
    ----------
    plane : int
        0 is the lowest; the image's plane 7 is its sign.
    rate : float
        Share of its bits that are 1, as they lie in memory: the image as patches, heads filled up to whole words.
    empty : float
        Share of the images in which the whole plane is zero.
    words : int
        Words it takes in memory.
    zero_words : float
        How many of them hold no 1, mean over the images.
    reads : int
        Words the array takes for one tile of output channels: every word once for each kernel tap, moved by the tap
        and zero outside the feature map. The image's patches have their taps inside.
    zero_reads : float
        How many of them hold no 1, mean over the images.
    """

    plane: int
    rate: float
    empty: float
    words: int
    zero_words: float
    reads: int
    zero_reads: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dict(self.__dict__)


@dataclass(frozen=True, kw_only=True)
class TensorWords:
    """One tensor on the chip: the image, a layer's spikes, or the residual stream after a layer joined it.

    Attributes
    ----------
    name : str
        ``image``, or the layer that wrote it last.
    residual : bool
        Whether it is the residual stream.
    readers : tuple of str
        Layers with weights that read it.
    output_tiles : int
        How often it is read: tiles of output channels of all readers together. 8-bit weights double that, everywhere.
    planes : tuple of PlaneWords
        The lowest first.
    """

    name: str
    residual: bool
    readers: tuple[str, ...]
    output_tiles: int
    planes: tuple[PlaneWords, ...]

    @property
    def title(self) -> str:
        """Name in tables and plots; the residual stream is told by the layer that joined it last."""
        return f"after {self.name}" if self.residual else self.name

    @property
    def reads(self) -> int:
        """Words the array takes, for all planes and tiles."""
        return self.output_tiles * sum(plane.reads for plane in self.planes)

    @property
    def zero_reads(self) -> float:
        """How many of them hold no 1, mean over the images."""
        return self.output_tiles * sum(plane.zero_reads for plane in self.planes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        planes = [plane.to_dict() for plane in self.planes]
        return {**self.__dict__, "planes": planes, "reads": self.reads, "zero_reads": self.zero_reads}


def tensor_readers(network: NetworkConfig) -> dict[str, tuple[Layer, ...]]:
    """Layers with weights by the tensor they read, in order; the residual stream has the name of its last writer."""
    readers: dict[str, list[Layer]] = {}
    joined = ""
    for layer in network.layers():
        if layer.has_weights:
            readers.setdefault(joined if layer.source == "residual" else layer.source, []).append(layer)
        if layer.residual:
            joined = layer.name
    return {name: tuple(layers) for name, layers in readers.items()}


@dataclass
class _PlaneTally:
    bits: int = 0
    ones: int = 0
    empty: int = 0
    words: int = 0
    zero_words: int = 0
    reads: int = 0
    zero_reads: int = 0


class WordCounter(RunningTotals[TensorWords]):
    """Count zero planes and words, of every tensor that layers with weights read; see `RunningTotals`.

    Networks of more time steps than the configuration has lanes are counted in runs of as many steps as there are.

    Parameters
    ----------
    network : NetworkConfig
    config : HardwareConfig
        Gives the shape of a word and the output tiles.
    """

    def __init__(self, network: NetworkConfig, config: HardwareConfig):
        super().__init__(network)
        self.config = config
        self._readers = tensor_readers(network)
        self._first = {readers[0].name: name for name, readers in self._readers.items()}
        self._tallies = {
            name: [_PlaneTally() for _ in range(readers[0].input_planes)] for name, readers in self._readers.items()
        }

    def _add(self, activity: LayerActivity) -> None:
        layer = activity.layer
        if layer.name not in self._first:  # an earlier layer read the same
            return
        planes = self._planes(layer, activity.inputs[0])
        for tally, bits in zip(self._tallies[self._first[layer.name]], planes, strict=True):
            self._add_plane(tally, layer, bits)

    def _planes(self, layer: Layer, values: Tensor) -> Iterator[Tensor]:
        """Bit-planes [T, B, H, W, channels on the chip], bool, the lowest first."""
        if layer.reads_input:
            values = patches((values.to(torch.int16) & 0xFF).to(torch.uint8))
        values = values.to(torch.uint8)
        if reads_heads(layer):
            heads = values.reshape(*values.shape[:4], self.network.heads, self.network.head_dim)
            fill = padded_head(self.config, self.network) - self.network.head_dim
            values = pad(heads, (0, fill)).flatten(-2)
        for plane in range(layer.input_planes):
            yield values >> plane & 1 != 0

    def _add_plane(self, tally: _PlaneTally, layer: Layer, bits: Tensor) -> None:
        image = layer.source == "image"
        group = self.config.lanes if image else self.config.positions
        occupied = occupancy(bits, self.config)
        words = group_positions(occupied, group)
        taps = (
            [words]
            if layer.reads_input or layer.taps == 1
            else [group_positions(tap, group) for tap in shifts(occupied)]
        )
        tally.bits += bits.numel()
        tally.ones += int(bits.count_nonzero())
        tally.empty += int((~occupied.flatten(2).any(2).any(0)).sum())
        tally.words, tally.reads = words[:, 0].numel(), len(taps) * words[:, 0].numel()
        tally.zero_words += words.numel() - int(words.count_nonzero())
        tally.zero_reads += sum(tap.numel() - int(tap.count_nonzero()) for tap in taps)

    def _entries(self) -> Iterator[TensorWords]:
        for name, readers in self._readers.items():
            yield TensorWords(
                name=name,
                residual=readers[0].source == "residual",
                readers=tuple(layer.name for layer in readers),
                output_tiles=sum(self._output_tiles(layer) for layer in readers),
                planes=tuple(self._plane(number, tally) for number, tally in enumerate(self._tallies[name])),
            )

    def _output_tiles(self, layer: Layer) -> int:
        return output_tiles(self.config, self.network, layer).count * (self.network.heads if is_per_head(layer) else 1)

    def _plane(self, number: int, tally: _PlaneTally) -> PlaneWords:
        return PlaneWords(
            plane=number,
            rate=tally.ones / tally.bits,
            empty=tally.empty / self.images,
            words=tally.words,
            zero_words=tally.zero_words / self.images,
            reads=tally.reads,
            zero_reads=tally.zero_reads / self.images,
        )


def patches(image: Tensor) -> Tensor:
    """3x3 neighbourhoods of [T, B, H, W, C], zero outside: [T, B, H, W, 9 * C], tap by tap, channels fastest."""
    return torch.cat(list(shifts(image)), dim=-1)


def shifts(values: Tensor) -> Iterator[Tensor]:
    """What each of nine taps reads at every position of [., ., H, W, .]: neighbours, zero outside; row by row."""
    height, width = values.shape[2:4]
    padded = values.new_zeros(*values.shape[:2], height + 2, width + 2, values.shape[4])
    padded[:, :, 1:-1, 1:-1] = values
    for row in range(3):
        for column in range(3):
            yield padded[:, :, row : row + height, column : column + width]


def occupancy(bits: Tensor, config: HardwareConfig) -> Tensor:
    """Whether a position has a 1 in a slice of `inputs` channels at any of the time-step lanes.

    Parameters
    ----------
    bits : bool Tensor [T, B, H, W, C]
    config : HardwareConfig

    Returns
    -------
    bool Tensor [ceil(T / timesteps), B, H, W, ceil(C / inputs)]
    """
    steps, channels = -bits.shape[0] % config.timesteps, -bits.shape[4] % config.inputs
    padded = pad(bits, (0, channels, 0, 0, 0, 0, 0, 0, 0, steps))
    lanes = padded.reshape(-1, config.timesteps, *padded.shape[1:]).any(dim=1)
    return lanes.reshape(*lanes.shape[:4], -1, config.inputs).any(dim=-1)


def group_positions(occupied: Tensor, group: int) -> Tensor:
    """Whether words of `group` consecutive positions hold a 1: [., ., H, W, slices] to [., ., groups, slices]."""
    flat = occupied.flatten(2, 3)
    padded = pad(flat, (0, 0, 0, -flat.shape[2] % group))
    return padded.reshape(*padded.shape[:2], -1, group, padded.shape[3]).any(dim=3)
