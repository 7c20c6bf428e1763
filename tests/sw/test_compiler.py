"""What the compiler places, packs and refuses; descriptors decode back to what they should do."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest

from hw.config import BASE, LARGE, TINY, HardwareConfig
from hw.isa import DESCRIPTOR, DESCRIPTOR_BEATS, Destination, Opcode
from sw.artifact import Artifact, LayerParameters
from sw.compiler import Program, compile_artifact
from sw.errors import UserError
from sw.image_pack import pack_image
from sw.network import Layer, NetworkConfig
from sw.weight_pack import pack_weights

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
    fields: dict[str, Any] = {
        "network": network,
        "weight_bits": 4,
        "bias_fraction_bits": 4,
        "tensors": {
            layer.name: parameters_of(layer, weight, (biases or {}).get(layer.name, 0))
            for layer in network.layers()
            if layer.has_weights
        },
        "image_table": np.tile(np.arange(-128, 128).clip(-127).astype(np.int8), (network.image_channels, 1)),
        "image_scale": 1.0,
        "dataset": "none",
    }
    return Artifact(**{**fields, **changes})


def config_of(base: HardwareConfig = TINY, **changes: Any) -> HardwareConfig:
    return dataclasses.replace(base, name="mine", **changes)


WIDE = config_of(spike_words=1 << 20, residual_words=1 << 20, attention_planes=12, token_chunks=255)
"""A tiny array with memories that hold anything."""

COMPILED = {
    "tiny": (network_of(), TINY),
    "three_channels_two_blocks": (network_of(image_channels=3, depth=2, image_size=16), TINY),
    "fewer_time_steps": (network_of(timesteps=3), TINY),
    "several_tiles": (network_of(image_size=32, embed_dim=24, heads=3), TINY),
    "base": (network_of(image_size=28, embed_dim=64, depth=2, classes=10), BASE),
    "large": (network_of(image_size=32, image_channels=3, embed_dim=128, heads=4, classes=10), config_of(LARGE)),
    "four_positions": (
        network_of(image_size=16, embed_dim=40, heads=1),
        config_of(outputs=16, inputs=8, positions=4, head_channels=40),
    ),
    "clamp": (network_of(depth=2, residual_mode="clamp"), TINY),
    "iand": (network_of(depth=2, residual_mode="iand"), TINY),
    "one_time_step": (network_of(timesteps=1), config_of(timesteps=1)),
}


@cache
def compiled(name: str) -> tuple[Artifact, Program]:
    network, config = COMPILED[name]
    artifact = artifact_of(network, weight=1)
    return artifact, compile_artifact(artifact, config)


def decode(program: Program, index: int) -> dict[str, int]:
    """Fields of a descriptor as the gateware reads them from memory."""
    beats = program.memory[index * DESCRIPTOR_BEATS : (index + 1) * DESCRIPTOR_BEATS]
    bits = sum(int(beat) << 64 * i for i, beat in enumerate(beats))
    view = DESCRIPTOR.from_bits(bits & (1 << DESCRIPTOR.size) - 1)
    fields = {name: getattr(view, name) for name in DESCRIPTOR.members if name != "check"}
    return {name: getattr(value, "value", value) for name, value in fields.items()}


@pytest.mark.parametrize("name", COMPILED)
def test_descriptors_decode_back(name):
    artifact, program = compiled(name)
    layers = artifact.network.layers()
    assert [step.name for step in program.steps] == ["load", *(layer.name for layer in layers), "end"]
    for index, step in enumerate(program.steps):
        fields = decode(program, index)
        assert fields == {**dict.fromkeys(fields, 0), **step.fields}
    opcodes = [decode(program, index)["opcode"] for index in range(len(program.steps))]
    expected = [Opcode.ATTENTION if layer.kind == "attention" else Opcode.WEIGHTS for layer in layers]
    assert opcodes == [opcode.value for opcode in (Opcode.LOAD, *expected, Opcode.END)]


@pytest.mark.parametrize("name", COMPILED)
def test_weights_follow_the_descriptors_without_a_gap(name):
    artifact, program = compiled(name)
    end = len(program.steps) * DESCRIPTOR_BEATS
    for step in program.steps:
        if step.layer is None or step.layer.kind == "attention":
            continue
        assert step.fields["memory_address"] == end
        packed = pack_weights(artifact, program.config, step.layer)
        assert len(packed) == step.fields["output_tiles"] * (program.config.outputs + step.fields["weight_beats"])
        assert np.array_equal(program.memory[end : end + len(packed)], packed)
        end += len(packed)
    assert end == len(program.memory)


@pytest.mark.parametrize("name", COMPILED)
def test_image_beats_are_those_of_the_packed_image(name):
    artifact, program = compiled(name)
    network = artifact.network
    image = np.zeros((network.image_channels, network.image_size, network.image_size), np.uint8)
    assert len(pack_image(artifact, program.config, image)) == program.image_beats


@pytest.mark.parametrize("name", COMPILED)
def test_tiles_cover_all_positions(name):
    _, program = compiled(name)
    for step in program.steps[1:-1]:
        fields = step.fields
        assert fields["positions"] == step.layer.positions
        assert fields["groups"] == -(-step.layer.positions // program.config.positions)
        assert 1 <= fields["last_tile_groups"] <= fields["tile_groups"] <= program.config.tile_groups
        assert (fields["tiles"] - 1) * fields["tile_groups"] + fields["last_tile_groups"] == fields["groups"]


class OnChip:
    """Which word of which tensor every address of a memory holds."""

    def __init__(self, words: int):
        self.words: dict[int, tuple[str, int, int, int]] = {}
        self.size = words

    def write(self, base: int, stride: int, tensor: str, plane: int, slices: int, groups: int) -> None:
        for k in range(slices):
            for group in range(groups):
                address = base + k * stride + group
                assert 0 <= address < self.size
                self.words[address] = tensor, plane, k, group

    def check(self, base: int, stride: int, tensor: str, plane: int, slices: int, groups: int) -> set[int]:
        """The tensor must lie there whole; returns its addresses."""
        addresses = set()
        for k in range(slices):
            for group in range(groups):
                assert self.words[base + k * stride + group] == (tensor, plane, k, group)
                addresses.add(base + k * stride + group)
        return addresses


@pytest.mark.parametrize("name", COMPILED)
def test_every_layer_reads_what_its_source_wrote(name):
    """Runs the program on names: no tensor is overwritten before its last reader, none while it is read."""
    artifact, program = compiled(name)
    config = program.config
    spikes, residual = OnChip(program.spike_words), OnChip(program.residual_words)
    residual_planes, residual_max = 0, 0
    load = program.steps[0].fields
    slices = -(-9 * artifact.network.image_channels // config.inputs)
    groups = -(-(artifact.network.image_size**2) // config.positions)
    for plane in range(config.image_passes):
        base = load["destination_base"] + plane * slices * groups
        spikes.write(base, groups, "image", plane, slices, groups)
    for step in program.steps[1:-1]:
        layer, fields, read = step.layer, step.fields, set()
        source = layer.source
        memory = residual if source == "residual" else spikes
        assert bool(fields.get("source_residual")) == (source == "residual")
        if layer.kind == "attention":
            words = layer.in_channels // config.inputs
            read = spikes.check(
                fields["source_base"], fields["source_slice_stride"], source, 0, words, fields["groups"]
            )
        else:
            expected = {"image": slices}.get(source, -(-layer.in_channels // config.inputs))
            assert fields["slices"] == expected
            top = fields["passes"] - 1
            if source == "residual":
                assert fields["passes"] == residual_planes == residual_max.bit_length()
            for plane in range(fields["passes"]):
                base = fields["source_base"] - (top - plane) * fields["source_plane_stride"]
                stride = fields["source_slice_stride"]
                read |= memory.check(base, stride, source, plane, fields["slices"], fields["groups"])
        height, width = layer.output_grid
        written = -(-height * width // config.positions)
        destination = Destination(fields.get("destination", 0))
        words = -(-layer.out_channels // config.inputs)
        if layer.kind != "attention":
            padded = (fields["output_tiles"] - 1) * fields["tile_words"] + fields["last_tile_words"]
            assert padded >= words
            words = padded
        before = dict(spikes.words)
        if destination in (Destination.SPIKES, Destination.SPIKES_AND_RESIDUAL):
            assert fields["destination_slice_stride"] == written
            spikes.write(fields["destination_base"], written, step.name, 0, words, written)
        if source != "residual":
            assert all(spikes.words[address] == before[address] for address in read)
        if destination == Destination.SPIKES_AND_RESIDUAL:
            residual.write(fields.get("residual_base", 0), written, "residual", 0, words, written)
            residual_planes = residual_max = 1
        if destination == Destination.RESIDUAL:
            assert layer.residual
            assert fields["residual_planes_in"] == residual_planes
            mode = artifact.network.residual_mode
            assert fields["residual_mode"] == {"add": 0, "clamp": 1, "iand": 2}[mode]
            residual_max = {"add": residual_max + 1, "clamp": min(residual_max + 1, 3), "iand": 1}[mode]
            residual_planes = residual_max.bit_length()
            assert fields["residual_planes_out"] == residual_planes
            for plane in range(residual_planes):
                base = fields.get("residual_base", 0) + plane * fields["residual_plane_stride"]
                residual.write(base, written, "residual", plane, words, written)
        part = layer.name.rpartition(".")[2]
        special = {"k": Destination.KEYS, "v": Destination.VALUES, "head": Destination.LOGITS}
        assert (destination == special[part]) if part in special else (destination not in special.values())


def refusal(artifact: Artifact, config: HardwareConfig) -> str:
    with pytest.raises(UserError) as refused:
        compile_artifact(artifact, config)
    return str(refused.value)


@pytest.mark.parametrize(
    ("network", "config", "message"),
    [
        ({}, {"timesteps": 2}, "the network needs 4 time steps, the configuration has 2"),
        ({}, {"max_classes": 2}, "head needs 3 classes, the configuration has 2"),
        ({}, {"max_layers": 13}, "the network needs 14 layers, the configuration has 13"),
        ({"depth": 15}, {"max_layers": 200}, "head needs 6 residual bit-planes, the configuration has 5"),
        ({"image_size": 260}, {}, "conv2 needs 260 columns to pool, the configuration has 256"),
        ({"embed_dim": 64, "heads": 1}, {}, "attention needs 64 channels per head, the configuration has 32"),
        ({"embed_dim": 136, "heads": 17}, {}, "attention needs 136 channels of K and V, the configuration has 128"),
        (
            {"image_size": 48}, {"attention_planes": 7},
            "attention needs 8 bits per entry of K^T V, the configuration has 7",
        ),
        (
            {"image_size": 32}, {"token_chunks": 1},
            "attention needs 2 position tiles of K and V, the configuration has 1",
        ),
        ({}, {"spike_words": 100}, "the network needs 224 words of spike memory, the configuration has 100"),
        ({}, {"residual_words": 20}, "the network needs 24 words of residual memory, the configuration has 20"),
        (
            {"embed_dim": 456, "heads": 57}, {"outputs": 128, "weight_bits": 8, "token_channels": 456},
            "rpe needs 65792 beats of weights in a burst, the configuration has 65536",
        ),
        (
            {"image_size": 144, "image_channels": 3, "embed_dim": 32},
            {"inputs": 8, "positions": 8, "neurons": 1, "attention_segment": 8},
            "the image needs 82944 beats in a burst, the configuration has 65536",
        ),
        (
            {"embed_dim": 256, "heads": 64}, {"token_channels": 256},
            "block0.attention does not fit the descriptor: descriptor field heads holds 0 to 63, not 64; "
        ),
    ],
)  # fmt: skip
def test_network_too_large(network, config, message):
    separator = "" if message.endswith("; ") else ": "
    assert refusal(artifact_of(network_of(**network)), config_of(WIDE, **config)) == message + separator + REMEDY


def test_weights_too_wide():
    artifact = artifact_of(network_of(), weight_bits=8)
    assert refusal(artifact, TINY) == f"the network needs 8 bits per weight, the configuration has 4: {REMEDY}"
    assert compile_artifact(artifact, config_of(weight_bits=8)).memory.size


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
    assert artifact.ranges()[name].accumulator_bits == bits
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


def test_heads_do_not_fill_words():
    assert refusal(artifact_of(network_of(heads=8)), TINY) == (
        "attention heads have 2 channels, not a multiple of the configuration's 4 inputs: "
        "use fewer heads or a configuration with fewer inputs"
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
        spike_words=program.spike_words, residual_words=program.residual_words, max_layers=len(program.steps) - 1,
        max_classes=3, token_channels=16, token_chunks=1, head_channels=8, attention_planes=5,
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
