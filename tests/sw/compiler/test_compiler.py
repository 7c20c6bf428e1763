"""What the compiler places, packs and refuses; descriptors decode back to what they should do."""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.config import BASE, IMAGE_PLANES, LARGE, TINY, HardwareConfig
from hw.descriptor import DESCRIPTOR, DESCRIPTOR_BITS, DESCRIPTOR_CHECK, Destination, Opcode, Wait
from hw.neurons.membranes import carry_cycles
from sw.artifact.artifact import Artifact, LayerParameters
from sw.artifact.ranges import layer_ranges
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.compiler.program import DESCRIPTOR_WORDS, Program, Step
from sw.compiler.weight_pack import pack_weights
from sw.errors import UserError
from sw.layer import Layer
from sw.network import NetworkConfig

REMEDY = "use a larger configuration or a smaller network"


def network_of(**changes: Any) -> NetworkConfig:
    sizes = {"image_size": 8, "image_channels": 1, "classes": 3, "embed_dim": 16, "depth": 1, "heads": 2}
    return NetworkConfig(**{**sizes, **changes})


def parameters_of(layer: Layer, weight: int, bias: int) -> LayerParameters:
    out = (layer.out_channels,)
    return LayerParameters(
        weight=np.full(layer.weight_shape, weight, np.int8),
        bias=np.full(out, bias, np.int32),
        threshold=None if layer.kind == "head" else np.ones(out, np.int64),
        scale=np.ones(out),
    )


def artifact_of(
    network: NetworkConfig, *, weight: int = 0, biases: dict[str, int] | None = None, **changes: Any
) -> Artifact:
    """One value in all weights, another in all biases of a layer; the image uses its whole range."""
    pixels = np.arange(256).clip(0, 1) if network.events else np.arange(-128, 128).clip(-127)
    fields: dict[str, Any] = {
        "network": network,
        "weight_bits": 4,
        "bias_fraction_bits": 4,
        "tensors": {
            layer.name: parameters_of(layer, weight, (biases or {}).get(layer.name, 0))
            for layer in network.layers()
            if layer.has_weights
        },
        "image_table": np.tile(pixels.astype(np.int8), (network.image_channels, 1)),
        "image_scale": 1.0,
        "dataset": "none",
    }
    return Artifact(**{**fields, **changes})


def config_of(base: HardwareConfig = TINY, **changes: Any) -> HardwareConfig:
    return dataclasses.replace(base, name="mine", **changes)


WIDE = config_of(spike_words=1 << 20, residual_words=1 << 20, attention_planes=12, token_chunks=255)
"""A tiny array with memories that hold anything."""

CIFAR = {"image_size": 32, "image_channels": 3, "classes": 10}
IMAGENET = {"image_size": 224, "image_channels": 3, "classes": 256, "pools": 4}
DEEP_LARGE = config_of(LARGE, max_classes=256)

COMPILED = {
    "tiny": (network_of(), TINY),
    "three_channels_two_blocks": (network_of(image_channels=3, depth=2, image_size=16), TINY),
    "fewer_time_steps": (network_of(timesteps=3), TINY),
    "time_chunks": (network_of(timesteps=10, image_channels=3, image_size=16), config_of(time_chunks=4)),
    "events": (network_of(timesteps=8, image_channels=2, events=True, image_size=16), config_of(time_chunks=2)),
    "events_in_lanes": (network_of(timesteps=4, image_channels=2, events=True), TINY),
    "several_tiles": (network_of(image_size=32, embed_dim=24, heads=3), TINY),
    "many_heads": (network_of(image_size=16, embed_dim=32, heads=8, depth=2), TINY),
    "base": (network_of(image_size=28, embed_dim=64, depth=2, classes=10), BASE),
    "four_positions": (
        network_of(image_size=16, embed_dim=40, heads=1),
        config_of(outputs=16, inputs=8, positions=4, neurons=2, head_channels=64),
    ),
    "eight_positions_do_not_divide_the_image": (
        network_of(image_size=12, embed_dim=32, heads=2, pools=1),
        config_of(WIDE, outputs=32, inputs=16, positions=4, timesteps=8, neurons=4),
    ),
    "fewer_outputs_than_inputs": (
        network_of(image_size=16, embed_dim=64, heads=2),
        config_of(outputs=8, inputs=16),
    ),
    "twice_the_outputs": (network_of(image_size=16), config_of(outputs=8, inputs=4)),
    "three_times_the_outputs": (network_of(image_size=16, embed_dim=24), config_of(outputs=12, inputs=4)),
    "wide_port": (network_of(image_size=16), config_of(memory_bits=128)),
    "eight_bits": (network_of(image_size=16), config_of(weight_bits=8)),
    "heads_do_not_fill_words": (network_of(image_size=16, embed_dim=24, heads=4, depth=2), TINY),
    "heads_of_half_a_word": (network_of(image_size=32, image_channels=3, embed_dim=64, heads=4, depth=2), LARGE),
    "clamp": (network_of(depth=2, residual_mode="clamp"), TINY),
    "iand": (network_of(depth=2, residual_mode="iand"), TINY),
    "one_time_step": (network_of(timesteps=1), config_of(timesteps=1)),
    "one_pool": (network_of(image_size=8, pools=1), TINY),
    "strips": (network_of(image_size=16), config_of(spike_words=512)),
    "many_strips": (network_of(image_size=32, image_channels=3), config_of(WIDE, spike_words=2048)),
    "strips_before_a_pool": (network_of(image_size=32, pools=4), config_of(spike_words=1024)),
    "strips_of_eight_bits": (
        network_of(image_size=32, pools=4), config_of(spike_words=1024, weight_bits=8, memory_bits=128),
    ),
    "one_convolution_in_strips": (network_of(image_size=32), config_of(spike_words=1000)),
    "two_convolutions_in_strips": (network_of(image_size=32), config_of(spike_words=900)),
    "a_pooled_convolution_in_strips": (network_of(image_size=64, pools=4), config_of(spike_words=1900)),
    "a_wide_pooled_convolution_in_strips": (
        network_of(image_size=128, embed_dim=256, heads=8, pools=4), config_of(LARGE, spike_words=2300),
    ),
    "events_in_strips_of_two_convolutions": (
        network_of(image_size=32, timesteps=6, image_channels=2, embed_dim=32, heads=4, events=True),
        config_of(time_chunks=2, spike_words=3000, residual_words=8192),
    ),
    "cifar_2_512": (network_of(**CIFAR, embed_dim=512, depth=2, heads=8), LARGE),
    "cifar_4_256": (network_of(**CIFAR, embed_dim=256, depth=4, heads=8), LARGE),
    "cifar_4_384": (network_of(**CIFAR, embed_dim=384, depth=4, heads=12), LARGE),
    "imagenet_8_512": (network_of(**IMAGENET, embed_dim=512, depth=8, heads=8), DEEP_LARGE),
}  # fmt: skip


@cache
def compiled(name: str) -> tuple[Artifact, Program]:
    network, config = COMPILED[name]
    artifact = artifact_of(network, weight=1, weight_bits=config.weight_bits if "eight_bits" in name else 4)
    return artifact, compile_artifact(artifact, config)


def descriptor_at(program: Program, word: int) -> dict[str, int]:
    """Fields of a descriptor as the gateware reads them from memory."""
    words = program.memory[word : word + DESCRIPTOR_WORDS]
    bits = sum(int(value) << 64 * i for i, value in enumerate(words))
    check = 0
    for byte in bits.to_bytes(DESCRIPTOR_BITS // 8, "little"):
        check ^= byte
    assert check == DESCRIPTOR_CHECK
    view = DESCRIPTOR.from_bits(bits & (1 << DESCRIPTOR.size) - 1)
    fields = {name: getattr(view, name) for name in DESCRIPTOR.members if name != "check"}
    return {name: getattr(value, "value", value) for name, value in fields.items()}


@pytest.mark.parametrize("name", COMPILED)
def test_program_is_one_stream(name):
    """Descriptor after descriptor, each followed by its parameters and weights, as a reader without `Step` sees it."""
    artifact, program = compiled(name)
    config, word = program.config, 0
    for step in program.steps:
        assert step.address == word
        fields = descriptor_at(program, word)
        assert fields == {**dict.fromkeys(fields, 0), **step.fields}
        word += DESCRIPTOR_WORDS
        assert word * 64 % config.memory_bits == 0
        if fields["opcode"] != Opcode.WEIGHTS.value:
            continue
        segments = (1 + fields["wide"]) * (1 + fields["image"])
        beats = fields["output_tiles"] * (config.parameter_beats + segments * fields["weight_beats"])
        length = beats * config.memory_bits // 64
        packed = pack_weights(artifact, config, step.layer, step.channels)
        assert np.array_equal(program.memory[word : word + length], packed)
        word += length
    assert word == len(program.memory)
    assert program.weight_words == word - len(program.steps) * DESCRIPTOR_WORDS


def expected_order(network: NetworkConfig, program: Program) -> list[str]:
    names = [layer.name for layer in network.layers()]
    stem = [step.name for step in program.steps if step.name in names[:4]]
    loads = program.image_strips
    strip = iter([*range(1, len(loads))])
    order = ["load"]
    for name in stem:
        if name == "conv0" and next(strip, None):
            order.append("load")
        order.append(name)
    order.append("rpe")
    for block in range(network.depth):
        order += [f"block{block}.{part}" for part in ("q", "k", "v", "attention")] * network.heads
        order += [f"block{block}.{part}" for part in ("proj", "fc1", "fc2")]
    return [*order, "head", "end"]


@pytest.mark.parametrize("name", COMPILED)
def test_order_of_the_steps(name):
    artifact, program = compiled(name)
    network = artifact.network
    assert [step.name for step in program.steps] == expected_order(network, program)
    opcodes = {"load": Opcode.LOAD, "end": Opcode.END}
    for step in program.steps:
        is_attention = step.name.endswith(".attention")
        opcode = opcodes.get(step.name, Opcode.ATTENTION if is_attention else Opcode.WEIGHTS)
        assert step.fields["opcode"] == opcode.value
        number = step.fields.get("layer", 0)
        assert program.names[number] == ("head" if step.name == "end" else step.name)
        if step.layer is not None:
            assert step.layer.name == step.name
    for layer in network.layers():
        steps = program.steps_of(layer.name)
        if len({step.rows for step in steps}) == 1:
            channels = [channel for step in steps for channel in step.channels]
            assert channels == list(range(layer.out_channels))
            places = [place for step in steps for place in step.places]
            assert places == list(range(len(places)))
        else:
            assert {step.channels for step in steps} == {range(layer.out_channels)}
        if layer.reads_input:
            assert [step.rows for step in steps] == list(program.image_strips)


@pytest.mark.parametrize("name", COMPILED)
def test_image_words_are_those_of_the_packed_image(name):
    artifact, program = compiled(name)
    network, config = artifact.network, program.config
    image = np.zeros(network.input_shape, np.uint8)
    assert len(pack_image(artifact, config, image, program.image_strips)) == program.image_words
    beat = 0
    for step in program.steps_of("load"):
        assert step.fields.get("memory_address", 0) == beat
        beat += step.fields["weight_beats"]
    assert beat * config.memory_bits == program.image_words * 64


@pytest.mark.parametrize("name", COMPILED)
def test_tiles_cover_all_positions(name):
    artifact, program = compiled(name)
    config = program.config
    for step in program.steps:
        if step.layer is None:
            continue
        fields = step.fields
        positions = len(step.rows) * step.layer.width
        chunks = -(-artifact.network.timesteps // config.timesteps)
        groups = -(-positions // (config.lanes if fields.get("image") else config.positions))
        whole, rest = divmod(positions, config.positions)
        counted = whole * chunks * config.positions + rest
        assert fields.get("positions", counted) == counted
        assert fields.get("groups", groups) == groups
        assert 1 <= fields["last_tile_groups"] <= fields["tile_groups"] <= config.tile_groups
        words = 1 if fields.get("image") else chunks
        assert fields["tile_groups"] == fields["chunk_groups"] * words
        assert fields["last_tile_groups"] == fields["last_chunk_groups"] * words
        assert (fields["tiles"] - 1) * fields["chunk_groups"] + fields["last_chunk_groups"] == groups
        assert fields["tiles"] == -(-groups // (config.tile_groups // words))
        assert fields["time_chunks"] == chunks
        assert (chunks - 1) * config.timesteps + fields["timesteps"] == artifact.network.timesteps


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


class Order:
    """What surely happens before what, by the rules of the dispatcher; everything else may happen in any order.

    Events of a step: ``taken``; ``start`` and ``read`` (its engine, or the walker, begins and has read its last word);
    ``fire`` (the neurons begin: nothing is written before), ``end`` (everything is written).
    """

    EVENTS = ("taken", "start", "read", "fire", "end")
    WITHIN = (("taken", "start"), ("start", "read"), ("start", "fire"), ("read", "end"), ("fire", "end"))

    def __init__(self, steps: tuple[Step, ...]):
        self.index = {(i, event): 5 * i + k for i in range(len(steps)) for k, event in enumerate(self.EVENTS)}
        self.edges: dict[int, set[int]] = defaultdict(set)
        engines: dict[str, list[int]] = {"load": [], "weights": [], "attention": []}
        kinds = {Opcode.LOAD.value: "load", Opcode.WEIGHTS.value: "weights", Opcode.ATTENTION.value: "attention"}
        for i, step in enumerate(steps):
            fields = step.fields
            if i:
                self._add((i - 1, "taken"), (i, "taken"))
            for before, after in self.WITHIN:
                self._add((i, before), (i, after))
            if fields["opcode"] == Opcode.END.value:
                for jobs in engines.values():
                    for job in jobs:
                        self._add((job, "end"), (i, "taken"))
                continue
            for engine, jobs in engines.items():
                wait = fields.get(f"wait_{engine}", 0)
                awaited = {Wait.NONE.value: [], Wait.ALL.value: jobs, Wait.ALL_BUT_NEWEST.value: jobs[:-1]}[wait]
                for job in awaited:
                    self._add((job, "end"), (i, "taken" if kinds[fields["opcode"]] == "load" else "start"))
            jobs = engines[kinds[fields["opcode"]]]
            if jobs:
                self._engine(kinds[fields["opcode"]], fields, jobs[-1], i)
            jobs.append(i)
        self._close(len(steps))

    def _engine(self, kind: str, fields: dict[str, int], before: int, i: int) -> None:
        if kind == "load":
            self._add((before, "end"), (i, "taken"))
            return
        self._add((before, "start"), (i, "taken"))  # one place in front of the engine
        if kind == "attention":
            self._add((before, "end"), (i, "start"))
            return
        self._add((before, "read"), (i, "start"))
        self._add((before, "fire"), (i, "start"))  # handed over to the neurons
        self._add((before, "end"), (i, "end"))  # written in order
        if not fields.get("overlaps", 0):
            self._add((before, "end"), (i, "fire"))
        if fields.get("follows", 0):
            self._add((before, "end"), (i, "read"))

    def _add(self, before: tuple[int, str], after: tuple[int, str]) -> None:
        self.edges[self.index[before]].add(self.index[after])

    def _close(self, steps: int) -> None:
        """Sets of everything before each event, as bits of an integer."""
        self.past = [0] * (5 * steps)
        incoming: dict[int, set[int]] = defaultdict(set)
        for before, afters in self.edges.items():
            for after in afters:
                incoming[after].add(before)
        done: set[int] = set()

        def visit(event: int) -> None:
            stack = [event]
            while stack:
                top = stack[-1]
                missing = [before for before in incoming[top] if before not in done]
                if missing:
                    assert len(stack) <= len(self.past), "the waits go round in a circle"
                    stack += missing[:1]
                    continue
                for before in incoming[top]:
                    self.past[top] |= self.past[before] | 1 << before
                done.add(stack.pop())

        for event in range(5 * steps):
            visit(event)

    def before(self, first: tuple[int, str], second: tuple[int, str]) -> bool:
        return bool(self.past[self.index[second]] >> self.index[first] & 1)


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
            opcode = Opcode(step.fields["opcode"])
            if opcode is Opcode.LOAD:
                self.load(i, step.fields)
            elif opcode is Opcode.WEIGHTS:
                self.source(i, step)
                self.destination(i, step)
                self.newest = i
            elif opcode is Opcode.ATTENTION:
                self.attention(i, step)

    def words(self, channels: int) -> int:
        return -(-channels // self.config.inputs)

    def load(self, i: int, fields: dict[str, int]) -> None:
        words = fields["weight_beats"] // self.config.group_beats
        number = len(self.strips)
        self.spikes.write(i, "start", f"image{number}", 0, Span(fields["destination_base"], words, 1, words))
        self.strips.append(i)

    def source(self, i: int, step: Step) -> None:
        layer, fields = step.layer, step.fields
        assert bool(fields["source_residual"]) == (layer.source == "residual")
        assert bool(fields["image"]) == (layer.source == "image")
        assert fields["kernel3"] == (layer.kind == "conv" and not layer.reads_input)
        stride, planes = fields["source_slice_stride"], fields["passes"]
        groups = (fields["tiles"] - 1) * fields["tile_groups"] + fields["last_tile_groups"]
        bases = [
            fields["source_base"] - (planes - 1 - plane) * fields["source_plane_stride"] for plane in range(planes)
        ]
        if layer.reads_input:
            slices, number = self.words(9 * layer.in_channels), self.strips_read
            self.strips_read += 1
            assert step.rows == self.program.image_strips[number]
            assert (fields["slices"], planes) == (slices, IMAGE_PLANES if layer.source == "image" else 1)
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
        follows = self.newest if fields["follows"] else None
        if layer.source == "residual":
            assert planes == self.planes == self.largest.bit_length()
            memory, slices = self.residual, self.words(layer.in_channels)
        else:
            assert planes == 1
            memory = self.spikes
            source = self.program.steps_of(layer.source)
            slices = self.words(max(other.places.stop for other in source))
        assert fields["slices"] == slices
        width = layer.width // self.config.positions * self.chunks  # words of a row, if strips are computed
        first, above, below = step.rows.start, *self.around(step)
        assert groups == -(-len(step.rows) * layer.width // self.config.positions) * self.chunks
        for plane, base in enumerate(bases):
            span = Span(base - above * width, stride, slices, groups + (above + below) * width)
            memory.read(i, layer.source, plane, span, follows=follows, first_group=(first - above) * width)

    @staticmethod
    def around(step: Step) -> tuple[int, int]:
        """Rows of its input above and below its own that a step reads."""
        if not step.fields["kernel3"]:
            return 0, 0
        return int(step.rows.start > 0), int(step.rows.stop < step.layer.height)

    def destination(self, i: int, step: Step) -> None:
        layer, fields, config = step.layer, step.fields, self.config
        pieces = (fields["output_tiles"] - 1) * fields["tile_pieces"] + fields["last_tile_pieces"]
        assert 1 <= fields["last_tile_pieces"] <= fields["tile_pieces"] <= config.tile_pieces
        assert len(step.places) <= pieces * config.piece
        assert not fields["pool"] or fields["last_tile_pieces"] == fields["tile_pieces"]
        slices = -(-pieces // config.word_pieces)  # with silent channels
        height, width = len(step.rows), layer.width
        assert (fields["first_row"], fields["rows"]) == (step.rows.start, height)
        assert (fields["height"], fields["width"]) == (layer.height, width)
        if fields["pool"]:
            height, width = height // 2, width // 2
        groups = -(-height * width // config.positions) * self.chunks
        if fields["image"] and not fields["pool"]:
            groups = -(-height * width // config.lanes) * config.timesteps * self.chunks
        stride, base = fields["destination_slice_stride"], fields["destination_base"]
        destination = Destination(fields["destination"])
        part = layer.name.rpartition(".")[2]
        special = {"k": Destination.KEYS, "v": Destination.VALUES, "head": Destination.LOGITS}
        assert (destination == special[part]) if part in special else (destination not in special.values())
        if destination in (Destination.SPIKES, Destination.SPIKES_AND_RESIDUAL):
            first_row = step.rows.start // 2 if fields["pool"] else step.rows.start
            assert first_row * width % config.positions == 0
            group = first_row * width // config.positions * self.chunks
            first = step.places.start // config.inputs
            span = Span(base, stride, slices, groups)
            self.spikes.write(i, "fire", layer.name, 0, span, first_slice=first, first_group=group)
            assert groups <= stride
            if fields["pool"] and step.rows.start:
                # The first window lacks the row above it: another strip must write its row again.
                self.spikes.content[
                    Span(base, stride, slices, width // config.positions * self.chunks).addresses, 1
                ] = -2
        if destination == Destination.SPIKES_AND_RESIDUAL:
            self.residual.write(i, "fire", "residual", 0, Span(fields.get("residual_base", 0), stride, slices, groups))
            self.planes = self.largest = 1
        if destination == Destination.RESIDUAL:
            self.join(i, layer, fields, slices, groups)
        if destination in (Destination.KEYS, Destination.VALUES):
            assert pieces * config.piece == len(step.places)
            place = fields["token_buffer"] * 2 + (destination == Destination.VALUES)
            self.tokens.write(i, "fire", f"{layer.name}.{step.channels.start}", 0, Span(place, 1, 1, 1))

    def join(self, i: int, layer: Layer, fields: dict[str, int], slices: int, groups: int) -> None:
        assert layer.residual
        assert fields["residual_planes_in"] == self.planes
        mode = self.artifact.network.residual_mode
        assert fields["residual_mode"] == {"add": 0, "clamp": 1, "iand": 2}[mode]
        base, stride = fields.get("residual_base", 0), fields["residual_plane_stride"]
        for plane in range(self.planes):  # the adder reads while it writes
            span = Span(base + plane * stride, fields["destination_slice_stride"], slices, groups)
            cells = self.residual.content[span.addresses]
            assert np.array_equal(cells, self.residual._cells("residual", plane, span, 0, 0))
            for writer in np.unique(self.residual.writer[span.addresses]):
                assert self.order.before((int(writer), "end"), (i, "fire"))
        self.largest = {"add": self.largest + 1, "clamp": min(self.largest + 1, 3), "iand": 1}[mode]
        self.planes = self.largest.bit_length()
        assert fields["residual_planes_out"] == self.planes
        for plane in range(self.planes):
            span = Span(base + plane * stride, fields["destination_slice_stride"], slices, groups)
            self.residual.write(i, "fire", "residual", plane, span)

    def attention(self, i: int, step: Step) -> None:
        fields, layer, network = step.fields, step.layer, self.artifact.network
        slices, groups = self.words(fields["head_channels"]), fields["groups"] * fields["time_chunks"]
        assert fields["head_channels"] == len(step.places) == slices * self.config.inputs
        assert len(step.channels) == network.head_dim
        first = step.places.start // self.config.inputs
        query = Span(fields["source_base"], fields["source_slice_stride"], slices, groups)
        self.spikes.read(i, layer.source, 0, query, end="end", first_slice=first)
        block = layer.name.rpartition(".")[0]
        for is_value, part in enumerate("kv"):
            place = Span(fields["token_buffer"] * 2 + is_value, 1, 1, 1)
            self.tokens.read(i, f"{block}.{part}.{step.channels.start}", 0, place, end="end")
        output = Span(fields["destination_base"], fields["destination_slice_stride"], slices, groups)
        self.spikes.write(i, "start", layer.name, 0, output, first_slice=first)
        lanes = self.config.max_timesteps - network.timesteps
        assert fields["attention_threshold"] == network.attention_threshold << lanes
        key = self.program.steps_of(f"{block}.k")[0].fields
        for field in ("tiles", "tile_groups", "last_tile_groups"):
            assert fields[field] == key[field]


def test_membranes_are_back_for_the_next_time_chunk():
    """A piece, of K, V and logits a batch, is read so slowly that those of a word take ten cycles."""
    config = config_of(time_chunks=4)
    assert carry_cycles(config) == 10
    artifact = artifact_of(network_of(timesteps=10, embed_dim=32))
    program = compile_artifact(artifact, config)
    pace = {name: program.steps_of(name)[0].fields["pace"] for name in program.names[1:] if "attention" not in name}
    # Layers of one piece (conv0 and conv1 have 4 and 8 channels), of two, and in the order of channels.
    assert pace["conv0"] == 10 and pace["conv1"] == pace["block0.fc1"] == pace["block0.q"] == 5
    assert pace["block0.k"] == pace["block0.v"] == pace["head"] == 10
    wide = compile_artifact(artifact_of(network_of(timesteps=10, embed_dim=32), weight_bits=8), config_of(
        weight_bits=8, time_chunks=3
    ))  # fmt: skip
    assert wide.steps_of("block0.fc1")[0].fields["pace"] == 3
    alone = compile_artifact(artifact_of(network_of(timesteps=4)), config)
    assert {step.fields.get("pace", 0) for step in alone.steps} == {0}


@pytest.mark.parametrize("name", COMPILED)
def test_every_layer_reads_what_its_source_wrote(name):
    """Whatever order the waits leave open: no word is overwritten before its last reader, none read too early."""
    artifact, program = compiled(name)
    Executor(artifact, program).run()


@pytest.mark.parametrize(
    ("name", "step", "which", "changes", "message"),
    [
        ("many_heads", "block0.k", 2, {"wait_attention": 0}, "overwrites what step"),
        ("many_heads", "block0.k", -1, {"wait_attention": 0}, "overwrites what step"),
        ("many_heads", "block0.k", -1, {"token_buffer": 0}, "overwrites what step"),
        ("many_heads", "block1.attention", -1, {"wait_weights": 0}, "is read before step"),
        ("many_heads", "block1.attention", -1, {"wait_weights": 2}, "is read before step"),
        ("many_heads", "block0.proj", 0, {"wait_attention": 0}, "is read before step"),
        ("many_heads", "block0.proj", 0, {"wait_attention": 2}, "is read before step"),
        ("tiny", "conv1", 0, {"follows": 0}, "is read before step"),
        ("tiny", "head", 0, {"follows": 0}, "is read before step"),
        ("many_heads", "block1.q", 0, {"follows": 0}, "is read before step"),
        ("tiny", "conv0", 0, {"wait_load": 0}, "image0 is read before step"),
        ("many_strips", "conv0", -1, {"wait_load": 0}, r"image\d+ is read before step"),
        ("many_strips", "load", -1, {"wait_weights": 0}, "overwrites what step"),
        ("many_strips", "load", -1, {"wait_weights": 2}, "overwrites what step"),
        ("strips_before_a_pool", "conv0", -1, {"overlaps": 1}, "write the same words in any order"),
    ],
)
def test_executor_misses_every_wait(name, step, which, changes, message):
    """The test above fails if a wait is missing: one descriptor of a layer goes without it."""
    artifact, program = compiled(name)
    at = [i for i, other in enumerate(program.steps) if other.name == step][which]
    steps = list(program.steps)
    steps[at] = dataclasses.replace(steps[at], fields={**steps[at].fields, **changes})
    with pytest.raises(AssertionError, match=message):
        Executor(artifact, dataclasses.replace(program, steps=tuple(steps))).run()


def test_heads_hide_behind_each_other():
    """What may run side by side: q, k, v of a head and the attention of the head before; a strip and the next load."""
    _, program = compiled("many_heads")
    order, names = Order(program.steps), [step.name for step in program.steps]
    attention = [i for i, name in enumerate(names) if name == "block0.attention"]
    for here, after in itertools.pairwise(attention):
        for later in range(here + 1, after):
            assert not order.before((here, "end"), (later, "start"))
            assert program.steps[later].fields["overlaps"]
    _, program = compiled("many_strips")
    order, names = Order(program.steps), [step.name for step in program.steps]
    loads = [i for i, name in enumerate(names) if name == "load"]
    assert len(loads) > 3
    for number, load in enumerate(loads[1:-1], start=1):
        strip = program.steps_of("conv0")[number - 1]
        i = program.steps.index(strip)
        assert not order.before((load, "end"), (i, "start"))
        assert not order.before((i, "start"), (load, "start"))


def test_weights_are_fetched_once():
    """Nothing but descriptors, parameters and the weights themselves: in an even geometry no padding at all."""
    network = network_of(image_size=32, image_channels=4, embed_dim=256, depth=2, heads=8, classes=16)
    artifact = artifact_of(network)
    program = compile_artifact(artifact, LARGE)
    weights = sum(tensors.weight.size for name, tensors in artifact.tensors.items() if name != "conv0")
    parameters = sum(len(tensors.bias) for tensors in artifact.tensors.values())
    image_weights = 2 * 32 * 64  # of 32 channels, whose 36 inputs fill two slices, and negated for the sign plane
    assert program.weight_words == parameters + (weights + image_weights) * 4 // 64


def refusal(artifact: Artifact, config: HardwareConfig) -> str:
    with pytest.raises(UserError) as refused:
        compile_artifact(artifact, config)
    return str(refused.value)


@pytest.mark.parametrize(
    ("network", "config", "message"),
    [
        ({}, {"timesteps": 2}, "the network needs 4 time steps, the configuration has 2"),
        ({"timesteps": 9}, {"time_chunks": 2}, "the network needs 9 time steps, the configuration has 8"),
        (
            {"timesteps": 16, "image_size": 24}, {"time_chunks": 4, "token_chunks": 4},
            "attention needs 5 position tiles of K and V, the configuration has 4",
        ),
        ({}, {"max_classes": 2}, "head needs 3 classes, the configuration has 2"),
        ({}, {"max_layers": 13}, "the network needs 14 layers, the configuration has 13"),
        ({"depth": 15}, {"max_layers": 200}, "head needs 6 residual bit-planes, the configuration has 5"),
        ({"image_size": 260}, {}, "conv2 needs 260 columns to pool, the configuration has 256"),
        ({"embed_dim": 64, "heads": 1}, {}, "attention needs 64 channels per head, the configuration has 32"),
        (
            {"embed_dim": 24, "heads": 1}, {"head_channels": 16, "inputs": 8, "outputs": 8},
            "attention needs 24 channels per head, the configuration has 16",
        ),
        (
            {"image_size": 48}, {"attention_planes": 7},
            "attention needs 8 bits per entry of K^T V, the configuration has 7",
        ),
        (
            {"image_size": 32}, {"token_chunks": 1},
            "attention needs 2 position tiles of K and V, the configuration has 1",
        ),
        ({}, {"residual_words": 20}, "the network needs 24 words of residual memory, the configuration has 20"),
        (
            {"embed_dim": 256, "heads": 8}, {},
            "rpe needs 1152 beats of the program's buffer for an output tile's weights, the configuration has 960",
        ),
    ],
)  # fmt: skip
def test_network_too_large(network, config, message):
    separator = "" if message.endswith("; ") else ": "
    assert refusal(artifact_of(network_of(**network)), config_of(WIDE, **config)) == message + separator + REMEDY


def test_pools_before_the_neurons_are_refused_by_name():
    assert refusal(artifact_of(network_of(pool_order="before")), TINY) == (
        "the network pools before its neurons (pool_order before), configuration tiny after them, as spikes: run it in "
        "the golden model, or train one with pool_order after"
    )


def test_neurons_without_leak_are_refused_by_name():
    assert refusal(artifact_of(network_of(neuron="if")), TINY) == (
        "the network's neurons do not leak (neuron if), those of configuration tiny do: run it in the golden model, or "
        "train one with neuron lif"
    )


def test_weights_too_wide():
    artifact = artifact_of(network_of(), weight_bits=8)
    assert refusal(artifact, TINY) == f"the network needs 8 bits per weight, the configuration has 4: {REMEDY}"
    assert compile_artifact(artifact, config_of(weight_bits=8)).memory.size


@pytest.mark.parametrize("bits", [2, 3])
@pytest.mark.parametrize("config", [TINY, config_of(time_chunks=4), config_of(weight_bits=8)])
def test_narrower_weights_are_four_bit_weights_that_stay_small(config, bits):
    network = network_of(timesteps=min(config.max_timesteps, 10))
    narrow, four = (compile_artifact(artifact_of(network, weight=1, weight_bits=width), config) for width in (bits, 4))
    assert np.array_equal(narrow.memory, four.memory)


def test_halves_need_their_own_accumulator_bits():
    """Of 15 the high half is 0 and the low one 15: 9 * 32 spikes make 4320, 13 bits without a sign."""
    artifact = artifact_of(network_of(embed_dim=32), weight=15, weight_bits=8)
    assert layer_ranges(artifact)["rpe"].accumulator_bits == 14
    assert compile_artifact(artifact, config_of(weight_bits=8, accumulator_bits=13)).memory.size
    assert refusal(artifact, config_of(weight_bits=8, accumulator_bits=12)) == (
        f"rpe needs 13 accumulator bits, the configuration has 12: {REMEDY}"
    )
    # Of -16 the high half is -1: 9 * 32 * 1 need 10 bits, fewer than 14 of the sums.
    artifact = artifact_of(network_of(embed_dim=32), weight=-16, weight_bits=8)
    assert layer_ranges(artifact)["rpe"].accumulator_bits == 14
    assert compile_artifact(artifact, config_of(weight_bits=8, accumulator_bits=12)).memory.size


def test_the_sum_of_both_halves_must_fit_the_neurons():
    """136 weights of 127: halves of 952 and 2040 fit 11 bits, their sum of 17272 needs 16, one more than 11 + 4."""
    network = network_of(embed_dim=8, heads=1, mlp_ratio=17, events=True)
    config = config_of(weight_bits=8, accumulator_bits=11)
    assert refusal(artifact_of(network, weight=127, weight_bits=8), config) == (
        f"block0.fc2 needs 16 bits of a neuron's sum, the configuration has 15: {REMEDY}"
    )
    assert compile_artifact(artifact_of(network, weight=120, weight_bits=8), config).memory.size


def test_both_halves_must_fit_the_buffer():
    network = network_of(embed_dim=128, heads=16)
    config = config_of(LARGE, program_beats=1024)
    assert compile_artifact(artifact_of(network), config).memory.size
    assert refusal(artifact_of(network, weight_bits=8), config) == (
        "rpe needs 1152 beats of the program's buffer for an output tile's weights, "
        f"the configuration has 960: {REMEDY}"
    )


def test_narrow_weights_fit_a_wide_array():
    assert compile_artifact(artifact_of(network_of(), weight=-7), config_of(weight_bits=8)).memory.size


def test_other_bias_fraction():
    assert refusal(artifact_of(network_of(), bias_fraction_bits=3), TINY) == (
        "the artifact's biases have 3 fractional bits, configuration tiny has 4: "
        "export again or change bias_fraction_bits"
    )


@pytest.mark.parametrize(
    ("image_channels", "name", "bits"),
    [
        # 9 weights of 7 by pixels to 127: 8001 needs 14 bits, more than 144 spikes by 7 in rpe (11 bits).
        (1, "conv0", 14),
        # 27 of them: 24003 needs 16 bits.
        (3, "conv0", 16),
    ],
)
def test_sums_too_wide(image_channels, name, bits):
    artifact = artifact_of(network_of(image_channels=image_channels), weight=7)
    assert layer_ranges(artifact)[name].accumulator_bits == bits
    assert compile_artifact(artifact, config_of(accumulator_bits=bits)).memory.size
    assert refusal(artifact, config_of(accumulator_bits=bits - 1)) == (
        f"{name} needs {bits} accumulator bits, the configuration has {bits - 1}: {REMEDY}"
    )


def test_bias_too_wide():
    limit = 1 << TINY.accumulator_bits + TINY.bias_fraction_bits - 1
    for sign in (1, -1):
        assert compile_artifact(artifact_of(network_of(), biases={"conv1": sign * (limit - 1)}), TINY).memory.size
        assert refusal(artifact_of(network_of(), biases={"conv1": sign * limit}), TINY) == (
            f"conv1 needs 21 bits of bias, the configuration has 20: {REMEDY}"
        )


def test_logit_too_wide():
    top = (1 << 31) - 1
    assert compile_artifact(artifact_of(network_of(), biases={"head": top}), TINY).memory.size
    assert refusal(artifact_of(network_of(), weight=1, biases={"head": top}), TINY) == (
        f"head needs 33 bits of a logit, the configuration has 32: {REMEDY}"
    )


@pytest.mark.parametrize(
    ("image_size", "positions", "name", "width"), [(4, 2, "rpe", 1), (12, 4, "conv3", 6), (4, 4, "conv3", 2)]
)
def test_columns_do_not_suit_the_positions(image_size, positions, name, width):
    config = config_of(WIDE, positions=positions, neurons=1)
    assert refusal(artifact_of(network_of(image_size=image_size)), config) == (
        f"{name} is {width} columns wide, the configuration's {positions} positions must not exceed that and must "
        "divide it before a pool: use fewer positions"
    )


def test_exact_fit():
    """Memories and limits of exactly what the network needs are enough."""
    artifact = artifact_of(network_of(image_size=16))
    program = compile_artifact(artifact, WIDE)
    exact = config_of(
        spike_words=program.spike_words, residual_words=program.residual_words, max_layers=len(program.names),
        max_classes=3, token_chunks=1, head_channels=8, attention_planes=5,
    )  # fmt: skip
    assert np.array_equal(compile_artifact(artifact, exact).memory, program.memory)


def test_depth_fourteen_is_the_deepest():
    artifact = artifact_of(network_of(depth=14))
    program = compile_artifact(artifact, config_of(WIDE, max_layers=200))
    adding = [step.fields["residual_planes_out"] for step in program.steps if step.layer and step.layer.residual]
    assert max(adding) == 5


@pytest.mark.parametrize(("mode", "planes"), [("clamp", 2), ("iand", 1)])
def test_bounded_residuals_allow_any_depth(mode, planes):
    artifact = artifact_of(network_of(depth=15, residual_mode=mode))
    program = compile_artifact(artifact, config_of(WIDE, max_layers=200))
    joining = [step.fields["residual_planes_out"] for step in program.steps if step.layer and step.layer.residual]
    assert joining == [planes] * 31
    passes = {step.fields["passes"] for step in program.steps if step.layer and step.layer.source == "residual"}
    assert passes == {planes}
    tokens = artifact.network.tokens // 2 * 4  # groups of two positions, slices of four channels
    assert program.residual_words == planes * tokens
