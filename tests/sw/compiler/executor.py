"""Runs a program on names of words instead of spikes: who reads and who overwrites what."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.descriptor import Descriptor, Destination, Opcode
from sw.artifact.artifact import Artifact
from sw.compiler.program import Program, Step
from sw.layer import Layer
from tests.sw.compiler.order import Order
from tests.sw.compiler.reads import slice_bases


@dataclass(frozen=True)
class Span:
    """Words ``[slices][groups]`` of a memory, from `base` up, slices `stride` apart."""

    base: int
    stride: int
    slices: int
    groups: int

    @property
    def addresses(self) -> NDArray[np.int64]:
        return (self.base + np.arange(self.slices)[:, None] * self.stride + np.arange(self.groups)).reshape(-1)


class OnChip:
    """What every address of a memory holds, and whether any order that the waits allow would have come to the same."""

    def __init__(self, size: int, order: Order):
        self.content = np.full((size, 4), -1, np.int64)
        self.writer = np.full(size, -1, np.int64)
        self.readers: list[tuple[int, str, NDArray[np.int64]]] = []
        self.names: dict[str, int] = {}
        self.order = order

    def _cells(self, tensor: str, plane: int, span: Span, first_slice: int, first_group: int) -> NDArray[np.int64]:
        number = self.names.setdefault(tensor, len(self.names))
        k, group = np.divmod(np.arange(span.slices * span.groups), span.groups)
        columns = np.full_like(k, number), np.full_like(k, plane), first_slice + k, first_group + group
        return np.stack(columns, axis=1)

    def write(
        self, step: int, event: str, tensor: str, plane: int, span: Span, *, first_slice: int = 0, first_group: int = 0
    ) -> None:
        """A step writes from `event` on: whoever used the words before must be through."""
        at = span.addresses
        assert at.min() >= 0
        assert at.max() < len(self.writer)
        touched = np.zeros(len(self.writer), bool)
        touched[at] = True
        for reader, end, addresses in self.readers:
            if reader != step and not self.order.before((reader, end), (step, event)):
                assert not touched[addresses].any(), f"{tensor} overwrites what step {reader} reads"
        for writer in np.unique(self.writer[at]):
            safe = writer in (-1, step) or self.order.before((int(writer), "end"), (step, event))
            assert safe, f"{tensor} and step {writer} write the same words in any order"
        self.content[at] = self._cells(tensor, plane, span, first_slice, first_group)
        self.writer[at] = step

    def read(
        self, step: int, tensor: str, plane: int, span: Span, *, follows: int | None = None, end: str = "read",
        first_slice: int = 0, first_group: int = 0,
    ) -> None:  # fmt: skip
        """A step reads a whole tensor; what the step `follows` writes it reads slice by slice."""
        at = span.addresses
        assert np.array_equal(self.content[at], self._cells(tensor, plane, span, first_slice, first_group)), tensor
        for writer in np.unique(self.writer[at]):
            safe = writer == follows or self.order.before((int(writer), "end"), (step, "start"))
            assert safe, f"{tensor} is read before step {writer} has written it"
        self.readers.append((step, end, at))


class Executor:
    """Runs a program on names of words."""

    def __init__(self, artifact: Artifact, program: Program):
        self.artifact, self.program, self.config = artifact, program, program.config
        self.order = order = Order(program.steps)
        self.spikes, self.residual = OnChip(program.spike_words, order), OnChip(program.residual_words, order)
        self.tokens = OnChip(4, order)  # [buffer][K, V]
        self.planes, self.largest = 0, 0
        self.newest: int | None = None  # the layer with weights before
        self.chunks = -(-artifact.network.timesteps // program.config.timesteps)  # words of a position group
        self.strips: list[int] = []  # steps that load them
        self.strips_read = 0

    def run(self) -> None:
        for i, step in enumerate(self.program.steps):
            opcode = step.descriptor.opcode
            if opcode is Opcode.LOAD:
                self.load(i, step.descriptor)
            elif opcode is Opcode.WEIGHTS:
                self.source(i, step)
                self.destination(i, step)
                self.newest = i
            elif opcode is Opcode.ATTENTION:
                self.attention(i, step)

    def words(self, channels: int) -> int:
        return -(-channels // self.config.inputs)

    def load(self, i: int, descriptor: Descriptor) -> None:
        words = descriptor.weight_beats // self.config.group_beats
        number = len(self.strips)
        self.spikes.write(i, "start", f"image{number}", 0, Span(descriptor.destination_base, words, 1, words))
        self.strips.append(i)

    def source(self, i: int, step: Step) -> None:
        layer, descriptor = step.layer, step.descriptor
        assert bool(descriptor.source_residual) == (layer.source == "residual")
        assert bool(descriptor.image) == (layer.source == "image")
        assert descriptor.kernel3 == (layer.kind == "conv" and not layer.reads_input)
        groups = (descriptor.tiles - 1) * descriptor.tile_groups + descriptor.last_tile_groups
        planes, found = descriptor.passes, slice_bases(self.config, descriptor)[::-1]  # the lowest plane first
        stride = int(found[0, 1] - found[0, 0]) if descriptor.slices > 1 else groups
        assert np.array_equal(found, found[:, :1] + np.arange(descriptor.slices) * stride)
        bases = [int(base) for base in found[:, 0]]
        if layer.reads_input:
            slices, number = self.words(9 * layer.in_channels), self.strips_read
            self.strips_read += 1
            assert step.rows == self.program.image_strips[number]
            assert (descriptor.slices, planes) == (slices, layer.input_planes)
            for plane, base in enumerate(bases):
                span = Span(base, stride, slices, groups)
                first = plane * slices * groups
                at = span.addresses
                cells = self.spikes.content[at]
                assert set(cells[:, 0]) == {self.spikes.names[f"image{number}"]}
                assert np.array_equal(cells[:, 3], first + np.arange(len(at)))
                safe = self.order.before((self.strips[number], "end"), (i, "start"))
                assert safe, f"image{number} is read before step {self.strips[number]} has written it"
                self.spikes.readers.append((i, "read", at))
            return
        follows = self.newest if descriptor.follows else None
        if layer.source == "residual":
            assert planes == self.planes == self.largest.bit_length()
            memory, slices = self.residual, self.words(layer.in_channels)
        else:
            assert planes == 1
            memory = self.spikes
            source = self.program.steps_of(layer.source)
            slices = self.words(max(other.places.stop for other in source))
        assert descriptor.slices == slices
        width = layer.width // self.config.positions * self.chunks  # words of a row, if strips are computed
        first, above, below = step.rows.start, *self.around(step)
        assert groups == -(-len(step.rows) * layer.width // self.config.positions) * self.chunks
        for plane, base in enumerate(bases):
            span = Span(base - above * width, stride, slices, groups + (above + below) * width)
            memory.read(i, layer.source, plane, span, follows=follows, first_group=(first - above) * width)

    @staticmethod
    def around(step: Step) -> tuple[int, int]:
        """Rows of its input above and below its own that a step reads."""
        if not step.descriptor.kernel3:
            return 0, 0
        return int(step.rows.start > 0), int(step.rows.stop < step.layer.height)

    def destination(self, i: int, step: Step) -> None:
        layer, descriptor, config = step.layer, step.descriptor, self.config
        pieces = (descriptor.output_tiles - 1) * descriptor.tile_pieces + descriptor.last_tile_pieces
        assert 1 <= descriptor.last_tile_pieces <= descriptor.tile_pieces <= config.tile_pieces
        assert len(step.places) <= pieces * config.piece
        assert not descriptor.pool or descriptor.last_tile_pieces == descriptor.tile_pieces
        slices = -(-pieces // config.word_pieces)  # with silent channels
        height, width = len(step.rows), layer.width
        assert (descriptor.first_row, descriptor.rows) == (step.rows.start, height)
        assert (descriptor.height, descriptor.width) == (layer.height, width)
        if descriptor.pool:
            height, width = height // 2, width // 2
        groups = -(-height * width // config.positions) * self.chunks
        if descriptor.image and not descriptor.pool:
            groups = -(-height * width // config.lanes) * config.timesteps * self.chunks
        stride, base = descriptor.destination_slice_stride, descriptor.destination_base
        destination = descriptor.destination
        part = layer.part
        special = {"k": Destination.KEYS, "v": Destination.VALUES, "head": Destination.LOGITS}
        assert (destination == special[part]) if part in special else (destination not in special.values())
        if destination in (Destination.SPIKES, Destination.SPIKES_AND_RESIDUAL):
            first_row = step.rows.start // 2 if descriptor.pool else step.rows.start
            assert first_row * width % config.positions == 0
            group = first_row * width // config.positions * self.chunks
            first = step.places.start // config.inputs
            span = Span(base, stride, slices, groups)
            self.spikes.write(i, "fire", layer.name, 0, span, first_slice=first, first_group=group)
            assert groups <= stride
            if descriptor.pool and step.rows.start:
                # The first window lacks the row above it: another strip must write its row again.
                self.spikes.content[
                    Span(base, stride, slices, width // config.positions * self.chunks).addresses, 1
                ] = -2
        if destination == Destination.SPIKES_AND_RESIDUAL:
            self.residual.write(i, "fire", "residual", 0, Span(0, stride, slices, groups))
            self.planes = self.largest = 1
        if destination == Destination.RESIDUAL:
            self.join(i, layer, descriptor, slices, groups)
        if destination in (Destination.KEYS, Destination.VALUES):
            assert pieces * config.piece == len(step.places)
            place = descriptor.token_buffer * 2 + (destination == Destination.VALUES)
            self.tokens.write(i, "fire", f"{layer.name}.{step.channels.start}", 0, Span(place, 1, 1, 1))

    def join(self, i: int, layer: Layer, descriptor: Descriptor, slices: int, groups: int) -> None:
        assert layer.residual
        assert descriptor.residual_planes_in == self.planes
        mode = self.artifact.network.residual_mode
        assert descriptor.residual_mode.value == {"add": 0, "clamp": 1, "iand": 2}[mode]
        stride = descriptor.residual_plane_stride
        for plane in range(self.planes):  # the adder reads while it writes
            span = Span(plane * stride, descriptor.destination_slice_stride, slices, groups)
            cells = self.residual.content[span.addresses]
            assert np.array_equal(cells, self.residual._cells("residual", plane, span, 0, 0))
            for writer in np.unique(self.residual.writer[span.addresses]):
                assert self.order.before((int(writer), "end"), (i, "fire"))
        self.largest = {"add": self.largest + 1, "clamp": min(self.largest + 1, 3), "iand": 1}[mode]
        self.planes = self.largest.bit_length()
        assert descriptor.residual_planes_out == self.planes
        for plane in range(self.planes):
            span = Span(plane * stride, descriptor.destination_slice_stride, slices, groups)
            self.residual.write(i, "fire", "residual", plane, span)

    def attention(self, i: int, step: Step) -> None:
        descriptor, layer, network = step.descriptor, step.layer, self.artifact.network
        slices, groups = self.words(descriptor.head_channels), descriptor.groups * descriptor.time_chunks
        assert descriptor.head_channels == len(step.places) == slices * self.config.inputs
        assert len(step.channels) == network.head_dim
        first = step.places.start // self.config.inputs
        query = Span(descriptor.source_base, descriptor.slice_step, slices, groups)
        self.spikes.read(i, layer.source, 0, query, end="end", first_slice=first)
        block = layer.name.rpartition(".")[0]
        for is_value, part in enumerate("kv"):
            place = Span(descriptor.token_buffer * 2 + is_value, 1, 1, 1)
            self.tokens.read(i, f"{block}.{part}.{step.channels.start}", 0, place, end="end")
        output = Span(descriptor.destination_base, descriptor.destination_slice_stride, slices, groups)
        self.spikes.write(i, "start", layer.name, 0, output, first_slice=first)
        lanes = self.config.max_timesteps - network.timesteps
        assert descriptor.attention_threshold == network.attention_threshold << lanes
        key = self.program.steps_of(f"{block}.k")[0].descriptor
        for field in ("tiles", "tile_groups", "last_tile_groups"):
            assert getattr(descriptor, field) == getattr(key, field)
