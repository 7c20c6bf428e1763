"""What is no program, or a program with wrong bits, ends with a cause; the next job is as if nothing had been."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.descriptor import Opcode, encode
from hw.named_configs import MINI, TINY
from sim.comparison.hardware import failure_of
from sw.compiler.program import DESCRIPTOR_WORDS, enclose, sealed
from sw.network import NetworkConfig
from tests.sim.small_network import Network

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=3, embed_dim=16, depth=1, heads=2, mlp_ratio=2)

WATCHDOG = 3000

Words = NDArray[np.uint64]


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Network:
    return alone(Network(images=1, network=NETWORK, config=MINI), tmp_path_factory.mktemp("mini"))


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Network:
    return alone(Network(images=1), tmp_path_factory.mktemp("tiny"))


def alone(network: Network, folder) -> Network:
    network.alone = network.run(folder, 1)
    network.check(network.alone[0])
    return network


def flipped(memory: Words, *bits: int) -> Words:
    """A program with wrong bits, counted from its first one."""
    wrong = memory.copy()
    for bit in bits:
        wrong[bit // 64] ^= np.uint64(1 << bit % 64)
    return wrong


@pytest.mark.parametrize("stalls", [0, 50])
def test_a_program_that_is_none_stops_with_its_cause_and_the_next_job_is_exact(network, tmp_path, stalls):
    memory = network.program.memory
    third = network.program.steps[2].address
    no_operation = memory.copy()
    no_operation[third : third + DESCRIPTOR_WORDS] = np.frombuffer(encode(opcode=5).to_bytes(64, "little"), "<u8")
    load = np.frombuffer(encode(opcode=Opcode.LOAD, weight_beats=1).to_bytes(64, "little"), "<u8")
    without_end = enclose(np.tile(load, 4), TINY)
    another = memory.copy()
    another[0] ^= np.uint64(1 << 24)
    longer = np.append(memory, np.uint64(0))
    wrong = {
        "BAD_CHECK": (flipped(memory, 64 * (third + 3) + 17), 2),
        "BAD_OPCODE": (sealed(no_operation), 2),
        # At the end of a program of loads the last one is under way.
        "PROGRAM_LENGTH": (without_end, 3),
        "PROGRAM_HEADER": (sealed(another), 0),
        "PROGRAM_HEADER ": (longer, 0),  # its header says one beat less
        "PROGRAM_CRC": (flipped(memory, 64 * len(memory) - 1), len(network.program.steps)),
    }
    programs = [program for bad, _ in wrong.values() for program in (bad, memory)]
    images = network.run_programs(tmp_path, programs, stalls=stalls)
    assert failure_of(network.program, images[0]) == (
        "image 0: the accelerator stopped with error BAD_CHECK at descriptor 2 (conv1)"
    )
    assert failure_of(network.program, images[10]) == "image 10: the accelerator stopped with error PROGRAM_CRC"
    for (cause, (_, descriptors)), bad in zip(wrong.items(), images[::2], strict=True):
        assert bad.job is not None
        assert (bad.job.error, bad.job.descriptors) == (cause.strip(), descriptors)
    for good in images[1::2]:
        network.check(dataclasses.replace(good, image=0), stalls=stalls)


def same_column(network: Network, count: int, seed: int) -> list[tuple[int, ...]]:
    """Two bits in one column of a descriptor, whose check they pass."""
    rng, flips = np.random.default_rng(seed), []
    for _ in range(count):
        step = network.program.steps[rng.integers(len(network.program.steps))]
        first, second = rng.choice(8 * DESCRIPTOR_WORDS, 2, replace=False)
        column = int(rng.integers(8))
        flips.append(tuple(64 * step.address + 8 * int(byte) + column for byte in (first, second)))
    return flips


def assert_wrong_bits_are_found(
    network: Network, folder, flips: list[tuple[int, ...]], *, check_every: int
) -> set[str]:
    """No program with a wrong bit has a result, and the good program, in between, is exact; returns the causes."""
    memory = network.program.memory
    programs, good = [], []
    for number, bits in enumerate(flips):
        programs.append(flipped(memory, *bits))
        if number % check_every == check_every - 1:
            good.append(len(programs))
            programs.append(memory)
    causes = set()
    for number, image in enumerate(network.run_programs(folder, programs, watchdog=WATCHDOG)):
        if number in good:
            network.check(dataclasses.replace(image, image=0))
        else:
            assert image.result is None, f"{image.job} of a program with a wrong bit"
            assert image.job is not None, image.failure
            causes.add(image.job.error)
    return causes


def some_bits(network: Network, count: int, seed: int) -> list[tuple[int, ...]]:
    """Bits anywhere in a program."""
    rng = np.random.default_rng(seed)
    return [(int(bit),) for bit in rng.choice(64 * len(network.program.memory), count, replace=False)]


def test_a_wrong_bit_anywhere_is_found(small, tmp_path):
    """In the header, in a descriptor, in parameters and weights, in the CRC itself."""
    end = 64 * len(small.program.memory)
    descriptor = 64 * small.program.steps_of("conv2")[0].address
    flips = [(0,), (63,), (descriptor + 100,), (end - 1,), (end - 64,), *some_bits(small, 25, seed=1)]
    causes = assert_wrong_bits_are_found(small, tmp_path, flips, check_every=10)
    assert causes >= {"PROGRAM_HEADER", "BAD_CHECK", "PROGRAM_CRC"}


@pytest.mark.long
def test_hundreds_of_wrong_bits_anywhere_are_found(small, tmp_path):
    causes = assert_wrong_bits_are_found(small, tmp_path, some_bits(small, 400, seed=2), check_every=4)
    assert causes >= {"BAD_CHECK", "PROGRAM_CRC"}


def test_descriptors_that_pass_their_check_in_vain_end_with_a_cause(small, tmp_path):
    """One does something else, then; another waits for what never comes, or runs in a circle."""
    livelock = 64 * small.program.steps_of("block0.fc1")[0].address
    flips = [(livelock + 130, livelock + 490), *same_column(small, 12, seed=6)]
    causes = assert_wrong_bits_are_found(small, tmp_path, flips, check_every=4)
    assert causes >= {"STALLED", "PROGRAM_CRC"}


@pytest.mark.long
def test_many_descriptors_that_pass_their_check_in_vain_end_with_a_cause(small, tmp_path):
    causes = assert_wrong_bits_are_found(small, tmp_path, same_column(small, 150, seed=5), check_every=1)
    assert causes >= {"STALLED", "PROGRAM_CRC", "PROGRAM_TOO_LARGE", "PROGRAM_LENGTH"}
