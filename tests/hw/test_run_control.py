"""When a job is busy and done, and why it ended."""

from __future__ import annotations

from typing import Any

import pytest

from hw.counters import FILING_CYCLES
from hw.host.registers import ErrorCause
from hw.run_control import RunControl
from tests.hw.benches import simulate


async def pulse(ctx: Any, signal: Any) -> None:
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


def state(ctx: Any, dut: RunControl) -> tuple[int, int, int, ErrorCause]:
    return ctx.get(dut.running), ctx.get(dut.busy), ctx.get(dut.done), ErrorCause(ctx.get(dut.error))


@pytest.mark.parametrize("idle_after", [0, FILING_CYCLES - 2, FILING_CYCLES + 20])
@pytest.mark.parametrize("intact", [False, True])
def test_a_job_is_done_when_counts_are_filed_and_all_of_the_program_has_come(idle_after, intact):
    dut = RunControl()

    async def process(ctx: Any) -> None:
        for _ in range(2):
            ctx.set(dut.reader_idle, 0)
            ctx.set(dut.intact, intact)
            await pulse(ctx, dut.start)
            await ctx.tick().repeat(5)
            assert state(ctx, dut) == (1, 1, 0, ErrorCause.NONE)
            await pulse(ctx, dut.ended)
            done_after = max(FILING_CYCLES, idle_after + 1)
            for cycle in range(done_after):
                assert state(ctx, dut) == (0, 1, 0, ErrorCause.NONE), cycle
                ctx.set(dut.reader_idle, cycle >= idle_after)
                await ctx.tick()
            assert state(ctx, dut) == (0, 0, 1, ErrorCause.NONE if intact else ErrorCause.PROGRAM_CRC)

    simulate(dut, process)


def test_an_error_ends_a_job_at_once_with_its_cause_and_the_next_start_forgets_it():
    dut = RunControl()

    async def process(ctx: Any) -> None:
        await pulse(ctx, dut.start)
        ctx.set(dut.cause, ErrorCause.BAD_CHECK)
        await pulse(ctx, dut.failed)
        assert state(ctx, dut) == (0, 0, 1, ErrorCause.BAD_CHECK)
        await pulse(ctx, dut.failed)  # of no job
        assert state(ctx, dut) == (0, 0, 1, ErrorCause.BAD_CHECK)
        await pulse(ctx, dut.start)
        assert state(ctx, dut) == (1, 1, 0, ErrorCause.NONE)

    simulate(dut, process)
