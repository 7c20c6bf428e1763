"""How a network's tensors are cut into the words of a machine: slices, position groups, time chunks, tiles."""

from __future__ import annotations

from dataclasses import dataclass

from hw.config import HardwareConfig
from hw.integers import ceil_div
from sw.compiler.heads import is_per_head
from sw.compiler.image_pack import image_groups
from sw.compiler.weight_pack import output_tiles
from sw.layer import Layer
from sw.network import NetworkConfig


@dataclass(frozen=True)
class PositionTiles:
    """Position tiles of nearly equal size.

    Attributes
    ----------
    count : int
    groups, last_groups : int
        Position groups of every tile but the last, and of the last.
    group_words : int
        Words of a position group, side by side.
    """

    count: int
    groups: int
    last_groups: int
    group_words: int

    @property
    def words(self) -> int:
        """Words per slice of every tile but the last."""
        return self.groups * self.group_words

    @property
    def last_words(self) -> int:
        """Words per slice of the last tile."""
        return self.last_groups * self.group_words

    @property
    def fields(self) -> dict[str, int]:
        """What a descriptor says of them."""
        return {
            "tiles": self.count, "tile_groups": self.words, "last_tile_groups": self.last_words,
            "chunk_groups": self.groups, "last_chunk_groups": self.last_groups,
        }  # fmt: skip


@dataclass(frozen=True)
class Geometry:
    """Words of a network's tensors on a machine.

    Attributes
    ----------
    config : HardwareConfig
    network : NetworkConfig
    """

    config: HardwareConfig
    network: NetworkConfig

    @property
    def time_chunks(self) -> int:
        """Words of a position group, side by side: one for so many time steps as there are lanes for."""
        return ceil_div(self.network.timesteps, self.config.timesteps)

    @property
    def last_timesteps(self) -> int:
        """Time steps of the last time chunk."""
        return self.network.timesteps - (self.time_chunks - 1) * self.config.timesteps

    def slices(self, channels: int) -> int:
        """Words of so many channels of one position."""
        return ceil_div(channels, self.config.inputs)

    def groups(self, positions: int) -> int:
        """Position groups of so many positions."""
        return ceil_div(positions, self.config.positions)

    def words(self, positions: int) -> int:
        """Words per slice of so many positions."""
        return self.groups(positions) * self.time_chunks

    def counted_positions(self, positions: int) -> int:
        """Positions as the neurons count them: up to the whole groups word by word."""
        whole, rest = divmod(positions, self.config.positions)
        return whole * self.config.positions * self.time_chunks + rest

    def position_tiles(self, groups: int, group_words: int) -> PositionTiles:
        """Cut position groups into tiles: no short one that would wait for its weights."""
        most = self.config.tile_groups // group_words
        size = ceil_div(groups, ceil_div(groups, most))
        count = ceil_div(groups, size)
        return PositionTiles(count, size, groups - (count - 1) * size, group_words)

    def written_slices(self, layer: Layer) -> int:
        """Slices that the layer writes, silent channels included."""
        pieces = output_tiles(self.config, self.network, layer).total_pieces
        descriptors = self.network.heads if is_per_head(layer) else 1
        return ceil_div(descriptors * pieces, self.config.word_pieces)

    def written_words(self, layer: Layer, rows: int) -> int:
        """Words per slice of so many rows of the layer's output.

        The image layer computes whole words of the image, each of them several position groups, and writes the last
        ones even if they lie behind the image.
        """
        if layer.source == "image" and not layer.pool:
            return image_groups(self.config, rows * layer.width) * self.config.timesteps * self.time_chunks
        return self.words(rows * layer.output_grid[1])

    def output_words(self, layer: Layer, rows: int) -> int:
        """Words of all slices of so many rows of the layer's output."""
        return self.written_slices(layer) * self.written_words(layer, rows)
