"""Packed layers unpack to their weights and parameters, and compute what the golden model computes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from golden.model import GoldenModel
from hw.config import BASE, LARGE, TINY, HardwareConfig
from sw.artifact import Artifact, LayerParameters
from sw.image_pack import pack_image
from sw.network import Layer, NetworkConfig
from sw.random_artifact import random_artifact, random_images
from sw.weight_pack import NEVER, OutputTiles, output_tiles, pack_weights

NETWORK = NetworkConfig(image_size=8, image_channels=2, classes=10, embed_dim=24, depth=1, heads=3)
CONFIGS = {
    "tiny": TINY,
    "base": BASE,
    "large": LARGE,
    "eight_bits": dataclasses.replace(TINY, weight_bits=8),
    "odd_outputs": dataclasses.replace(TINY, outputs=12),
}
LAYERS = {layer.name: layer for layer in NETWORK.layers() if layer.has_weights}


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return random_artifact(NETWORK, 4, seed=5)


@dataclass(frozen=True)
class Unpacked:
    """``[channels]``, ``[channels]`` and ``[channels, taps, inputs]``, with all padding."""

    bias: NDArray[np.int64]
    threshold: NDArray[np.int64]
    weights: NDArray[np.int64]


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def unpack(beats: NDArray[np.uint64], config: HardwareConfig, taps: int, slices: int) -> Unpacked:
    """Undo the layout: per output tile the parameters, then ``[tap][slice][output][input]``."""
    bias, threshold, weights = [], [], []
    per_tile = config.outputs + taps * slices * config.weight_slice_beats
    assert len(beats) % per_tile == 0
    for start in range(0, len(beats), per_tile):
        tile = [int(beat) for beat in beats[start : start + per_tile]]
        for beat in tile[: config.outputs]:
            bias.append(signed(beat & 0xFFFF_FFFF, 32))
            threshold.append(signed(beat >> 32, 32))
        rest = np.zeros((config.outputs, taps, slices * config.inputs), np.int64)
        position = config.outputs
        for tap in range(taps):
            for k in range(slices):
                beats_of_slice = tile[position : position + config.weight_slice_beats]
                bits = sum(beat << 64 * i for i, beat in enumerate(beats_of_slice))
                position += config.weight_slice_beats
                for output in range(config.outputs):
                    for i in range(config.inputs):
                        raw = bits >> (output * config.inputs + i) * config.weight_bits & (1 << config.weight_bits) - 1
                        rest[output, tap, k * config.inputs + i] = signed(raw, config.weight_bits)
        weights.append(rest)
    return Unpacked(np.array(bias), np.array(threshold), np.concatenate(weights))


def unpack_layer(artifact: Artifact, config: HardwareConfig, layer: Layer) -> Unpacked:
    taps, channels = (1, 9 * layer.in_channels) if layer.source == "image" else (layer.taps, layer.in_channels)
    return unpack(pack_weights(artifact, config, layer), config, taps, -(-channels // config.inputs))


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("name", ["conv1", "conv2", "rpe", "block0.fc1", "block0.fc2", "head"])
def test_unpacks_to_weights(artifact, config, name):
    layer = LAYERS[name]
    unpacked = unpack_layer(artifact, config, layer)
    weight = artifact.tensors[name].weight
    padded = np.zeros_like(unpacked.weights)
    for tap in range(layer.taps):
        column = weight[:, :, tap // 3, tap % 3] if layer.taps == 9 else weight
        padded[: layer.out_channels, tap, : layer.in_channels] = column
    assert np.array_equal(unpacked.weights, padded)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("name", ["conv0", "conv2", "block0.q", "head"])
def test_padding_channels_stay_silent(artifact, config, name):
    layer, parameters = LAYERS[name], artifact.tensors[name]
    unpacked = unpack_layer(artifact, config, layer)
    real = layer.out_channels
    assert np.array_equal(unpacked.bias[:real], parameters.bias)
    if layer.kind == "head":
        assert set(unpacked.bias[real:]) <= {NEVER}
    else:
        assert np.array_equal(unpacked.threshold[:real], parameters.threshold)
        assert set(unpacked.bias[real:]) <= {0}
        assert set(unpacked.threshold[real:]) <= {(1 << config.membrane_bits - 1) - 1}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_patches_times_weights_are_the_first_convolution(artifact, config):
    image = random_images(NETWORK, 1, seed=6)
    golden = GoldenModel(artifact).run(image, record=True, internals=True)
    unpacked = unpack_layer(artifact, config, LAYERS["conv0"])
    slices, groups = unpacked.weights.shape[2] // config.inputs, -(-64 // config.positions)
    packed = pack_image(artifact, config, image[0].numpy())
    bits = np.unpackbits(packed.view(np.uint8), bitorder="little").reshape(-1, config.group_beats * 64)
    planes = bits[:, : config.group_bits].reshape(
        config.image_passes, slices, groups, config.positions, config.timesteps, config.inputs
    )
    # [r, slice, group, p, t, i] -> [t, r, slice, i, group, p]: plane, input, position
    planes = planes.transpose(4, 0, 1, 5, 2, 3).reshape(8, slices * config.inputs, groups * config.positions)
    values = (planes.astype(np.int64) * np.array([1, 2, 4, 8, 16, 32, 64, -128])[:, None, None]).sum(axis=0)
    sums = unpacked.weights[: LAYERS["conv0"].out_channels, 0] @ values[:, :64]
    assert torch.equal(torch.tensor(sums), golden.accumulators["conv0"][0, 0].flatten(1))


def test_thresholds_scale_with_more_time_steps(artifact):
    """A network of 4 steps on 8 lanes: ``G_t 2^(8-t)`` against the threshold times 16."""
    config = dataclasses.replace(TINY, timesteps=8)
    unpacked = unpack_layer(artifact, config, LAYERS["conv1"])
    threshold = artifact.tensors["conv1"].threshold
    assert np.array_equal(unpacked.threshold[: len(threshold)], threshold << 4)


@pytest.mark.parametrize("accumulator_bits", [16, 23])
def test_thresholds_out_of_reach_saturate(artifact, accumulator_bits):
    config = dataclasses.replace(TINY, accumulator_bits=accumulator_bits)
    largest = (1 << config.membrane_bits - 1) - 1
    old = artifact.tensors["conv1"]
    threshold = np.array([1, largest, largest + 1, 1 << 31, 1 << 40, 5], np.int64)
    tensors = {**artifact.tensors, "conv1": dataclasses.replace(old, threshold=threshold)}
    assert isinstance(old, LayerParameters)
    unpacked = unpack_layer(dataclasses.replace(artifact, tensors=tensors), config, LAYERS["conv1"])
    assert list(unpacked.threshold[:6]) == [1, largest, largest, largest, largest, 5]


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
    assert output_tiles(TINY, layer) == tiles
