"""The banks of tables: none is filled while it is read, none is lost, and the next one is filled as soon as it may."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hw.array.table_banks import TableBanks
from hw.array.table_write import TABLE_ENTRIES
from tests.hw.benches import simulate

CYCLES = 1500


@pytest.mark.parametrize("staging", [1.0, 0.1])
@pytest.mark.parametrize("reading", [1.0, 0.1, 0.02])
def test_banks_are_filled_claimed_and_released_in_turn(staging, reading):
    """Slices are staged and tables read at any pace; every cycle's outputs are those of a count of tables."""
    dut, rng = TableBanks(), random.Random(f"{staging} {reading}")
    loads: list[int] = []
    claims = releases = 0

    async def bench(ctx: Any) -> None:
        nonlocal claims, releases
        staged = False
        free_since = [0, 0]  # the first cycle in which a load to that bank may be
        for cycle in range(CYCLES):
            staged = staged or rng.random() < staging
            available = ctx.get(dut.table_available)
            # A claim comes with the last step of the table before at the earliest.
            under_way = claims - releases
            release = under_way > 0 and rng.random() < reading
            claim = available and under_way - release == 0
            ctx.set(dut.staged, staged)
            ctx.set(dut.claim, claim)
            ctx.set(dut.release, release)
            _, _, load, filling, entry, bank, read_bank = await ctx.tick().sample(
                dut.load, dut.filling, dut.next_entry, dut.next_bank, dut.read_bank
            )
            filled = sum(cycle >= start + dut.latency for start in loads)
            assert available == (filled > claims)
            assert read_bank == releases % 2
            last_load = loads[-1] if loads else -TABLE_ENTRIES
            assert filling == (last_load < cycle <= last_load + TABLE_ENTRIES and bool(loads))
            earliest = max(free_since[len(loads) % 2], last_load + TABLE_ENTRIES)
            assert load == (staged and cycle >= earliest)
            if load or filling:
                assert entry == (cycle - last_load if filling else 0) % TABLE_ENTRIES
                follows = filling and cycle == last_load + TABLE_ENTRIES
                assert bank == (len(loads) - bool(filling) + follows) % 2
            claims += claim
            if release:
                free_since[releases % 2] = cycle + 1
                releases += 1
            if load:
                free_since[len(loads) % 2] = CYCLES
                loads.append(cycle)
                staged = False
            assert len(loads) - releases <= 2

    simulate(dut, bench)
    assert len(loads) > 10
