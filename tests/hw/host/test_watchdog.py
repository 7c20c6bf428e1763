"""When a job stands still, and when it does not."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hw.host.watchdog import Watchdog
from tests.hw.benches import simulate


@pytest.mark.parametrize("limit", [1, 2, 20])
def test_expires_after_as_many_cycles_without_what_must_happen(limit):
    """Beside a count in Python, on inputs that stand still at random; it starts again when it is over."""
    dut, rng = Watchdog(), random.Random(limit)
    seen = []

    async def process(ctx: Any) -> None:
        ctx.set(dut.limit, limit)
        running, since, progress = False, 0, False
        for _ in range(150):
            awaited, rate = rng.random() < 0.5, rng.choice([0, 0.02, 0.5])
            for _ in range(rng.randint(1, 3 * limit)):
                answered, advances = rng.random() < rate, rng.random() < rate
                ctx.set(dut.running, running)
                ctx.set(dut.awaited, awaited)
                ctx.set(dut.answered, answered)
                ctx.set(dut.advances, advances)
                _, _, expired = await ctx.tick().sample(dut.expired)
                seen.append((bool(expired), since == limit + 1))
                # What happens counts a cycle later, a job's end at once.
                since = 1 if not running or progress or since == limit + 1 else since + 1
                progress = answered or (advances and not awaited)
            running = rng.random() < 0.9

    simulate(dut, process)
    assert all(found == expected for found, expected in seen)
    assert sum(expected for _, expected in seen) > 10


def test_is_off_with_a_limit_of_0():
    dut = Watchdog()

    async def process(ctx: Any) -> None:
        ctx.set(dut.limit, 3)
        await ctx.tick()
        ctx.set(dut.running, 1)
        ctx.set(dut.awaited, 1)
        ctx.set(dut.limit, 0)
        for _ in range(4):  # the job that runs has the limit it began with until something happens
            assert not ctx.get(dut.expired)
            ctx.set(dut.answered, 1)
            await ctx.tick()
        ctx.set(dut.answered, 0)
        for _ in range(100):
            assert not ctx.get(dut.expired)
            await ctx.tick()

    simulate(dut, process)
