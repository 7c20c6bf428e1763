"""What a compiled program holds; descriptors decode back to what they should do."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from hw.descriptor import DESCRIPTOR, DESCRIPTOR_BITS, DESCRIPTOR_CHECK, FIELDS, Descriptor, Opcode
from hw.host.registers import VERSION
from hw.named_configs import LARGE, TINY
from hw.neurons.membranes import carry_cycles
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.compiler.program import DESCRIPTOR_WORDS, Program, header_words
from sw.compiler.weight_pack import pack_weights
from sw.network import NetworkConfig
from tests.sw.compiler.networks import COMPILED, WIDE, artifact_of, compiled, config_of, network_of


def descriptor_at(program: Program, word: int) -> Descriptor:
    """A descriptor as the gateware reads them from memory."""
    words = program.memory[word : word + DESCRIPTOR_WORDS]
    bits = sum(int(value) << 64 * i for i, value in enumerate(words))
    check = 0
    for byte in bits.to_bytes(DESCRIPTOR_BITS // 8, "little"):
        check ^= byte
    assert check == DESCRIPTOR_CHECK
    view = DESCRIPTOR.from_bits(bits & (1 << DESCRIPTOR.size) - 1)
    return Descriptor(**{name: getattr(view, name) for name in FIELDS})


@pytest.mark.parametrize("name", COMPILED)
def test_program_is_one_stream(name):
    """Descriptor after descriptor, each followed by its parameters and weights, as a reader without `Step` sees it."""
    artifact, program = compiled(name)
    config, word = program.config, header_words(program.config)
    for step in program.steps:
        assert step.address == word
        descriptor = descriptor_at(program, word)
        assert descriptor == step.descriptor
        word += DESCRIPTOR_WORDS
        assert word * 64 % config.memory_bits == 0
        if descriptor.opcode is not Opcode.WEIGHTS:
            continue
        segments = (1 + descriptor.wide) * (1 + descriptor.image)
        beats = descriptor.output_tiles * (config.parameter_beats + segments * descriptor.weight_beats)
        length = beats * config.memory_bits // 64
        packed = pack_weights(artifact, config, step.layer, step.channels)
        assert np.array_equal(program.memory[word : word + length], packed)
        word += length
    assert program.weight_words == word - header_words(config) - len(program.steps) * DESCRIPTOR_WORDS
    # Header and CRC-32 around them, a beat each.
    content, beat = program.memory.tobytes(), config.memory_bits // 8
    assert len(content) == 8 * word + beat
    assert content[:4] == b"SPK" + bytes([VERSION])
    assert content[4:beat] == len(content).to_bytes(4, "little") + bytes(beat - 8)
    assert content[-beat:] == bytes(beat - 4) + zlib.crc32(content[:-4]).to_bytes(4, "little")


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
        assert step.descriptor.opcode is opcode
        number = step.descriptor.layer
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
        assert step.descriptor.memory_address == beat
        beat += step.descriptor.weight_beats
    assert beat * config.memory_bits == program.image_words * 64


@pytest.mark.parametrize("name", COMPILED)
def test_tiles_cover_all_positions(name):
    artifact, program = compiled(name)
    config = program.config
    for step in program.steps:
        if step.layer is None:
            continue
        descriptor = step.descriptor
        positions = len(step.rows) * step.layer.width
        chunks = -(-artifact.network.timesteps // config.timesteps)
        groups = -(-positions // (config.lanes if descriptor.image else config.positions))
        whole, rest = divmod(positions, config.positions)
        counted = whole * chunks * config.positions + rest
        if descriptor.opcode is Opcode.WEIGHTS:
            assert descriptor.positions == counted
        else:
            assert descriptor.groups == groups
        assert 1 <= descriptor.last_tile_groups <= descriptor.tile_groups <= config.tile_groups
        words = 1 if descriptor.image else chunks
        assert descriptor.tile_groups == descriptor.chunk_groups * words
        assert descriptor.last_tile_groups == descriptor.last_chunk_groups * words
        assert (descriptor.tiles - 1) * descriptor.chunk_groups + descriptor.last_chunk_groups == groups
        assert descriptor.tiles == -(-groups // (config.tile_groups // words))
        assert descriptor.time_chunks == chunks
        assert (chunks - 1) * config.timesteps + descriptor.timesteps == artifact.network.timesteps


def test_membranes_are_back_for_the_next_time_chunk():
    """A piece, of K, V and logits a batch, is read so slowly that those of a word take ten cycles."""
    config = config_of(time_chunks=4)
    assert carry_cycles(config) == 10
    artifact = artifact_of(network_of(timesteps=10, embed_dim=32))
    program = compile_artifact(artifact, config)
    pace = {name: program.steps_of(name)[0].descriptor.pace for name in program.names[1:] if "attention" not in name}
    # Layers of one piece (conv0 and conv1 have 4 and 8 channels), of two, and in the order of channels.
    assert pace["conv0"] == 10 and pace["conv1"] == pace["block0.fc1"] == pace["block0.q"] == 5
    assert pace["block0.k"] == pace["block0.v"] == pace["head"] == 10
    wide = compile_artifact(artifact_of(network_of(timesteps=10, embed_dim=32), weight_bits=8), config_of(
        weight_bits=8, time_chunks=3
    ))  # fmt: skip
    assert wide.steps_of("block0.fc1")[0].descriptor.pace == 3
    alone = compile_artifact(artifact_of(network_of(timesteps=4)), config)
    assert {step.descriptor.pace for step in alone.steps} == {0}


def test_weights_are_fetched_once():
    """Nothing but descriptors, parameters and the weights themselves: in an even geometry no padding at all."""
    network = network_of(image_size=32, image_channels=4, embed_dim=256, depth=2, heads=8, classes=16)
    artifact = artifact_of(network)
    program = compile_artifact(artifact, LARGE)
    weights = sum(tensors.weight.size for name, tensors in artifact.tensors.items() if name != "conv0")
    parameters = sum(len(tensors.bias) for tensors in artifact.tensors.values())
    image_weights = 2 * 32 * 64  # of 32 channels, whose 36 inputs fill two slices, and negated for the sign plane
    assert program.weight_words == parameters + (weights + image_weights) * 4 // 64


@pytest.mark.parametrize("bits", [2, 3])
@pytest.mark.parametrize("config", [TINY, config_of(time_chunks=4), config_of(weight_bits=8)])
def test_narrower_weights_are_four_bit_weights_that_stay_small(config, bits):
    network = network_of(timesteps=min(config.max_timesteps, 10))
    narrow, four = (compile_artifact(artifact_of(network, weight=1, weight_bits=width), config) for width in (bits, 4))
    assert np.array_equal(narrow.memory, four.memory)


def test_narrow_weights_fit_a_wide_array():
    assert compile_artifact(artifact_of(network_of(), weight=-7), config_of(weight_bits=8)).memory.size


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
    adding = [step.descriptor.residual_planes_out for step in program.steps if step.layer and step.layer.residual]
    assert max(adding) == 5


@pytest.mark.parametrize(("mode", "planes"), [("clamp", 2), ("iand", 1)])
def test_bounded_residuals_allow_any_depth(mode, planes):
    artifact = artifact_of(network_of(depth=15, residual_mode=mode))
    program = compile_artifact(artifact, config_of(WIDE, max_layers=200))
    joining = [step.descriptor.residual_planes_out for step in program.steps if step.layer and step.layer.residual]
    assert joining == [planes] * 31
    passes = {step.descriptor.passes for step in program.steps if step.layer and step.layer.source == "residual"}
    assert passes == {planes}
    tokens = artifact.network.tokens // 2 * 4  # groups of two positions, slices of four channels
    assert program.residual_words == planes * tokens
