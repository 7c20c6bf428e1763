"""Jobs begin and end: well, with an error, by the host's reset at any time."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import ClockDomain, Module

from hw.external.axi import Response
from hw.host.job_control import JobControl
from hw.host.registers import ErrorCause, Record
from hw.host.result_writer import ResultWriter
from hw.named_configs import TINY
from tests.hw.axi_models import WriteSlave
from tests.hw.benches import simulate


class Bench:
    """A core that works for some cycles, a memory that owes a job `drain` cycles of data, a writer of records.

    `record` is None for none, else the chance that memory goes on with a channel in a cycle.
    """

    def __init__(self, *, work: int = 10, drain: int = 0, record: float | None = None, seed: int = 0):
        self.top = Module()
        self.top.submodules.dut = self.dut = dut = JobControl()
        self.top.submodules.writer = self.writer = writer = ResultWriter(TINY)
        self.top.d.comb += [
            writer.start.eq(dut.record_start),
            writer.stop.eq(dut.record_stop),
            writer.jobs.eq(dut.jobs),
            dut.record_last.eq(writer.last),
            dut.record_done.eq(writer.done),
            dut.record_error.eq(writer.failed),
            dut.record_idle.eq(writer.idle),
        ]
        self.rng = random.Random(seed)
        self.work, self.drain, self.record = work, drain, record
        self.owed = 0
        """Cycles until memory is idle; it gets so only while it is stopped."""
        self.core_error, self.record_error = ErrorCause.NONE, False
        self.memory = WriteSlave(
            writer.axi, rate=record or 1, seed=seed,
            respond=lambda _: Response.SLVERR if self.record_error else Response.OKAY,
        )  # fmt: skip
        self.log: list[str] = []
        """Pulses in order."""

    async def job(
        self, ctx: Any, *, memory_error: int | None = None, reset: int | None = None, expired: int | None = None
    ) -> list[str]:
        """Start a job and wait until it is not busy; memory error, reset and timeout come at a cycle."""
        dut, log = self.dut, []
        left = -1
        ctx.set(dut.record, self.record is not None)
        ctx.set(dut.start, 1)
        for cycle in range(1000):
            ctx.set(dut.memory_idle, self.owed == 0)
            ctx.set(dut.expired, cycle == expired)
            ctx.set(dut.core_done, left == 0)
            ctx.set(dut.core_error, self.core_error if left == 0 else 0)
            ctx.set(dut.core_descriptors, cycle)
            ctx.set(dut.core_cycles, 1000 + cycle)
            ctx.set(dut.memory_error, cycle == memory_error)
            ctx.set(dut.reset, cycle == reset)
            _, _, start, core_reset, stop, record_start, last, busy, ended = await ctx.tick().sample(
                dut.core_start, dut.core_reset, dut.memory_stop, dut.record_start, self.writer.last, dut.busy, dut.ended
            )
            ctx.set(dut.start, 0)
            if start:
                assert not stop and self.owed == 0
                log.append("start")
                left, self.owed = self.work, self.drain
            elif left == 0 and self.core_error == ErrorCause.NONE:
                self.owed = 0
            elif left > 0:
                left -= 1
            if core_reset:
                assert stop
                log.append("core_reset")
                left = -1
            self.owed -= bool(stop and self.owed)
            if record_start:
                log.append("record")
            if last:
                assert reset is None or cycle < reset
                log.append("last line")
            if ended:
                assert not busy
                log.append("ended")
            if cycle > max(2, reset or 0) and not busy:
                return log
        raise AssertionError(f"the job hangs after {log}")

    def run(self, bench: Any) -> None:
        async def process(ctx: Any) -> None:
            ctx.set(self.dut.memory_idle, 1)
            await ctx.tick()  # the core's reset at power-up
            await bench(ctx, self)

        simulate(self.top, process, self.memory.process)

    async def written(self, ctx: Any) -> None:
        """Wait until the writer is done with what it cannot take back."""
        while not ctx.get(self.writer.idle):
            await ctx.tick()

    def number_in_memory(self) -> int:
        """That of the last complete record; 0 before the first one."""
        place = 4 * Record.JOB
        return self.memory.words(place, 1)[0] if place in self.memory.memory else 0


def state(ctx: Any, dut: JobControl) -> tuple[bool, bool, ErrorCause]:
    return bool(ctx.get(dut.busy)), bool(ctx.get(dut.done)), ErrorCause(ctx.get(dut.error))


def test_a_reset_of_its_own_resets_the_core_a_cycle_longer_and_nobody_hears_it_meanwhile():
    top = Module()
    top.domains.sync = domain = ClockDomain("sync")
    top.submodules.dut = dut = JobControl()

    async def bench(ctx: Any) -> None:
        ctx.set(dut.memory_idle, 1)

        async def cycle(reset: int) -> tuple[int, ...]:
            ctx.set(domain.rst, reset)
            return (await ctx.tick("sync").sample(dut.core_reset, dut.memory_stop, dut.busy))[2:]

        # Power-up without a reset, then one of a cycle, then one of several.
        assert [await cycle(reset) for reset in (0, 0, 1, 0, 0)] == [
            (1, 1, 0),
            (0, 0, 0),
            (0, 0, 0),
            (1, 1, 0),
            (0, 0, 0),
        ]
        assert [await cycle(reset) for reset in (1, 1, 1, 0, 0)] == [(0, 0, 0), *[(1, 1, 0)] * 3, (0, 0, 0)]

    simulate(top, bench)


@pytest.mark.parametrize("record", [None, 1.0, 0.3])
def test_a_job_ends_well(record):
    async def bench(ctx: Any, b: Bench) -> None:
        for job in range(3):
            log = await b.job(ctx)
            assert log == ["start", *(["record", "last line"] if record else []), "ended"]
            assert state(ctx, b.dut) == (False, True, ErrorCause.NONE)
            assert ctx.get(b.dut.jobs) == job + 1
            assert b.number_in_memory() == (job + 1 if record else 0)
            # What the core had counted when it was done: it began in cycle 1.
            assert ctx.get(b.dut.descriptors) == b.work + 2
            assert ctx.get(b.dut.cycles) == 1000 + b.work + 2

    Bench(record=record).run(bench)


@pytest.mark.parametrize("record", [None, 1.0])
@pytest.mark.parametrize("drain", [0, 7])
def test_an_error_of_the_core_resets_it(drain, record):
    async def bench(ctx: Any, b: Bench) -> None:
        b.core_error = ErrorCause.BAD_CHECK
        log = await b.job(ctx)
        assert log == ["start", "core_reset", *(["record", "last line"] if record else []), "ended"]
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


@pytest.mark.parametrize(("record", "cycles"), [(None, range(1, 35)), (1.0, range(1, 140, 3)), (0.4, range(9, 240, 7))])
@pytest.mark.parametrize("drain", [0, 5])
def test_a_reset_at_any_cycle_leaves_no_trace_and_the_next_job_runs(drain, record, cycles):
    """No record either, unless its last line had begun."""

    async def bench(ctx: Any, b: Bench) -> None:
        too_late = []
        for at in cycles:
            jobs = ctx.get(b.dut.jobs)
            log = await b.job(ctx, reset=at)
            assert log.count("core_reset") == 1
            assert state(ctx, b.dut) == (False, False, ErrorCause.NONE), at
            assert ctx.get(b.dut.cycles) == 0
            too_late.append("last line" in log)
            assert ctx.get(b.dut.jobs) - jobs == ("ended" in log or "last line" in log)
            await b.written(ctx)
            assert record is None or b.number_in_memory() == ctx.get(b.dut.jobs)
            assert (await b.job(ctx))[-1] == "ended"
            assert state(ctx, b.dut) == (False, True, ErrorCause.NONE)
            assert record is None or b.number_in_memory() == ctx.get(b.dut.jobs)
        assert not record or {True, False} <= set(too_late)

    Bench(drain=drain, record=record).run(bench)


def test_an_error_of_the_record_is_a_cause_of_its_own():
    async def bench(ctx: Any, b: Bench) -> None:
        b.record_error = True
        await b.job(ctx)
        assert state(ctx, b.dut) == (False, True, ErrorCause.RESULT_ERROR)
        b.core_error = ErrorCause.BAD_OPCODE
        await b.job(ctx)
        assert state(ctx, b.dut) == (False, True, ErrorCause.BAD_OPCODE)

    Bench(record=1.0).run(bench)


@pytest.mark.parametrize("awaited", [False, True])
@pytest.mark.parametrize("record", [None, 1.0])
def test_a_job_that_stands_still_is_abandoned_with_its_cause(awaited, record):
    cause = ErrorCause.MEMORY_TIMEOUT if awaited else ErrorCause.STALLED

    async def bench(ctx: Any, b: Bench) -> None:
        ctx.set(b.dut.awaited, awaited)
        assert await b.job(ctx, expired=6) == [
            "start",
            "core_reset",
            *(["record", "last line"] if record else []),
            "ended",
        ]
        assert state(ctx, b.dut) == (False, True, cause)
        # The next one waits until memory owes nothing, and runs.
        assert (await b.job(ctx))[-1] == "ended"
        assert state(ctx, b.dut) == (False, True, ErrorCause.NONE)
        assert ctx.get(b.dut.jobs) == 2

    Bench(drain=30, record=record).run(bench)


def test_a_job_that_waits_in_vain_for_transfers_of_the_one_before_never_begins():
    async def bench(ctx: Any, b: Bench) -> None:
        await b.job(ctx, memory_error=5)
        assert await b.job(ctx, expired=40) == ["ended"]
        assert state(ctx, b.dut) == (False, True, ErrorCause.MEMORY_TIMEOUT)
        assert (ctx.get(b.dut.descriptors), ctx.get(b.dut.cycles)) == (0, 0)
        assert await b.job(ctx, reset=40) == ["core_reset"]
        assert state(ctx, b.dut) == (False, False, ErrorCause.NONE)
        assert await b.job(ctx) == ["start", "ended"]

    Bench(drain=150).run(bench)


@pytest.mark.parametrize("at", range(16, 120, 9))
def test_a_record_that_memory_does_not_take_is_given_up_and_the_job_counts_once(at):
    async def bench(ctx: Any, b: Bench) -> None:
        log = await b.job(ctx, expired=at)
        assert log[-1] == "ended"
        assert ctx.get(b.dut.error) in (ErrorCause.NONE, ErrorCause.MEMORY_TIMEOUT)
        assert ctx.get(b.dut.jobs) == 1
        await b.written(ctx)
        assert b.number_in_memory() == ("last line" in log)
        await b.job(ctx)
        assert ctx.get(b.dut.jobs) == b.number_in_memory() == 2

    Bench(record=1.0).run(bench)
