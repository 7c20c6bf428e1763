"""Jobs begin and end: well, with an error, by the host's reset at any time."""

from __future__ import annotations

import random
from typing import Any

import pytest
from benches import simulate

from hw.job_control import JobControl
from hw.registers import ErrorCause


class Bench:
    """A core that works for some cycles, a memory that needs some to fall idle, a writer of records."""

    def __init__(self, *, work: int = 10, drain: int = 0, record: int | None = None, seed: int = 0):
        self.dut, self.rng = JobControl(), random.Random(seed)
        self.work, self.drain, self.record = work, drain, record
        self.core_error, self.record_error = ErrorCause.NONE, False
        self.log: list[str] = []
        """Pulses in order."""

    async def job(self, ctx: Any, *, memory_error: int | None = None, reset: int | None = None) -> list[str]:
        """Start a job and wait until it is not busy; memory error and reset come at a cycle."""
        dut, log = self.dut, []
        left, drain, recording = -1, 0, -1
        ctx.set(dut.record, self.record is not None)
        ctx.set(dut.start, 1)
        ctx.set(dut.memory_idle, 1)
        for cycle in range(500):
            ctx.set(dut.core_done, left == 0)
            ctx.set(dut.core_error, self.core_error if left == 0 else 0)
            ctx.set(dut.core_descriptors, cycle)
            ctx.set(dut.core_cycles, 1000 + cycle)
            ctx.set(dut.memory_error, cycle == memory_error)
            ctx.set(dut.reset, cycle == reset)
            ctx.set(dut.record_done, recording == 0)
            ctx.set(dut.record_error, self.record_error)
            _, _, start, core_reset, stop, record_start, busy, ended = await ctx.tick().sample(
                dut.core_start, dut.core_reset, dut.memory_stop, dut.record_start, dut.busy, dut.ended
            )
            ctx.set(dut.start, 0)
            if start:
                log.append("start")
                left = self.work
            elif left > 0:
                left -= 1
            if core_reset:
                # In the cycle after the memory is idle, which is still stopped then.
                assert stop and drain == self.drain + 1
                log.append("core_reset")
                left = -1
            drain = drain + 1 if stop else 0
            ctx.set(dut.memory_idle, drain == self.drain if stop else not self.drain)
            recording = (self.record or 0) if record_start else recording - 1
            if record_start:
                log.append("record")
            if ended:
                assert not busy
                log.append("ended")
            if cycle > max(2, reset or 0) and not busy:
                return log
        raise AssertionError(f"the job hangs after {log}")

    def run(self, bench: Any) -> None:
        async def process(ctx: Any) -> None:
            await bench(ctx, self)

        simulate(self.dut, process)


def state(ctx: Any, dut: JobControl) -> tuple[bool, bool, ErrorCause]:
    return bool(ctx.get(dut.busy)), bool(ctx.get(dut.done)), ErrorCause(ctx.get(dut.error))


@pytest.mark.parametrize("record", [None, 5])
def test_a_job_ends_well(record):
    async def bench(ctx: Any, b: Bench) -> None:
        for job in range(3):
            log = await b.job(ctx)
            assert log == ["start", *(["record"] if record else []), "ended"]
            assert state(ctx, b.dut) == (False, True, ErrorCause.NONE)
            assert ctx.get(b.dut.jobs) == job + 1
            # What the core had counted when it was done: it began in cycle 1.
            assert ctx.get(b.dut.descriptors) == b.work + 2
            assert ctx.get(b.dut.cycles) == 1000 + b.work + 2

    Bench(record=record).run(bench)


@pytest.mark.parametrize("record", [None, 5])
@pytest.mark.parametrize("drain", [0, 7])
def test_an_error_of_the_core_resets_it(drain, record):
    async def bench(ctx: Any, b: Bench) -> None:
        b.core_error = ErrorCause.BAD_CHECK
        log = await b.job(ctx)
        assert log == ["start", "core_reset", *(["record"] if record else []), "ended"]
        assert state(ctx, b.dut) == (False, True, ErrorCause.BAD_CHECK)
        assert ctx.get(b.dut.descriptors) == b.work + 2
        b.core_error = ErrorCause.NONE
        await b.job(ctx)
        assert state(ctx, b.dut) == (False, True, ErrorCause.NONE)

    Bench(drain=drain, record=record).run(bench)


@pytest.mark.parametrize("drain", [0, 7])
@pytest.mark.parametrize("at", [1, 2, 6, 10])
def test_an_error_of_the_memory_stops_the_job(at, drain):
    async def bench(ctx: Any, b: Bench) -> None:
        assert await b.job(ctx, memory_error=at) == ["start", "core_reset", "ended"]
        assert state(ctx, b.dut) == (False, True, ErrorCause.MEMORY_ERROR)
        assert ctx.get(b.dut.cycles) == 1000 + at
        await b.job(ctx)
        assert state(ctx, b.dut) == (False, True, ErrorCause.NONE)

    Bench(drain=drain).run(bench)


@pytest.mark.parametrize("record", [None, 6])
@pytest.mark.parametrize("drain", [0, 5])
def test_a_reset_at_any_cycle_leaves_no_trace_and_the_next_job_runs(drain, record):
    async def bench(ctx: Any, b: Bench) -> None:
        for at in range(1, 35):
            jobs = ctx.get(b.dut.jobs)
            log = await b.job(ctx, reset=at)
            assert log.count("core_reset") == 1
            assert state(ctx, b.dut) == (False, False, ErrorCause.NONE), at
            assert ctx.get(b.dut.cycles) == 0
            # Unless it had ended before, or its record was already under way.
            assert ctx.get(b.dut.jobs) - jobs == ("ended" in log or "record" in log)
            assert (await b.job(ctx))[-1] == "ended"
            assert state(ctx, b.dut) == (False, True, ErrorCause.NONE)

    Bench(drain=drain, record=record).run(bench)


def test_an_error_of_the_record_is_a_cause_of_its_own():
    async def bench(ctx: Any, b: Bench) -> None:
        b.record_error = True
        await b.job(ctx)
        assert state(ctx, b.dut) == (False, True, ErrorCause.RESULT_ERROR)
        b.core_error = ErrorCause.BAD_OPCODE
        await b.job(ctx)
        assert state(ctx, b.dut) == (False, True, ErrorCause.BAD_OPCODE)

    Bench(record=3).run(bench)
