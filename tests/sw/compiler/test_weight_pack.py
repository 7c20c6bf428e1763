"""Packed layers unpack to their weights and parameters, and compute what the golden model computes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.config import IMAGE_PLANES, HardwareConfig
from hw.named_configs import BASE, LARGE, TINY
from sw.artifact.artifact import Artifact, LayerParameters
from sw.compiler.image_pack import pack_image
from sw.compiler.weight_pack import NEVER, OutputTiles, output_tiles, pack_weights, split_weights
from sw.errors import UserError
from sw.layer import Layer
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=2, classes=10, embed_dim=24, depth=1, heads=3)
CONFIGS = {
    "tiny": TINY,
    "base": BASE,
    "large": LARGE,
    "wide_port": dataclasses.replace(TINY, memory_bits=128),
    "odd_outputs": dataclasses.replace(TINY, outputs=12),
    "fewer_outputs": dataclasses.replace(TINY, outputs=8, inputs=16),
}
LAYERS = {layer.name: layer for layer in NETWORK.layers() if layer.has_weights}


@cache
def artifact_of(bits: int) -> Artifact:
    return random_artifact(NETWORK, bits, seed=5)


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return artifact_of(4)


@dataclass(frozen=True)
class Unpacked:
    """``[channels]``, ``[channels]`` and ``[segments, channels, taps, inputs]``, with all padding, 4 bits unsigned."""

    bias: NDArray[np.int64]
    threshold: NDArray[np.int64]
    weights: NDArray[np.int64]

    def signed(self, segment: int = 0) -> NDArray[np.int64]:
        return (self.weights[segment] ^ 8) - 8


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def unpack(words: NDArray[np.uint64], config: HardwareConfig, taps: int, slices: int, segments: int) -> Unpacked:
    """Undo the layout: per output tile the parameters, then segments of slices, in rows of every fourth input."""
    bias, threshold, weights = [], [], []
    slice_words = config.slice_beats * config.memory_bits // 64
    per_tile = config.outputs + segments * taps * slices * slice_words
    assert len(words) % per_tile == 0
    for start in range(0, len(words), per_tile):
        tile = [int(word) for word in words[start : start + per_tile]]
        for word in tile[: config.outputs]:
            bias.append(signed(word & 0xFFFF_FFFF, 32))
            threshold.append(signed(word >> 32, 32))
        rest = np.zeros((segments, config.outputs, taps, slices * config.inputs), np.int64)
        position = config.outputs
        for segment in range(segments):
            for k in range(slices):
                for tap in range(taps):
                    bits = sum(word << 64 * i for i, word in enumerate(tile[position : position + slice_words]))
                    position += slice_words
                    for output in range(config.outputs):
                        for i in range(config.inputs):
                            row, table = i % 4, output * (config.inputs // 4) + i // 4
                            nibble = bits >> row * slice_words * 16 + table * 4 & 15
                            rest[segment, output, tap, k * config.inputs + i] = nibble
        assert position == per_tile
        weights.append(rest)
    return Unpacked(np.array(bias), np.array(threshold), np.concatenate(weights, axis=1))


def unpack_layer(
    artifact: Artifact, config: HardwareConfig, layer: Layer, channels: range | None = None, inputs: int | None = None
) -> Unpacked:
    """Unpack a layer; `inputs` are its input channels on the chip, where these are more than the layer's."""
    is_image = layer.source == "image"
    taps, own = (1, 9 * layer.in_channels) if is_image else (layer.taps, layer.in_channels)
    segments = (1 + is_image) * (artifact.weight_bits // 4)
    packed = pack_weights(artifact, config, layer, channels or range(layer.out_channels))
    assert packed.dtype == np.uint64
    assert len(packed) * 64 % config.memory_bits == 0
    return unpack(packed, config, taps, -(-(inputs or own) // config.inputs), segments)


def flat(artifact: Artifact, layer: Layer) -> NDArray[np.int64]:
    """``[out, taps, in]``; the image layer's patch is one tap."""
    weight = artifact.tensors[layer.name].weight.astype(np.int64)
    if layer.kind != "conv":
        return weight[:, None]
    by_tap = np.stack([weight[:, :, tap // 3, tap % 3] for tap in range(9)], axis=1)
    return by_tap.reshape(len(weight), 1, -1) if layer.source == "image" else by_tap


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("name", ["conv0", "conv1", "conv2", "rpe", "block0.fc1", "block0.fc2", "head"])
def test_unpacks_to_weights(artifact, config, name):
    layer = LAYERS[name]
    unpacked, weight = unpack_layer(artifact, config, layer), flat(artifact, layer)
    padded = np.zeros_like(unpacked.weights[0])
    padded[: weight.shape[0], :, : weight.shape[2]] = weight
    assert np.array_equal(unpacked.signed(-1), padded)
    if layer.source == "image":
        assert len(unpacked.weights) == 2
        assert np.array_equal(unpacked.signed(0), -padded)
    else:
        assert len(unpacked.weights) == 1


@pytest.mark.parametrize("config", [dataclasses.replace(TINY, weight_bits=8), LARGE], ids=["tiny", "large"])
@pytest.mark.parametrize("name", ["conv0", "conv1", "block0.fc1", "head"])
def test_halves_unpack_to_weights(config, name):
    """8 bits: the high halves, signed, then the low ones, unsigned; the image's are signed, each negated first."""
    layer, artifact = LAYERS[name], artifact_of(8)
    unpacked, weight = unpack_layer(artifact, config, layer), flat(artifact, layer)
    padded = np.zeros_like(unpacked.weights[0])
    padded[: weight.shape[0], :, : weight.shape[2]] = weight
    assert np.abs(weight).max() > 100
    if layer.source == "image":
        assert np.array_equal(16 * unpacked.signed(0) + unpacked.signed(2), -padded)
        assert np.array_equal(16 * unpacked.signed(1) + unpacked.signed(3), padded)
    else:
        assert np.array_equal(16 * unpacked.signed(0) + unpacked.weights[1], padded)


def test_split_is_exact():
    weights = np.arange(-128, 128).astype(np.int8)
    high, low = split_weights(weights, image=False)
    assert (high.dtype, low.dtype) == (np.int8, np.int8)
    assert np.array_equal(16 * high.astype(np.int64) + low, weights)
    assert (high.min(), high.max(), low.min(), low.max()) == (-8, 7, 0, 15)
    high, low = split_weights(weights, image=True)
    assert np.array_equal(16 * high.astype(np.int64) + low, weights)
    assert (low.min(), low.max()) == (-8, 7)
    assert weights[high <= 7].max() == 119
    limited = np.arange(-119, 120).astype(np.int8)
    for values in (limited, -limited):
        high, low = split_weights(values, image=True)
        assert (high.min(), high.max(), low.min(), low.max()) == (-7, 7, -8, 7)


@pytest.mark.parametrize("worst", [120, -120, 127, -127])
def test_image_weights_beyond_two_signed_halves_are_refused(worst):
    artifact = artifact_of(8)
    tensors = artifact.tensors["conv0"]
    weight = tensors.weight.copy()
    assert np.abs(weight).max() <= 119
    weight[1, 0, 1, 2] = worst
    with pytest.raises(UserError) as refused:
        dataclasses.replace(
            artifact, tensors={**artifact.tensors, "conv0": dataclasses.replace(tensors, weight=weight)}
        )
    assert str(refused.value) == (
        f"conv0.weight holds {worst}, outside -119..119 of 8-bit weights of the image; quantise with a narrow range"
    )


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("name", ["conv0", "conv2", "block0.fc1", "head"])
def test_padding_channels_stay_silent(artifact, config, name):
    layer, parameters = LAYERS[name], artifact.tensors[name]
    unpacked = unpack_layer(artifact, config, layer)
    real = layer.out_channels
    assert np.array_equal(unpacked.bias[:real], parameters.bias)
    assert_silent(unpacked, config, real, NEVER if layer.kind == "head" else 0)
    if layer.kind != "head":
        assert np.array_equal(unpacked.threshold[:real], parameters.threshold)


def assert_silent(unpacked: Unpacked, config: HardwareConfig, real: int, bias: int) -> None:
    assert set(unpacked.bias[real:]) <= {bias}
    assert set(unpacked.threshold[real:]) <= {(1 << config.membrane_bits - 1) - 1}
    assert not unpacked.weights[:, real:].any()


@pytest.mark.parametrize(("name", "padded"), [("tiny", 8), ("base", 8), ("large", 32), ("fewer_outputs", 16)])
@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_heads_fill_words(artifact, name, padded, part):
    """A head of 8 channels: its own rows of the weights, then channels that never fire up to a whole word."""
    config, layer = CONFIGS[name], LAYERS[f"block0.{part}"]
    parameters, weight = artifact.tensors[layer.name], flat(artifact, layer)
    for head in range(3):
        channels = range(head * 8, head * 8 + 8)
        unpacked = unpack_layer(artifact, config, layer, channels)
        assert len(unpacked.bias) == -(-padded // config.outputs) * config.outputs
        assert np.array_equal(unpacked.bias[:8], parameters.bias[channels])
        assert np.array_equal(unpacked.threshold[:8], parameters.threshold[channels])
        assert np.array_equal(unpacked.signed()[:8, :, : layer.in_channels], weight[channels])
        assert_silent(unpacked, config, 8, 0)


@pytest.mark.parametrize(("name", "padded"), [("tiny", 8), ("base", 8), ("large", 32), ("fewer_outputs", 16)])
def test_projection_skips_the_silent_channels(artifact, name, padded):
    layer = LAYERS["block0.proj"]
    unpacked = unpack_layer(artifact, CONFIGS[name], layer, inputs=3 * padded)
    by_head = unpacked.signed()[: layer.out_channels, 0, : 3 * padded].reshape(-1, 3, padded)
    assert np.array_equal(by_head[:, :, :8].reshape(-1, 24), artifact.tensors[layer.name].weight)
    assert not by_head[:, :, 8:].any()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_planes_times_segments_are_the_first_convolution(config, bits):
    """As the array goes: the sign plane with the negated weights, then doubling; high and low halves apart."""
    artifact, image = artifact_of(bits), random_images(NETWORK, 1, seed=6)
    golden = GoldenModel(artifact).record(image, internals=True)
    unpacked = unpack_layer(artifact, config, LAYERS["conv0"])
    slices, groups = unpacked.weights.shape[3] // config.inputs, -(-64 // config.lanes)
    packed = pack_image(artifact, config, image[0].numpy(), (range(8),))
    stored = np.unpackbits(packed.view(np.uint8), bitorder="little").reshape(
        -1, config.group_beats * config.memory_bits
    )
    planes = stored[:, : config.group_bits].reshape(
        IMAGE_PLANES, slices, groups, config.positions, config.timesteps, config.inputs
    )
    # [plane, slice, group, p, t, i] -> [plane, slice, i, group, t, p]: plane, input, position
    planes = planes.transpose(0, 1, 5, 2, 4, 3).reshape(IMAGE_PLANES, slices * config.inputs, -1).astype(np.int64)
    total = 0
    for half in range(bits // 4):
        sums = unpacked.signed(2 * half)[:, 0] @ planes[IMAGE_PLANES - 1]
        for plane in reversed(range(IMAGE_PLANES - 1)):
            sums = 2 * sums + unpacked.signed(2 * half + 1)[:, 0] @ planes[plane]
        total = 16 * total + sums
    real = total[: LAYERS["conv0"].out_channels, :64]
    assert torch.equal(torch.tensor(real), golden.accumulators["conv0"][0, 0].flatten(1))


def test_thresholds_scale_with_more_time_steps(artifact):
    """A network of 4 steps on 8 lanes: ``G_t 2^(8-t)`` against the threshold times 16."""
    config = dataclasses.replace(TINY, timesteps=8)
    unpacked = unpack_layer(artifact, config, LAYERS["conv1"])
    threshold = artifact.tensors["conv1"].threshold
    assert np.array_equal(unpacked.threshold[: len(threshold)], threshold << 4)


@pytest.mark.parametrize("timesteps", [2, 4])
def test_thresholds_without_leak_scale_with_the_lanes_alone(artifact, timesteps):
    """Of any number of steps: ``2^7 V_8`` against ``2^7 theta``; the largest number stands for those out of reach."""
    config = dataclasses.replace(TINY, timesteps=8, if_neurons=True)
    most, end = (1 << config.membrane_bits - 1) - 1, 1 << config.current_bits
    threshold = np.array([1, end - 1, end, 1 << 31, (1 << 63) - 1, 5], np.int64)
    tensors = {**artifact.tensors, "conv1": dataclasses.replace(artifact.tensors["conv1"], threshold=threshold)}
    network = dataclasses.replace(NETWORK, neuron="if", timesteps=timesteps)
    unpacked = unpack_layer(dataclasses.replace(artifact, tensors=tensors, network=network), config, LAYERS["conv1"])
    assert list(unpacked.threshold[:6]) == [1 << 7, end - 1 << 7, most, most, most, 5 << 7]


@pytest.mark.parametrize("accumulator_bits", [16, 18])
def test_thresholds_out_of_reach_saturate(artifact, accumulator_bits):
    config = dataclasses.replace(TINY, accumulator_bits=accumulator_bits)
    largest = (1 << config.membrane_bits - 1) - 1
    old = artifact.tensors["conv1"]
    threshold = np.array([1, largest, largest + 1, 1 << 31, 1 << 40, 5], np.int64)
    tensors = {**artifact.tensors, "conv1": dataclasses.replace(old, threshold=threshold)}
    assert isinstance(old, LayerParameters)
    unpacked = unpack_layer(dataclasses.replace(artifact, tensors=tensors), config, LAYERS["conv1"])
    assert list(unpacked.threshold[:6]) == [1, largest, largest, largest, largest, 5]


@pytest.mark.parametrize("largest", [1 << 40, 1 << 52, (1 << 63) - 1])
def test_thresholds_out_of_reach_saturate_where_scaling_leaves_64_bits(artifact, largest):
    config = dataclasses.replace(TINY, time_chunks=4)
    assert config.max_timesteps - NETWORK.timesteps == 12
    most = (1 << config.membrane_bits - 1) - 1
    threshold = np.array([1, most >> 12, (most >> 12) + 1, largest, largest - 1, 5], np.int64)
    tensors = {**artifact.tensors, "conv1": dataclasses.replace(artifact.tensors["conv1"], threshold=threshold)}
    packed = pack_weights(dataclasses.replace(artifact, tensors=tensors), config, LAYERS["conv1"], range(6))
    stored = packed[:6] >> np.uint64(config.threshold_offset)
    assert list(stored) == [1 << 12, most >> 12 << 12, most, most, most, 5 << 12]


@pytest.mark.parametrize(
    ("channels", "pool", "tiles"),
    [
        (3, False, OutputTiles(1, 1, 1)),
        (8, False, OutputTiles(1, 2, 2)),
        (9, False, OutputTiles(2, 2, 1)),
        (20, False, OutputTiles(3, 2, 1)),
        (20, True, OutputTiles(3, 2, 2)),
        (4, True, OutputTiles(1, 1, 1)),
    ],
)
def test_cuts_output_channels(channels, pool, tiles):
    layer = dataclasses.replace(LAYERS["conv2"], out_channels=channels, pool=pool)
    assert output_tiles(TINY, NETWORK, layer) == tiles
    assert tiles.total_pieces == (tiles.count * tiles.pieces if pool else -(-channels // 4))


def test_cuts_a_head():
    assert output_tiles(LARGE, NETWORK, LAYERS["block0.k"]) == OutputTiles(2, 1, 1)
    assert output_tiles(BASE, NETWORK, LAYERS["block0.k"]) == OutputTiles(1, 1, 1)
