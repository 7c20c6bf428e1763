"""The table writer: subset sums in Gray-code order, every 16 cycles a table of each."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from hw.array.table_write import ENTRY_OFFSET, TABLE_ENTRIES
from hw.array.table_writer import TableWriter, gray
from hw.config import TABLE_INPUTS
from tests.hw.array.slices import CONFIGS, pack, random_weights
from tests.hw.benches import simulate


def test_gray_code_reaches_every_subset_and_changes_one_input_at_a_time():
    subsets = [gray(index) for index in range(TABLE_ENTRIES)]
    assert subsets[0] == 0 and sorted(subsets) == list(range(TABLE_ENTRIES))
    for index, (before, after) in enumerate(pairwise(subsets)):
        lowest = (index + 1) & -(index + 1)
        assert before ^ after == lowest and bool(before & lowest) == bool((index + 1) & lowest << 1)


@pytest.mark.parametrize("name", CONFIGS)
def test_writes_every_subset_sum_of_every_table_in_gray_code_order(name):
    """Slices of either sign in both banks; every table is claimed at once and released a cycle later."""
    config, rng = CONFIGS[name], random.Random(8)
    slices = [(random_weights(config, rng, low), low) for low in (0, 1, 1, 0, 0)]
    beats = [(beat, low) for weights, low in slices for beat in pack(config, weights)]
    expected = []
    for number, (weights, low) in enumerate(slices):
        fours = [row[i : i + TABLE_INPUTS] for row in weights for i in range(0, config.inputs, TABLE_INPUTS)]
        for subset in map(gray, range(TABLE_ENTRIES)):
            sums = [sum(weight for i, weight in enumerate(four) if subset >> i & 1) for four in fours]
            entries = [total + (0 if low else ENTRY_OFFSET) for total in sums]
            expected.append((number % 2 * TABLE_ENTRIES + subset, entries))
    dut, written = TableWriter(config), []

    async def bench(ctx: Any) -> None:
        sent, release = 0, 0
        for _ in range(len(slices) * (TABLE_ENTRIES + config.slice_beats + dut.latency)):
            ctx.set(dut.weights.valid, sent < len(beats))
            beat, low = beats[min(sent, len(beats) - 1)]
            ctx.set(dut.weights.payload, beat)
            ctx.set(dut.unsigned_weights, low)
            claim = ctx.get(dut.table_available)
            ctx.set(dut.claim, claim)
            ctx.set(dut.release, release)
            release = claim
            _, _, ready, enable, address, entries = await ctx.tick().sample(
                dut.weights.ready, dut.write.enable, dut.write.address, dut.write.entries
            )
            sent += ready and sent < len(beats)
            if enable:
                written.append((address, list(entries)))

    simulate(dut, bench)
    assert written == expected


@pytest.mark.parametrize("name", ["one_lane", "two_tables"])
def test_two_tables_fill_ahead_of_the_first_claim(name):
    """The stated cycles of one fill, and that the writer stops taking weights with two tables and one slice held."""
    config = CONFIGS[name]
    dut, rng = TableWriter(config), random.Random(6)
    beats = [beat for _ in range(4) for beat in pack(config, random_weights(config, rng))]
    taken, available = [], []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.weights.valid, 1)
        for cycle in range(100):
            ctx.set(dut.weights.payload, beats[min(len(taken), len(beats) - 1)])
            _, _, ready, filled = await ctx.tick().sample(dut.weights.ready, dut.table_available)
            if ready:
                taken.append(cycle)
            available.append(filled)

    simulate(dut, bench)
    load = taken[config.slice_beats - 1] + 1
    assert available.index(1) == load + dut.latency
    assert len(taken) == 3 * config.slice_beats


def test_a_table_is_ready_every_sixteen_cycles():
    config = CONFIGS["one_lane"]
    dut, rng = TableWriter(config), random.Random(6)
    claims = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.weights.valid, 1)
        release = 0
        for cycle in range(200):
            ctx.set(dut.weights.payload, rng.getrandbits(config.memory_bits))
            ctx.set(dut.release, release)
            claim = ctx.get(dut.table_available)
            ctx.set(dut.claim, claim)
            if claim:
                claims.append(cycle)
            release = claim
            await ctx.tick()

    simulate(dut, bench)
    assert {later - earlier for earlier, later in pairwise(claims)} == {TABLE_ENTRIES}
