"""The image's beats end up as words, in order, whatever the memory's pace."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from hw.config import HardwareConfig
from hw.memory.image_load import ImageLoad
from hw.named_configs import BASE, LARGE, TINY
from tests.hw.benches import MemoryModel, simulate

BASE_ADDRESS, OFFSET, DESTINATION = 5000, 12, 300
LONGEST = 1 << 16
"""Beats of a burst."""

CONFIGS = {
    "half_a_beat": TINY,
    "half_a_beat_of_two": BASE,
    "two_beats": LARGE,
    "one_beat": dataclasses.replace(TINY, inputs=8),
    "four_beats": dataclasses.replace(TINY, inputs=8, positions=8, neurons=1),
    "pieces": dataclasses.replace(TINY, inputs=16),
}


def content(config: HardwareConfig, address: int) -> int:
    return random.Random(address).getrandbits(config.memory_bits)


def words(config: HardwareConfig, count: int, offset: int) -> list[int]:
    """Words of whole beats, the first beat lowest; what exceeds a word is padding."""
    beats, first = config.group_beats, BASE_ADDRESS + offset
    return [
        sum(content(config, first + beats * word + i) << config.memory_bits * i for i in range(beats))
        & (1 << config.group_bits) - 1
        for word in range(count)
    ]


def run_loads(
    config: HardwareConfig, counts: list[int], *, rate: float = 1.0, latency: int = 1
) -> tuple[list[list[tuple[int, ...]]], list[tuple[int, int]], list[int]]:
    """Load `counts` words one after the other: their writes, the requests, the cycles of each job.

    The descriptor is gone the cycle after the start.
    """
    dut = ImageLoad(config)
    memory = MemoryModel(
        dut.memory, lambda at: content(config, at), seed=1, request_rate=rate, response_rate=rate, latency=latency
    )
    writes: list[list[tuple[int, ...]]] = []
    cycles: list[int] = []

    async def bench(ctx: Any) -> None:
        for job, count in enumerate(counts):
            ctx.set(
                dut.descriptor,
                {
                    "weight_beats": count * config.group_beats,
                    "memory_address": OFFSET + job,
                    "destination_base": DESTINATION + job,
                },
            )
            ctx.set(dut.base, BASE_ADDRESS)
            assert ctx.get(dut.done)
            ctx.set(dut.start, 1)
            writes.append([])
            for cycle in range(2000):
                write = dut.write
                _, _, valid, *written, done = await ctx.tick().sample(
                    write.valid, write.address, write.banks, write.pieces, write.data, dut.done
                )
                ctx.set(dut.start, 0)
                ctx.set(dut.descriptor.as_value(), random.Random(cycle).getrandbits(300))
                ctx.set(dut.base, cycle)
                if valid:
                    writes[-1].append(tuple(written))
                if done:
                    cycles.append(cycle)
                    break

    simulate(dut, bench, memory.process)
    return writes, memory.requests, cycles


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_copies_images_one_after_the_other(name, rate):
    config, counts = CONFIGS[name], [5, 1, 12]
    writes, requests, _ = run_loads(config, counts, rate=rate)
    banks, pieces = (1 << config.positions) - 1, (1 << config.word_pieces) - 1
    assert writes == [
        [(DESTINATION + job + i, banks, pieces, word) for i, word in enumerate(words(config, count, OFFSET + job))]
        for job, count in enumerate(counts)
    ]
    assert requests == [(BASE_ADDRESS + OFFSET + job, count * config.group_beats) for job, count in enumerate(counts)]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("latency", [1, 30])
def test_takes_a_beat_every_cycle(name, latency):
    config = CONFIGS[name]
    _, _, cycles = run_loads(config, [7], latency=latency)
    # Start, latency, beats; `done` is high in the cycle after the last write.
    assert cycles == [1 + latency + 7 * config.group_beats]


@pytest.mark.parametrize("beats", [LONGEST, LONGEST + 1, 3 * LONGEST - 1, 3 * LONGEST, (1 << 20) - 1])
def test_long_images_take_several_bursts(beats):
    """One request per cycle; a memory that does not answer keeps the test short."""
    dut = ImageLoad(TINY)
    memory = MemoryModel(dut.memory, lambda _: 0, latency=10**6)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.descriptor, {"weight_beats": beats, "memory_address": OFFSET})
        ctx.set(dut.base, BASE_ADDRESS)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().repeat(-(-beats // LONGEST))
        assert not ctx.get(dut.memory.request.valid)
        assert not ctx.get(dut.done)

    simulate(dut, bench, memory.process)
    first = BASE_ADDRESS + OFFSET
    assert memory.requests == [(first + at, min(LONGEST, beats - at)) for at in range(0, beats, LONGEST)]
