"""The image's beats end up as words, in order, whatever the memory's pace."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from benches import MemoryModel, simulate

from hw.config import MEMORY_BEAT_BITS, TINY, HardwareConfig
from hw.image_load import ImageLoad

BASE, OFFSET, DESTINATION = 5000, 12, 300

CONFIGS = {
    "half_a_beat": TINY,
    "one_beat": dataclasses.replace(TINY, inputs=8),
    "two_beats": dataclasses.replace(TINY, inputs=8, positions=4),
    "four_beats": dataclasses.replace(TINY, inputs=8, positions=8, neurons=1),
}


def content(address: int) -> int:
    return random.Random(address).getrandbits(MEMORY_BEAT_BITS)


def words(config: HardwareConfig, count: int) -> list[int]:
    """Words of whole beats, the first beat lowest; what exceeds a word is padding."""
    beats = config.group_beats
    return [
        sum(content(BASE + OFFSET + beats * word + i) << MEMORY_BEAT_BITS * i for i in range(beats))
        & (1 << config.group_bits) - 1
        for word in range(count)
    ]


def run_loads(
    config: HardwareConfig, counts: list[int], *, rate: float = 1.0
) -> tuple[list[list[tuple[int, int, int]]], list[tuple[int, int]], list[int]]:
    """Load `counts` words one after the other: their writes, the requests, the cycles of each job."""
    dut = ImageLoad(config)
    memory = MemoryModel(dut.memory, content, seed=1, request_rate=rate, response_rate=rate)
    writes: list[list[tuple[int, int, int]]] = []
    cycles: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.base, BASE)
        for count in counts:
            beats = count * config.group_beats
            fields = {"weight_beats": beats, "memory_address": OFFSET, "destination_base": DESTINATION}
            ctx.set(dut.descriptor, fields)
            assert ctx.get(dut.done)
            ctx.set(dut.start, 1)
            writes.append([])
            for cycle in range(2000):
                write = dut.write
                _, _, valid, *written, done = await ctx.tick().sample(
                    write.valid, write.address, write.banks, write.data, dut.done
                )
                ctx.set(dut.start, 0)
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
    banks = (1 << config.positions) - 1
    assert writes == [
        [(DESTINATION + i, banks, word) for i, word in enumerate(words(config, count))] for count in counts
    ]
    assert requests == [(BASE + OFFSET, count * config.group_beats) for count in counts]


@pytest.mark.parametrize("name", CONFIGS)
def test_takes_a_beat_every_cycle(name):
    config = CONFIGS[name]
    _, _, cycles = run_loads(config, [7])
    # Start, request, beats; `done` is high in the cycle after the last write.
    assert cycles == [2 + 7 * config.group_beats]
