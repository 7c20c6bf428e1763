"""Packed images unpack to the patches of the image, and other images are refused."""

from __future__ import annotations

import dataclasses
import itertools
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from golden.random_artifact import random_artifact, random_images
from hw.config import IMAGE_PLANES, HardwareConfig
from hw.named_configs import BASE, LARGE, TINY
from sw.artifact.artifact import Artifact
from sw.compiler.image_pack import image_groups, pack_bits, pack_image
from sw.errors import UserError
from sw.network import NetworkConfig

CONFIGS = {
    "tiny": TINY,
    "base": BASE,
    "large": LARGE,
    "one_time_step": dataclasses.replace(TINY, timesteps=1),
    "eight_time_steps": dataclasses.replace(TINY, timesteps=8),
    "four_beats": dataclasses.replace(TINY, inputs=8, positions=8, neurons=1),
    "wide_port": dataclasses.replace(TINY, memory_bits=128),
    "positions_left_over": dataclasses.replace(TINY, positions=8, neurons=1, inputs=8, timesteps=8),
}

WHOLE = (range(12),)
STRIPS = (range(8, 12), range(2, 10), range(0, 4))


@cache
def artifact(channels: int) -> Artifact:
    network = NetworkConfig(image_size=12, image_channels=channels, classes=3, embed_dim=16, depth=1, heads=2)
    return random_artifact(network, 4, seed=channels)


def image_of(made: Artifact, seed: int = 3) -> NDArray[np.uint8]:
    return random_images(made.network, 1, seed)[0].numpy()


def unpack(packed: NDArray[np.uint64], config: HardwareConfig, slices: int, positions: int) -> NDArray[np.int64]:
    """Signed inputs ``[slices * inputs, positions]`` of one strip, bit by bit from the layout's description."""
    groups = -(-positions // config.lanes)
    result = np.zeros((slices * config.inputs, groups * config.lanes), np.int64)
    words = iter(int(word) for word in packed)
    word_beats = config.memory_bits // 64
    for plane in range(IMAGE_PLANES):
        value = -(1 << plane) if plane == IMAGE_PLANES - 1 else 1 << plane
        for k in range(slices):
            for group in range(groups):
                word = sum(next(words) << 64 * i for i in range(config.group_beats * word_beats))
                assert word < 1 << config.group_bits
                for p in range(config.positions):
                    for t in range(config.timesteps):
                        position = (group * config.timesteps + t) * config.positions + p
                        for i in range(config.inputs):
                            bit = word >> ((p * config.timesteps + t) * config.inputs + i) & 1
                            result[k * config.inputs + i, position] += bit * value
    assert next(words, None) is None
    assert not result[:, positions:].any()
    return result[:, :positions]


def patches(made: Artifact, image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """``[9 * channels, positions]`` of the network's input, zero outside."""
    channels, height, width = image.shape
    result = np.zeros((9, channels, height, width), np.int64)
    for tap in range(9):
        for y in range(height):
            for x in range(width):
                row, column = y + tap // 3 - 1, x + tap % 3 - 1
                if 0 <= row < height and 0 <= column < width:
                    for c in range(channels):
                        result[tap, c, y, x] = made.image_table[c, image[c, row, column]]
    return result.reshape(9 * channels, height * width)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strips", [WHOLE, STRIPS], ids=["whole", "strips"])
def test_unpacks_to_patches(name, channels, strips):
    config, made = CONFIGS[name], artifact(channels)
    image = image_of(made)
    expected = patches(made, image)
    slices = -(-expected.shape[0] // config.inputs)
    packed = pack_image(made, config, image, strips)
    assert packed.dtype == np.uint64
    start = 0
    for rows in strips:
        groups = image_groups(config, len(rows) * 12)
        words = IMAGE_PLANES * slices * groups * config.group_beats * config.memory_bits // 64
        unpacked = unpack(packed[start : start + words], config, slices, len(rows) * 12)
        of_strip = expected[:, rows.start * 12 : rows.stop * 12]
        assert np.array_equal(unpacked[: expected.shape[0]], of_strip)
        assert not unpacked[expected.shape[0] :].any()
        start += words
    assert start == len(packed)


@pytest.mark.parametrize("name", ["tiny", "base", "positions_left_over"])
@pytest.mark.parametrize("strips", [WHOLE, STRIPS], ids=["whole", "strips"])
@pytest.mark.parametrize("bits", [1, 3])
def test_event_frames_are_patches_of_every_time_step(name, strips, bits):
    """A position group has a word for each chunk of the lanes; lanes behind the last time step are silent."""
    config = CONFIGS[name]
    network = NetworkConfig(
        image_size=12, image_channels=2, classes=3, embed_dim=16, depth=1, heads=2, timesteps=10, event_bits=bits
    )
    made = random_artifact(network, 4, seed=1)
    frames = image_of(made)
    expected = np.stack([patches(made, frame) for frame in frames], axis=1)  # [inputs, T, positions]
    slices, chunks = -(-18 // config.inputs), -(-10 // config.timesteps)
    beats = iter(int(word) for word in pack_image(made, config, frames, strips))
    for rows in strips:
        groups = -(-len(rows) * 12 // config.positions)
        for plane, k, group, chunk in itertools.product(*map(range, (bits, slices, groups, chunks))):
            word = sum(next(beats) << 64 * i for i in range(config.group_beats * config.memory_bits // 64))
            for place in range(config.group_bits):
                lane, i = divmod(place, config.inputs)
                p, t = divmod(lane, config.timesteps)
                channel, step = k * config.inputs + i, chunk * config.timesteps + t
                position = group * config.positions + p
                real = channel < 18 and step < 10 and position < len(rows) * 12
                count = int(expected[channel, step, rows.start * 12 + position]) if real else 0
                assert word >> place & 1 == count >> plane & 1
    assert next(beats, None) is None


def test_every_pixel_value():
    made = artifact(1)
    image = np.arange(144, dtype=np.uint8).reshape(1, 12, 12)
    for offset in (0, 112):
        packed = pack_image(made, TINY, image + np.uint8(offset), WHOLE)
        assert np.array_equal(unpack(packed, TINY, 3, 144)[:9], patches(made, image + np.uint8(offset)))


@pytest.mark.parametrize(
    ("shape", "dtype", "given"),
    [
        ((3, 12, 12), np.uint8, "uint8 [3, 12, 12]"),
        ((1, 12, 16), np.uint8, "uint8 [1, 12, 16]"),
        ((12, 12), np.uint8, "uint8 [12, 12]"),
        ((1, 1, 12, 12), np.uint8, "uint8 [1, 1, 12, 12]"),
        ((1, 12, 12), np.float32, "float32 [1, 12, 12]"),
        ((1, 12, 12), np.int8, "int8 [1, 12, 12]"),
    ],
)
def test_image_wrong(shape, dtype, given):
    with pytest.raises(UserError) as refused:
        pack_image(artifact(1), TINY, np.zeros(shape, dtype), WHOLE)
    assert str(refused.value) == (
        f"image is {given}, the network takes uint8 [1, 12, 12]: "
        "give unsigned 8-bit pixels, channels first, of that size"
    )


def test_counts_above_the_range_wrong():
    network = NetworkConfig(
        image_size=8, image_channels=2, classes=3, embed_dim=16, depth=1, heads=2, timesteps=2, event_bits=3
    )
    made, frames = random_artifact(network, 4, seed=1), np.full((2, 2, 8, 8), 7, np.uint8)
    assert pack_image(made, TINY, frames, (range(8),)).any()
    frames[1, 0, 3, 3] = 8
    with pytest.raises(UserError) as refused:
        pack_image(made, TINY, frames, (range(8),))
    assert str(refused.value) == (
        "the event frames hold a count of 8, the network takes 0 to 7 (3 event bits): clip them, or give it more event "
        "bits"
    )


@pytest.mark.parametrize("beat_bits", [64, 128])
@pytest.mark.parametrize("bits", [1, 8, 63, 64, 65, 130])
def test_pack_bits_pads_every_row_to_beats(bits, beat_bits):
    rows = np.random.default_rng(bits).integers(0, 2, (3, bits)).astype(np.uint8)
    words = -(-bits // beat_bits) * beat_bits // 64
    packed = [int(word) for word in pack_bits(rows, bits, beat_bits)]
    expected = []
    for row in rows:
        value = sum(int(bit) << i for i, bit in enumerate(row))
        expected += [value >> 64 * i & (1 << 64) - 1 for i in range(words)]
    assert packed == expected
