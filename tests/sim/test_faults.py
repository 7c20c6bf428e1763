"""Faults that are named by what they hit: the bit lies where the layout puts it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from golden.random_artifact import random_artifact
from hw.descriptor import DESCRIPTOR, DESCRIPTOR_BITS
from hw.named_configs import BASE, LARGE, TINY
from hw.program.header import CRC_BYTES
from sim.faults import find_flip, memory_image
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import DESCRIPTOR_WORDS, Program, check_program
from sw.errors import UserError
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=3, embed_dim=16, depth=1, heads=2)
CONFIGS = {"tiny": TINY, "wide_port": dataclasses.replace(TINY, memory_bits=128), "base": BASE, "large": LARGE}


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS)
def program(request) -> Program:
    return compile_artifact(random_artifact(NETWORK, 4, seed=7), request.param)


def flipped_bits(program: Program, text: str) -> list[int]:
    """Bits of the program that a flip changes, counted from the layer's first descriptor; its CRC is right again."""
    image = memory_image(program, [find_flip(program, text)])
    check_program(image.tobytes())
    changed = (image ^ program.memory).view(np.uint8)[:-CRC_BYTES]
    bits = np.flatnonzero(np.unpackbits(changed, bitorder="little"))
    return [int(bit) - 64 * program.steps_of(text.split(".")[0])[0].address for bit in bits]


def test_descriptor(program):
    assert flipped_bits(program, "conv1.descriptor") == [DESCRIPTOR["passes"].offset]


@pytest.mark.parametrize("part", ["bias", "threshold"])
def test_parameters(program, part):
    config = program.config
    channel = min(4, config.outputs) // 2  # conv1 has 4 channels
    bit = config.current_bits - 1 if part == "bias" else 32 + config.membrane_bits - 2
    assert flipped_bits(program, f"conv1.{part}") == [DESCRIPTOR_BITS + channel * 64 + bit]


def test_weight_in_the_middle_of_the_kernel(program):
    config = program.config
    channel, tap = min(4, config.outputs) // 2, 4
    weights = DESCRIPTOR_BITS + config.outputs * 64
    tables = channel * config.inputs // 4  # of the channels before: a slice begins with the first weight of each
    assert flipped_bits(program, "conv1.weight") == [
        weights + tap * config.slice_beats * config.memory_bits + tables * 4 + 3
    ]


def test_what_does_not_exist(program):
    with pytest.raises(UserError, match="no layer 'conv9' to corrupt; there are load, conv0"):
        find_flip(program, "conv9.weight")
    with pytest.raises(UserError, match=r"block0\.attention has no weight; name a layer with weights"):
        find_flip(program, "block0.attention.weight")
    assert DESCRIPTOR_WORDS * 64 == DESCRIPTOR_BITS
