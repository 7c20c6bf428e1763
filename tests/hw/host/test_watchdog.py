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
        await ctx.tick()
        running, since, progress = False, 0, False
        for _ in range(150):
            awaited, rate = rng.random() < 0.5, rng.choice([0, 0.02, 0.5])
            for _ in range(rng.randint(1, 3 * limit)):
                answered, advances, written = (rng.random() < chance for chance in (rate, rate, 0.01))
                ctx.set(dut.running, running)
                ctx.set(dut.awaited, awaited)
                ctx.set(dut.answered, answered)
                ctx.set(dut.advances, advances)
                ctx.set(dut.written, written)
                _, _, expired = await ctx.tick().sample(dut.expired)
                over = since == limit + 2
                seen.append((bool(expired), over))
                # What happens counts a cycle later, a job's end at once.
                since = 1 if not running or progress or written or over else since + 1
                progress = answered or (advances and not awaited)
            running = rng.random() < 0.9

    simulate(dut, process)
    assert all(found == expected for found, expected in seen)
    assert sum(expected for _, expected in seen) > 10


def test_is_off_with_a_limit_of_0_and_takes_another_one_at_any_time():
    dut = Watchdog()

    async def process(ctx: Any) -> None:
        async def cycles(count: int) -> int:
            expired = 0
            for _ in range(count):
                expired += (await ctx.tick().sample(dut.expired))[2]
            return expired

        async def write(limit: int) -> None:
            ctx.set(dut.written, 1)
            await ctx.tick()
            ctx.set(dut.written, 0)
            ctx.set(dut.limit, limit)

        await ctx.tick()
        ctx.set(dut.running, 1)
        ctx.set(dut.awaited, 1)
        assert await cycles(100) == 0
        await write(1000)
        assert await cycles(500) == 0
        await write(10)  # less than has passed
        assert await cycles(12) == 1
        await write(0)
        assert await cycles(200) == 0

    simulate(dut, process)
