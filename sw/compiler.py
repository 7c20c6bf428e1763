"""Compiles an artifact for a configuration: descriptors, weights and where every tensor lies on the chip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.head import LOGIT_BITS
from hw.isa import (
    DESCRIPTOR_BEATS,
    DESCRIPTOR_BITS,
    MAX_RESIDUAL_PLANES,
    Destination,
    Opcode,
    ResidualMode,
    encode,
)
from hw.memory_port import BURST_LENGTH_BITS
from hw.writeback import MAX_POOL_SIDE
from sw.allocate import Lifetime, first_fit
from sw.artifact import Artifact
from sw.errors import UserError
from sw.network import Layer
from sw.weight_pack import output_tiles, pack_weights, weight_matrix

REMEDY = "use a larger configuration or a smaller network"


@dataclass(frozen=True)
class Step:
    """One descriptor.

    Attributes
    ----------
    name : str
        The layer's name; ``load`` for the image, ``end`` for the last one.
    layer : Layer, optional
        The layer, unless `name` is one of those two.
    fields : dict
        The descriptor's fields.
    """

    name: str
    layer: Layer | None
    fields: dict[str, int]


@dataclass(frozen=True)
class Program:
    """What the external memory holds, and what it means.

    Attributes
    ----------
    config : HardwareConfig
        Configuration it was compiled for.
    steps : tuple of Step
        The descriptors in order.
    memory : uint64 array
        Beats: descriptors, then weights; program address 0.
    image_beats : int
        Beats of one packed image.
    spike_words, residual_words : int
        Words used in the on-chip memories.
    """

    config: HardwareConfig
    steps: tuple[Step, ...]
    memory: NDArray[np.uint64]
    image_beats: int
    spike_words: int
    residual_words: int


def compile_artifact(artifact: Artifact, config: HardwareConfig) -> Program:
    """Compile a network for an accelerator.

    Parameters
    ----------
    artifact : Artifact
        The network.
    config : HardwareConfig
        The accelerator.

    Returns
    -------
    Program

    Raises
    ------
    UserError
        If the network does not fit; names the layer, what it needs and the limit.
    """
    return _Compiler(artifact, config).compile()


def _require(need: int, limit: int, layer: str, what: str) -> None:
    if need > limit:
        raise UserError(f"{layer} needs {need} {what}, the configuration has {limit}: {REMEDY}")


class _Compiler:
    def __init__(self, artifact: Artifact, config: HardwareConfig):
        self.artifact, self.config, self.network = artifact, config, artifact.network
        self.layers = artifact.network.layers()
        # The layer whose (pooled) spikes start the residual stream: the one that the first layer to join it reads.
        self.seed = next(layer.source for layer in self.layers if layer.residual)

    def compile(self) -> Program:
        self._check()
        places, spike_words = self._place_spikes()
        residual_plane = self._words(self.network.embed_dim) * self._groups(self.network.tokens)
        residual_words = max(layer.input_planes for layer in self.layers if layer.source == "residual") * residual_plane
        _require(spike_words, self.config.spike_words, "the network", "words of spike memory")
        _require(residual_words, self.config.residual_words, "the network", "words of residual memory")

        steps = [self._load(places)]
        residual_max = 1  # the spikes that start the stream
        blocks: list[NDArray[np.uint64]] = []
        address = (len(self.layers) + 2) * DESCRIPTOR_BEATS
        for layer in self.layers:
            if layer.kind == "attention":
                fields = self._attention(layer, places)
            else:
                fields = self._weights(layer, places, residual_plane, residual_max)
                fields["memory_address"] = address
                blocks.append(pack_weights(self.artifact, self.config, layer))
                address += len(blocks[-1])
            if layer.residual:
                residual_max = self.network.residual_after(residual_max)
            steps.append(Step(layer.name, layer, fields))
        steps.append(Step("end", None, {"opcode": Opcode.END.value}))
        descriptors = np.concatenate([self._encode(step) for step in steps])
        return Program(
            config=self.config,
            steps=tuple(steps),
            memory=np.concatenate([descriptors, *blocks]),
            image_beats=steps[0].fields["weight_beats"],
            spike_words=spike_words,
            residual_words=residual_words,
        )

    def _check(self) -> None:
        """Refuse what no placement could mend."""
        artifact, config, network = self.artifact, self.config, self.network
        _require(artifact.weight_bits, config.weight_bits, "the network", "bits per weight")
        _require(network.timesteps, config.timesteps, "the network", "time steps")
        _require(network.classes, config.max_classes, "head", "classes")
        _require(len(self.layers) + 1, config.max_layers, "the network", "layers")
        if artifact.bias_fraction_bits != config.bias_fraction_bits:
            raise UserError(
                f"the artifact's biases have {artifact.bias_fraction_bits} fractional bits, configuration "
                f"{config.name} has {config.bias_fraction_bits}: export again or change bias_fraction_bits"
            )
        ranges = artifact.ranges()
        _require(ranges["head"].result_bits, LOGIT_BITS, "head", "bits of a logit")
        for layer in self.layers:
            if layer.has_weights:
                bits = ranges[layer.name].accumulator_bits
                if layer.source == "image":
                    # A lane sees its own planes alone, whatever the pixels' range.
                    largest = int(np.abs(weight_matrix(artifact, layer).astype(np.int64)).sum(axis=(1, 2)).max())
                    bits = max(bits, (largest << config.image_passes).bit_length() + 1)
                _require(bits, config.accumulator_bits, layer.name, "accumulator bits")
                limit = config.accumulator_bits + config.bias_fraction_bits
                if layer.kind != "head":
                    bias = int(np.abs(artifact.tensors[layer.name].bias.astype(np.int64)).max())
                    _require(bias.bit_length() + 1, limit, layer.name, "bits of bias")
            if layer.source == "residual":
                _require(layer.input_planes, MAX_RESIDUAL_PLANES, layer.name, "residual bit-planes")
            _require(layer.width if layer.pool else 0, MAX_POOL_SIDE, layer.name, "columns to pool")
            if layer.width < config.positions or (layer.pool and layer.width % config.positions):
                raise UserError(
                    f"{layer.name} is {layer.width} columns wide, the configuration's {config.positions} positions "
                    "must not exceed that and must divide it before a pool: use fewer positions"
                )
        self._check_attention()

    def _check_attention(self) -> None:
        config, network = self.config, self.network
        if network.head_dim % config.inputs:
            raise UserError(
                f"attention heads have {network.head_dim} channels, not a multiple of the configuration's "
                f"{config.inputs} inputs: use fewer heads or a configuration with fewer inputs"
            )
        _require(network.head_dim, config.head_channels, "attention", "channels per head")
        _require(network.embed_dim, config.token_channels, "attention", "channels of K and V")
        _require(network.tokens.bit_length(), config.attention_planes, "attention", "bits per entry of K^T V")
        _require(self._tiles(network.tokens)["tiles"], config.token_chunks, "attention", "position tiles of K and V")

    def _words(self, channels: int) -> int:
        return -(-channels // self.config.inputs)

    def _groups(self, positions: int) -> int:
        return -(-positions // self.config.positions)

    def _tiles(self, positions: int) -> dict[str, int]:
        """Position tiles of nearly equal size: no short one that waits for its weights."""
        groups = self._groups(positions)
        size = -(-groups // -(-groups // self.config.tile_groups))
        tiles = -(-groups // size)
        return {
            "positions": positions,
            "groups": groups,
            "tiles": tiles,
            "tile_groups": size,
            "last_tile_groups": groups - (tiles - 1) * size,
        }

    def _image_words(self) -> tuple[int, int]:
        """Slices of the image's patches, and words of one plane pass."""
        slices = self._words(9 * self.network.image_channels)
        return slices, slices * self._groups(self.network.image_size**2)

    def _output_words(self, layer: Layer) -> tuple[int, int]:
        """Words written per position, and positions after the pool."""
        tiles = output_tiles(self.config, layer)
        words = (tiles.count - 1) * tiles.words + tiles.last_words
        height, width = layer.output_grid
        return words, height * width

    def _place_spikes(self) -> tuple[dict[str, int], int]:
        """Spike memory: from the step that writes a tensor to the last one that reads it."""
        readers: dict[str, int] = {}
        for index, layer in enumerate(self.layers, start=1):
            readers[layer.source] = index
        lives = [Lifetime("image", self.config.image_passes * self._image_words()[1], 0, readers["image"])]
        for index, layer in enumerate(self.layers, start=1):
            if layer.name in readers:  # q and v of attention are in the attention engine, residual layers elsewhere
                words, positions = self._output_words(layer)
                lives.append(Lifetime(layer.name, words * self._groups(positions), index, readers[layer.name]))
        return first_fit(lives)

    def _load(self, places: dict[str, int]) -> Step:
        beats = self.config.image_passes * self._image_words()[1] * self.config.group_beats
        _require(beats, 1 << BURST_LENGTH_BITS, "the image", "beats in a burst")
        return Step("load", None, {
            "opcode": Opcode.LOAD.value,
            "destination_base": places["image"],
            "weight_beats": beats,
        })  # fmt: skip

    def _weights(self, layer: Layer, places: dict[str, int], residual_plane: int, residual_max: int) -> dict[str, int]:
        config = self.config
        tiles = output_tiles(config, layer)
        slices, taps = self._words(layer.in_channels), layer.taps
        passes, base, plane_stride = layer.input_planes, places.get(layer.source, 0), 0
        if layer.source == "image":
            slices, plane_stride = self._image_words()
            taps, passes = 1, config.image_passes
        elif layer.source == "residual":
            plane_stride = residual_plane
        _, written = self._output_words(layer)
        fields = {
            "opcode": Opcode.WEIGHTS.value,
            "destination": self._destination(layer).value,
            "source_residual": int(layer.source == "residual"),
            "image": int(layer.source == "image"),
            "kernel3": int(taps == 9),
            "pool": int(layer.pool),
            "passes": passes,
            "timesteps": self.network.timesteps,
            "slices": slices,
            "height": layer.height,
            "width": layer.width,
            "output_tiles": tiles.count,
            "tile_words": tiles.words,
            "last_tile_words": tiles.last_words,
            "source_base": base + (passes - 1) * plane_stride,
            "source_slice_stride": self._groups(layer.positions),
            "source_plane_stride": plane_stride,
            "destination_base": places.get(layer.name, 0),
            "destination_slice_stride": self._groups(written),
            "weight_beats": taps * slices * config.weight_slice_beats,
            **self._tiles(layer.positions),
        }
        if layer.residual:
            fields["residual_plane_stride"] = residual_plane
            fields["residual_planes_in"] = residual_max.bit_length()
            fields["residual_planes_out"] = self.network.residual_after(residual_max).bit_length()
            fields["residual_mode"] = ResidualMode[self.network.residual_mode.upper()].value
        _require(
            fields["weight_beats"] + config.outputs, 1 << BURST_LENGTH_BITS, layer.name, "beats of weights in a burst"
        )
        return fields

    def _destination(self, layer: Layer) -> Destination:
        if layer.kind == "head":
            return Destination.LOGITS
        if layer.residual:
            return Destination.RESIDUAL
        if layer.name == self.seed:
            return Destination.SPIKES_AND_RESIDUAL
        part = layer.name.rpartition(".")[2]
        return {"k": Destination.KEYS, "v": Destination.VALUES}.get(part, Destination.SPIKES)

    def _attention(self, layer: Layer, places: dict[str, int]) -> dict[str, int]:
        network, groups = self.network, self._groups(layer.positions)
        return {
            "opcode": Opcode.ATTENTION.value,
            "timesteps": network.timesteps,
            "heads": network.heads,
            "head_channels": network.head_dim,
            "attention_planes": network.tokens.bit_length(),
            "attention_threshold": network.attention_threshold << (self.config.timesteps - network.timesteps),
            "source_base": places[layer.source],
            "source_slice_stride": groups,
            "destination_base": places[layer.name],
            "destination_slice_stride": groups,
            **self._tiles(layer.positions),
        }

    def _encode(self, step: Step) -> NDArray[np.uint64]:
        try:
            bits = encode(**step.fields)
        except ValueError as error:
            raise UserError(f"{step.name} does not fit the descriptor: {error}; {REMEDY}") from error
        return np.frombuffer(bits.to_bytes(DESCRIPTOR_BITS // 8, "little"), "<u8")
