"""Where everything lies on the chip, and which part of a layer a descriptor computes; no descriptor yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from hw.config import HardwareConfig
from sw.compiler.allocate import Lifetime, first_fit
from sw.compiler.geometry import Geometry, PositionTiles
from sw.compiler.heads import input_channels
from sw.compiler.image_pack import plane_words
from sw.compiler.strips import StemPlan, Strip, stem_plans, strip_words, written_rows
from sw.layer import Layer
from sw.network import NetworkConfig


@dataclass(frozen=True)
class Source:
    """Input of a descriptor: words ``[plane][slice][word]`` of the spike or the residual memory.

    Attributes
    ----------
    base : int
        First word of plane 0, of the first row computed.
    slices, slice_stride : int
        Slices of a plane, and words from each to the next.
    planes, plane_stride : int
        Bit-planes, and words from each to the next.
    """

    base: int
    slices: int
    slice_stride: int
    planes: int
    plane_stride: int


@dataclass(frozen=True)
class Part:
    """What one descriptor of a layer with weights computes.

    Attributes
    ----------
    rows : range
        Of the layer, before a pool.
    source : Source
    tiles : PositionTiles
    destination : int
        First word written in the spike memory; 0 if it writes none.
    """

    rows: range
    source: Source
    tiles: PositionTiles
    destination: int


@dataclass(frozen=True)
class Placement:
    """Where a network's tensors lie on a machine.

    Attributes
    ----------
    geometry : Geometry
        Their words.
    stem : StemPlan
        How the first convolutions are cut into strips.
    addresses : mapping of str to int
        First word of what lies in the spike memory: the ``image``, and the output of layers by their name.
    spike_words : int
        Words used of the spike memory.
    """

    geometry: Geometry
    stem: StemPlan
    addresses: Mapping[str, int]
    spike_words: int

    @cached_property
    def layers(self) -> Mapping[str, Layer]:
        """The network's layers by name, in their order."""
        return {layer.name: layer for layer in self.geometry.network.layers()}

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Number of each layer, which counters are filed under; the load of the image is 0."""
        return {name: number for number, name in enumerate(self.layers, start=1)}

    @cached_property
    def seed(self) -> Layer:
        """The layer whose (pooled) spikes start the residual stream."""
        return self.layers[seed_name(self.geometry.network)]

    @cached_property
    def residual_largest(self) -> Mapping[str, int]:
        """Largest integer of the residual stream before each layer that joins it."""
        largest, before = 1, {}  # the spikes that start the stream
        for layer in self.layers.values():
            if layer.residual:
                before[layer.name] = largest
                largest = self.geometry.network.residual_after(largest)
        return before

    @property
    def residual_plane(self) -> int:
        """Words of a bit-plane of the residual stream; the layer that starts it may write silent channels behind."""
        geometry = self.geometry
        return geometry.written_slices(self.seed) * geometry.words(geometry.network.tokens)

    @property
    def residual_words(self) -> int:
        """Words used of the residual memory."""
        planes = max(layer.input_planes for layer in self.layers.values() if layer.source == "residual")
        return planes * self.residual_plane

    @property
    def image_words(self) -> int:
        """Words of all strips of the image, one after the other."""
        return sum(map(self.strip_words, self.stem.image_strips))

    def strip_words(self, rows: range) -> int:
        """Words of a strip of the image."""
        geometry = self.geometry
        return strip_words(geometry.config, self.stem.together[0], len(rows), geometry.time_chunks)

    def strip_address(self, number: int) -> int:
        """First word of a strip of the image."""
        return self.addresses["image"] + number % self.stem.buffers * self.stem.strip_words

    def slice_stride(self, layer: Layer) -> int:
        """Words from a slice that the layer writes to the next."""
        return self.geometry.written_words(layer, self.stem.kept_rows(layer))

    def whole(self, layer: Layer) -> Part:
        """All of a layer's rows; of q, k and v those of the first head."""
        geometry = self.geometry
        groups = geometry.groups(layer.positions)
        return Part(
            rows=range(layer.height),
            source=self._source(layer),
            tiles=geometry.position_tiles(groups, geometry.time_chunks),
            destination=self.addresses.get(layer.name, 0),
        )

    def strip(self, strip: Strip, image_strip: int) -> Part:
        """Rows of a layer that is computed in strips; `image_strip` is the strip of the image that lies on the chip."""
        geometry, layer, rows = self.geometry, strip.layer, strip.rows
        groups = geometry.groups(len(rows) * layer.width)
        tiles = geometry.position_tiles(groups, geometry.time_chunks)
        first_row = written_rows(layer, rows).start - strip.window.start
        destination = self.addresses[layer.name] + first_row * geometry.words(layer.output_grid[1])
        if not layer.reads_input:
            return Part(rows, self._source(layer, rows.start - strip.source.start), tiles, destination)
        source = self._image_source(layer, rows, image_strip)
        if layer.source == "image":
            tiles = geometry.position_tiles(source.slice_stride, 1)
        return Part(rows, source, tiles, destination)

    def _source(self, layer: Layer, first_row: int = 0) -> Source:
        """Input from the row on, of the spikes of another layer or of the residual stream."""
        geometry = self.geometry
        slices = geometry.slices(input_channels(geometry.config, geometry.network, layer))
        if layer.source == "residual":
            stride = geometry.words(layer.positions)
            return Source(0, slices, stride, layer.input_planes, self.residual_plane)
        base = self.addresses[layer.source] + first_row * geometry.words(layer.width)
        return Source(base, slices, self.slice_stride(self.layers[layer.source]), 1, 0)

    def _image_source(self, layer: Layer, rows: range, number: int) -> Source:
        """A strip of the image, which was loaded for these rows alone."""
        geometry = self.geometry
        slices = geometry.slices(input_channels(geometry.config, geometry.network, layer))
        stride = plane_words(geometry.config, layer, len(rows) * layer.width, geometry.time_chunks)
        return Source(self.strip_address(number), slices, stride, layer.input_planes, slices * stride)


def seed_name(network: NetworkConfig) -> str:
    """Name of the layer whose (pooled) spikes start the residual stream: what the first layer to join it reads."""
    return next(layer.source for layer in network.layers() if layer.residual)


def place(network: NetworkConfig, config: HardwareConfig) -> Placement:
    """Place a network's tensors.

    The first convolutions are computed so that least is repeated of what fits, else so that it takes least memory.

    Returns
    -------
    Placement
        May take more words than the configuration has.
    """
    geometry, layers = Geometry(config, network), network.layers()
    names = [layer.name for layer in layers]
    stem = layers[: names.index(seed_name(network)) + 1]
    placements = [
        Placement(geometry, plan, *first_fit(spike_lifetimes(geometry, plan)))
        for plan in stem_plans(config, stem, geometry.time_chunks, geometry.output_words)
    ]
    fitting = [placement for placement in placements if placement.spike_words <= config.spike_words]
    if not fitting:
        return min(placements, key=lambda placement: placement.spike_words)
    return min(fitting, key=lambda placement: placement.stem.repeated_operations)


def spike_lifetimes(geometry: Geometry, plan: StemPlan) -> list[Lifetime]:
    """What lies in spike memory: from the layer that writes a tensor to the last one that reads it.

    Convolutions that are computed together need all of their memory until they are through. The heads of a block
    alternate between q, k, v and attention, so Q and the output of attention live from the block's first layer to
    its projection.
    """
    layers, together = geometry.network.layers(), len(plan.together)
    lives = [Lifetime("image", plan.buffers * plan.strip_words, 0, together)]
    numbers = {layer.name: number for number, layer in enumerate(layers, start=1)}
    readers = {layer.source: numbers[layer.name] for layer in layers}
    for number, layer in enumerate(layers, start=1):
        # K and V are in the attention engine, what is added to the residual stream is in its memory.
        if layer.name not in readers:
            continue
        begin, last = number, readers[layer.name]
        if number <= together:
            begin, last = 1, max(last, together)
        if layer.kind == "attention":
            begin = numbers[layer.source]
        elif layers[last - 1].kind == "attention":
            last += 1
        lives.append(Lifetime(layer.name, geometry.output_words(layer, plan.kept_rows(layer)), begin, last))
    return lives
