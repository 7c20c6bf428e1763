"""Partial sums: any entries, any step in any cycle, against integers."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hw.array.partial_sums import PartialSums
from hw.array.table_write import ENTRY_OFFSET, LARGEST_ENTRY, TABLE_ENTRIES, table_count
from hw.config import TABLE_INPUTS
from tests.hw.array.slices import CONFIGS, wrap
from tests.hw.benches import simulate

CYCLES = 150


def random_step(rng: random.Random, groups: int) -> dict[str, int]:
    """Often of the same few groups, so that steps meet what the step before left."""
    bits = ("valid", "first", "double", "final", "unsigned", "last_group", "last_of_tile")
    return {**{name: rng.getrandbits(1) for name in bits}, "group": rng.randrange(min(3, groups)), "buffer": 0}


@pytest.mark.parametrize("name", CONFIGS)
def test_sums_and_their_step_leave_with_the_stated_latency(name):
    """Entries are any numbers, not subset sums; those of the bank that is not read change meanwhile."""
    config, rng = CONFIGS[name], random.Random(9)
    dut, tables, count = PartialSums(config), table_count(config), config.inputs // TABLE_INPUTS
    words = [[0] * tables for _ in range(2 * TABLE_ENTRIES)]
    partial = [[0] * (config.outputs * config.lanes) for _ in range(config.tile_groups)]
    expected: list[tuple[dict[str, int], list[int]]] = []

    def fill(ctx: Any, address: int) -> None:
        words[address] = [rng.choice([0, LARGEST_ENTRY, rng.randint(0, LARGEST_ENTRY)]) for _ in range(tables)]
        ctx.set(dut.write.enable, 1)
        ctx.set(dut.write.address, address)
        ctx.set(dut.write.entries, words[address])

    def totals(spikes: int, step: dict[str, int], bank: int) -> list[int]:
        offset = 0 if step["unsigned"] else count * ENTRY_OFFSET
        made = []
        for output in range(config.outputs):
            for lane in range(config.lanes):
                fours = [spikes >> (lane * count + i) * TABLE_INPUTS & TABLE_ENTRIES - 1 for i in range(count)]
                entries = [words[bank * TABLE_ENTRIES + four][output * count + i] for i, four in enumerate(fours)]
                made.append(sum(entries) - offset)
        return made

    def accumulate(step: dict[str, int], added: list[int]) -> list[int]:
        old = [0 if step["first"] else value << step["double"] for value in partial[step["group"]]]
        new = [wrap(a + b, config.accumulator_bits) for a, b in zip(old, added, strict=True)]
        if step["valid"] and not step["final"]:
            partial[step["group"]] = new
        return new

    async def bench(ctx: Any) -> None:
        for address in range(2 * TABLE_ENTRIES):
            fill(ctx, address)
            await ctx.tick()
        bank = 0
        for cycle in range(CYCLES + dut.latency):
            step, spikes = random_step(rng, config.tile_groups), rng.getrandbits(config.group_bits)
            bank ^= rng.random() < 0.1
            ctx.set(dut.step, step)
            ctx.set(dut.spikes, spikes)
            ctx.set(dut.read_bank, bank)
            expected.append((step, accumulate(step, totals(spikes, step, bank))))
            fill(ctx, (1 - bank) * TABLE_ENTRIES + rng.randrange(TABLE_ENTRIES))
            _, _, late, sums = await ctx.tick().sample(dut.sums_step, dut.sums)
            if cycle >= dut.latency:
                before, values = expected[cycle - dut.latency]
                assert {key: late[key] for key in before} == before
                assert list(sums) == values

    simulate(dut, bench)
