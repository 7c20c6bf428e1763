"""Compiles an artifact for a configuration: descriptors, weights and where every tensor lies on the chip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hw.attention.geometry import AttentionGeometry
from hw.config import WEIGHT_BITS, HardwareConfig
from hw.descriptor import DESCRIPTOR_BITS, Destination, Opcode, ResidualMode, Wait, encode
from hw.field_limits import MAX_DESCRIPTORS, MAX_PROGRAM_BYTES, check_fields
from hw.integers import ceil_div
from hw.neurons.membranes import carry_cycles
from hw.neurons.read_plan import CHANNEL_ORDER
from hw.program.ring import region_limit
from sw.artifact.artifact import Artifact
from sw.compiler.allocate import Lifetime, first_fit
from sw.compiler.fit import REMEDY, check_fit, require
from sw.compiler.heads import input_channels, is_per_head, padded_head, reads_heads
from sw.compiler.image_pack import TAPS, WORD_BITS, image_groups, plane_words
from sw.compiler.program import Program, Step
from sw.compiler.strips import StemPlan, stem_plans, strip_words, written_rows
from sw.compiler.weight_pack import OutputTiles, output_tiles, pack_weights, stored_thresholds
from sw.errors import UserError
from sw.layer import Layer


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


class _Compiler:
    def __init__(self, artifact: Artifact, config: HardwareConfig):
        self.artifact, self.config, self.network = artifact, config, artifact.network
        self.layers = artifact.network.layers()
        # Words of a position group, side by side, one for each time chunk.
        self.time_chunks = ceil_div(self.network.timesteps, config.timesteps)
        # The layer whose (pooled) spikes start the residual stream: the one that the first layer to join it reads.
        self.seed = next(layer.source for layer in self.layers if layer.residual)
        self.numbers = {layer.name: number for number, layer in enumerate(self.layers, start=1)}
        self.steps: list[Step] = []
        self.blocks: list[NDArray[np.uint64]] = []
        self.words = 0

    def compile(self) -> Program:
        check_fit(self.artifact, self.config)
        self.plan, self.places, spike_words = self._place_spikes()
        # The layer that starts the stream may write silent channels behind the last.
        self.residual_plane = self._written_slices(self._layer(self.seed)) * self._words(self.network.tokens)
        planes = max(layer.input_planes for layer in self.layers if layer.source == "residual")
        require(spike_words, self.config.spike_words, "the network", "words of spike memory")
        require(planes * self.residual_plane, self.config.residual_words, "the network", "words of residual memory")

        self.residual_max = 1  # the spikes that start the stream
        self._stem()
        for layer in self.layers[len(self.plan.together) :]:
            if layer.kind == "attention":
                self._attention_block(layer)
            elif not is_per_head(layer):
                self._add(layer.name, layer, range(layer.out_channels), self._weights(layer))
                if layer.residual:
                    self.residual_max = self.network.residual_after(self.residual_max)
        end = {"opcode": Opcode.END.value, "layer": self.numbers["head"]}
        self._add("end", None, range(0), end)
        require(len(self.steps), MAX_DESCRIPTORS, "the network", "descriptors")
        require(self.words * WORD_BITS // 8, MAX_PROGRAM_BYTES, "the network", "bytes of program")
        return Program(
            config=self.config,
            steps=tuple(self.steps),
            names=("load", *self.numbers),
            memory=np.concatenate(self.blocks),
            image_strips=self.plan.image_strips,
            image_words=self.image_beats * self.config.memory_bits // WORD_BITS,
            spike_words=spike_words,
            residual_words=planes * self.residual_plane,
        )

    def _add(
        self,
        name: str,
        layer: Layer | None,
        channels: range,
        fields: dict[str, int],
        *,
        places: range | None = None,
        rows: range | None = None,
    ) -> None:
        """Append a descriptor, and what follows it, to the program; without `places` channels lie where they are."""
        try:
            check_fields(self.config, fields)
        except ValueError as error:
            raise UserError(f"{name} does not fit configuration {self.config.name}: {error}; {REMEDY}") from error
        bits = encode(**fields)
        rows = rows or range(layer.height if layer is not None else 0)
        self.steps.append(Step(name, layer, channels, places or channels, rows, fields, self.words))
        blocks = [np.frombuffer(bits.to_bytes(DESCRIPTOR_BITS // 8, "little"), "<u8")]
        if layer is not None and layer.has_weights:
            blocks.append(pack_weights(self.artifact, self.config, layer, channels))
        self.blocks += blocks
        self.words += sum(len(block) for block in blocks)

    def _slices(self, channels: int) -> int:
        return ceil_div(channels, self.config.inputs)

    def _groups(self, positions: int) -> int:
        return ceil_div(positions, self.config.positions)

    def _words(self, positions: int) -> int:
        return self._groups(positions) * self.time_chunks

    def _written_slices(self, layer: Layer) -> int:
        """Words per position group that the layer writes, silent channels included."""
        pieces = output_tiles(self.config, self.network, layer).total_pieces
        descriptors = self.network.heads if is_per_head(layer) else 1
        return -(-descriptors * pieces // self.config.word_pieces)

    def _stride(self, layer: Layer) -> int:
        """Words of one slice that the layer writes."""
        return self._slice_words(layer, self.plan.window_rows.get(layer.name, layer.output_grid[0]))

    def _slice_words(self, layer: Layer, rows: int) -> int:
        """Words of one slice of so many rows of the layer's output.

        The image layer computes whole words of the image, each of them several position groups, and writes the last
        ones even if they lie behind the image.
        """
        if layer.source == "image" and not layer.pool:
            return image_groups(self.config, rows * layer.width) * self.config.timesteps * self.time_chunks
        return self._words(rows * layer.output_grid[1])

    def _tiles(self, groups: int, words: int) -> dict[str, int]:
        """Position tiles of nearly equal size, of whole groups of words: no short one that waits for its weights."""
        most = self.config.tile_groups // words
        size = ceil_div(groups, ceil_div(groups, most))
        tiles = ceil_div(groups, size)
        last = groups - (tiles - 1) * size
        return {
            "tiles": tiles, "tile_groups": size * words, "last_tile_groups": last * words,
            "chunk_groups": size, "last_chunk_groups": last,
        }  # fmt: skip

    def _place_spikes(self) -> tuple[StemPlan, dict[str, int], int]:
        """Choose how the first convolutions are computed: repeating least of what fits, else in least memory."""
        stem, limit = self.layers[: self.numbers[self.seed]], self.config.spike_words
        plans = stem_plans(self.config, stem, self.time_chunks, self._output_words)
        placed = [(plan, *first_fit(self._lifetimes(plan))) for plan in plans]
        fitting = [(plan, places, words) for plan, places, words in placed if words <= limit]
        if not fitting:
            return min(placed, key=lambda one: one[2])
        return min(fitting, key=lambda one: one[0].repeated_operations)

    def _output_words(self, layer: Layer, rows: int) -> int:
        """Words of spike memory of so many rows of the layer's output."""
        return self._written_slices(layer) * self._slice_words(layer, rows)

    def _lifetimes(self, plan: StemPlan) -> list[Lifetime]:
        """What lies in spike memory: from the layer that writes a tensor to the last one that reads it.

        Convolutions that are computed together need all of their memory until they are through. The heads of a block
        alternate between q, k, v and attention, so Q and the output of attention live from the block's first layer to
        its projection.
        """
        together = len(plan.together)
        lives = [Lifetime("image", plan.buffers * plan.strip_words, 0, together)]
        readers = {layer.source: number for number, layer in enumerate(self.layers, start=1)}
        for number, layer in enumerate(self.layers, start=1):
            # K and V are in the attention engine, what is added to the residual stream is in its memory.
            if layer.name not in readers:
                continue
            begin, last = number, readers[layer.name]
            if number <= together:
                begin, last = 1, max(last, together)
            if layer.kind == "attention":
                begin = self.numbers[layer.source]
            elif self.layers[last - 1].kind == "attention":
                last += 1
            words = self._output_words(layer, plan.window_rows.get(layer.name, layer.output_grid[0]))
            lives.append(Lifetime(layer.name, words, begin, last))
        return lives

    def _stem(self) -> None:
        """The first convolutions, strip by strip; a strip of the image is loaded while the one before is computed.

        Its descriptor must lie before that one's, whose weights would keep it from being read. Then the strip before
        that one, which it replaces, has been walked, but perhaps not been written to the end.
        """
        self.image_beats = 0
        self._load_strip(0)
        number = 0
        for strip in self.plan.strips:
            layer, rows = strip.layer, strip.rows
            row_words = self._words(layer.output_grid[1])
            fields = self._weights(layer)
            fields.update(
                first_row=rows.start,
                rows=len(rows),
                positions=self._counted_positions(len(rows) * layer.width),
                destination_base=self.places[layer.name]
                + (written_rows(layer, rows).start - strip.window.start) * row_words,
            )
            if layer.reads_input:
                if number + 1 < len(self.plan.image_strips):
                    self._load_strip(number + 1)
                fields.update(self._image_strip(rows, number))
                number += 1
            else:
                fields.update(
                    source_base=self.places[layer.source]
                    + (rows.start - strip.source.start) * self._words(layer.width),
                    **self._tiles(self._groups(len(rows) * layer.width), self.time_chunks),
                )
            self._add(layer.name, layer, range(layer.out_channels), fields, rows=rows)

    def _image_strip(self, rows: range, number: int) -> dict[str, int]:
        """What the layer that reads a strip of the image is to know of it."""
        layer, last = self.layers[0], number == len(self.plan.image_strips) - 1
        positions = len(rows) * layer.width
        slice_words = plane_words(self.config, layer, positions, self.time_chunks)
        plane = slice_words * self._slices(TAPS * layer.in_channels)
        tiles = self._tiles(self._groups(positions), self.time_chunks)
        return {
            "wait_load": (Wait.ALL if last else Wait.ALL_BUT_NEWEST).value,
            "source_base": self._strip_place(number) + (layer.input_planes - 1) * plane,
            "source_slice_stride": slice_words,
            "source_plane_stride": plane,
            **(tiles if self.network.events else self._tiles(slice_words, 1)),
        }

    def _strip_place(self, number: int) -> int:
        return self.places["image"] + number % self.plan.buffers * self.plan.strip_words

    def _load_strip(self, number: int) -> None:
        rows = self.plan.image_strips[number]
        words = strip_words(self.config, self.layers[0], len(rows), self.time_chunks)
        fields = {
            "opcode": Opcode.LOAD.value,
            "wait_weights": (Wait.ALL if number > 1 else Wait.NONE).value,
            "destination_base": self._strip_place(number),
            "weight_beats": words * self.config.group_beats,
            "memory_address": self.image_beats,
        }
        self._add("load", None, range(0), fields)
        self.image_beats += fields["weight_beats"]

    def _attention_block(self, layer: Layer) -> None:
        """q, k, v and attention of one head after the other: a head's attention runs beside the next one's q, k, v."""
        block = layer.name.rpartition(".")[0]
        sources = [next(other for other in self.layers if other.name == f"{block}.{part}") for part in "qkv"]
        size, padded = self.network.head_dim, padded_head(self.config, self.network)
        for head in range(self.network.heads):
            channels, places = range(head * size, (head + 1) * size), range(head * padded, (head + 1) * padded)
            for source in sources:
                fields = self._weights(source)
                if source.name in self.places:
                    fields["destination_base"] += self._slices(places.start) * fields["destination_slice_stride"]
                fields["token_buffer"] = head % 2
                fields["follows"] = int(head == 0 and source is sources[0])
                fields["overlaps"] = int(head > 0 or source is not sources[0])
                if source is not sources[0] and head > 1:
                    fields["wait_attention"] = Wait.ALL_BUT_NEWEST.value
                self._add(source.name, source, channels, fields, places=places)
            self._add(layer.name, layer, channels, self._attention(layer, places), places=places)

    def _weights(self, layer: Layer) -> dict[str, int]:
        """Descriptor of a layer with weights, or of its first head."""
        config = self.config
        tiles, passes = output_tiles(config, self.network, layer), layer.input_planes
        slices = self._slices(input_channels(config, self.network, layer))
        taps = 1 if layer.reads_input else layer.taps
        base, groups = self.places.get(layer.source, 0), self._groups(layer.positions)
        source_stride = (
            self._stride(self._layer(layer.source)) if layer.source in self.numbers else groups * self.time_chunks
        )
        destination = self._destination(layer)
        plane_stride = self.residual_plane if layer.source == "residual" else 0
        fields = {
            "opcode": Opcode.WEIGHTS.value,
            "layer": self.numbers[layer.name],
            "wait_attention": (Wait.ALL if reads_heads(layer) else Wait.NONE).value,
            "follows": int(not layer.reads_input and not reads_heads(layer)),
            "destination": destination.value,
            "source_residual": int(layer.source == "residual"),
            "image": int(layer.source == "image"),
            "kernel3": int(taps == 9),
            "pool": int(layer.pool),
            "wide": int(self.artifact.weight_bits > WEIGHT_BITS),
            "passes": passes,
            **self._time(),
            "slices": slices,
            "height": layer.height,
            "first_row": 0,
            "rows": layer.height,
            "width": layer.width,
            "positions": self._counted_positions(layer.positions),
            "output_tiles": tiles.count,
            "tile_pieces": tiles.pieces,
            "last_tile_pieces": tiles.last_pieces,
            "source_base": base + (passes - 1) * plane_stride,
            "source_slice_stride": source_stride,
            "source_plane_stride": plane_stride,
            "destination_base": self.places.get(layer.name, 0),
            "destination_slice_stride": self._stride(layer),
            "weight_beats": taps * slices * config.slice_beats,
            "pace": self._pace(destination, tiles),
            **self._tiles(groups, self.time_chunks),
        }
        if layer.residual:
            fields["residual_plane_stride"] = self.residual_plane
            fields["residual_planes_in"] = self.residual_max.bit_length()
            fields["residual_planes_out"] = self.network.residual_after(self.residual_max).bit_length()
            fields["residual_mode"] = ResidualMode[self.network.residual_mode.upper()].value
        segments = (1 + fields["wide"]) * (1 + fields["image"])
        need, limit = segments * fields["weight_beats"], region_limit(config)
        require(need, limit, layer.name, "beats of the program's buffer for an output tile's weights")
        return fields

    def _time(self) -> dict[str, int]:
        """Time chunks, and the time steps of the last one."""
        earlier = (self.time_chunks - 1) * self.config.timesteps
        return {"time_chunks": self.time_chunks, "timesteps": self.network.timesteps - earlier}

    def _counted_positions(self, positions: int) -> int:
        """Positions as the neurons count them: up to the whole groups word by word."""
        whole, rest = divmod(positions, self.config.positions)
        return whole * self.config.positions * self.time_chunks + rest

    def _pace(self, destination: Destination, tiles: OutputTiles) -> int:
        """Least reads of a piece (of K, V and logits: a batch): membranes must be back for the next time chunk."""
        if self.time_chunks == 1:
            return 0
        halves = ceil_div(self.artifact.weight_bits, WEIGHT_BITS)
        pieces = 1 if destination in CHANNEL_ORDER else min(tiles.pieces, tiles.last_pieces)
        return ceil_div(carry_cycles(self.config), pieces * halves)

    def _layer(self, name: str) -> Layer:
        return self.layers[self.numbers[name] - 1]

    def _destination(self, layer: Layer) -> Destination:
        if layer.kind == "head":
            return Destination.LOGITS
        if layer.residual:
            return Destination.RESIDUAL
        if layer.name == self.seed:
            return Destination.SPIKES_AND_RESIDUAL
        part = layer.name.rpartition(".")[2]
        return {"k": Destination.KEYS, "v": Destination.VALUES}.get(part, Destination.SPIKES)

    def _attention(self, layer: Layer, places: range) -> dict[str, int]:
        network, groups, stride = self.network, self._groups(layer.positions), self._words(layer.positions)
        offset = self._slices(places.start) * stride
        threshold = stored_thresholds(
            np.array(network.attention_threshold),
            self.config.max_timesteps - network.timesteps,
            AttentionGeometry(self.config).threshold_bits,
        )
        return {
            "opcode": Opcode.ATTENTION.value,
            "layer": self.numbers[layer.name],
            "wait_weights": Wait.ALL.value,
            "token_buffer": places.start // len(places) % 2,
            **self._time(),
            "head_channels": len(places),
            "groups": groups,
            "attention_threshold": int(threshold),
            "source_base": self.places[layer.source] + offset,
            "source_slice_stride": stride,
            "destination_base": self.places[layer.name] + offset,
            "destination_slice_stride": stride,
            **self._tiles(groups, self.time_chunks),
        }
