"""Regions come in the order of their replays, at the predicted cycles, and the ring is never overrun."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from golden.cycles.external_memory import ExternalMemory
from golden.cycles.program_stream import ProgramStream
from hw.config import HardwareConfig
from hw.named_configs import LARGE, TINY
from hw.program.fetch import FETCH_BURST, FETCH_OUTSTANDING
from hw.program.ring import ProgramBuffer, region_limit
from tests.hw.benches import simulate
from tests.hw.pairwise import pairwise
from tests.hw.program.ring_bench import Bench, Region, bursts, deliveries, random_regions, size

SMALL = dataclasses.replace(TINY, name="small", program_beats=256)
SMALL_LARGE = dataclasses.replace(LARGE, name="small_large", program_beats=256)
CONFIGS = {config.name: config for config in (TINY, LARGE, SMALL, SMALL_LARGE)}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("rate", "memory_rate"), [(1.0, 1.0), (0.6, 1.0), (1.0, 0.5), (0.5, 0.4)])
def test_delivers_regions(name, rate, memory_rate):
    config = CONFIGS[name]
    regions = random_regions(random.Random(name), 9, most=90)
    bench = Bench(config, seed=1, rate=rate, memory_rate=memory_rate)
    bench.run(regions, size(regions))
    assert bench.seen == bench.expected(regions)
    assert bench.memory.requests == bursts(size(regions))
    assert bench.exhausted == 0


@pytest.mark.parametrize("offset", [1, FETCH_BURST // 2, FETCH_BURST - 1, FETCH_BURST])
def test_replays_the_largest_region_wherever_it_lies(offset):
    limit = region_limit(SMALL)
    regions = [
        Region(offset), Region(limit, tiles=3), Region(limit // 4, tiles=2, passes=3, wide=1, image=1), Region(limit),
    ]  # fmt: skip
    bench = Bench(SMALL, seed=1, memory_rate=0.7)
    bench.run(regions, size(regions))
    assert bench.seen == bench.expected(regions)


def test_one_beat_per_cycle_through_replays_and_regions():
    """As soon as the beats are there; a plain region of one beat makes no gap either."""
    regions = [
        Region(1),
        Region(5, tiles=3),
        Region(1),
        Region(1, tiles=2, passes=3),
        Region(4, 2, 2, wide=1),
        Region(8),
    ]
    bench = Bench(TINY)
    bench.run(regions, size(regions))
    # `start`, request, latency of the memory, of the buffer.
    first = 1 + 1 + ProgramBuffer.latency
    assert bench.cycles == list(range(first, first + len(deliveries(regions))))


def test_room_and_outstanding_bursts_bound_the_requests():
    """A consumer that never takes a beat, and a memory that never answers."""
    length = 4 * TINY.program_beats
    idle = Bench(TINY, rate=0.0)
    idle.run([Region(10)], length, limit=2 * TINY.program_beats)
    assert idle.memory.requests == bursts(length)[: TINY.program_beats // FETCH_BURST]
    silent = Bench(TINY, latency=10**6)
    silent.run([Region(10)], length, limit=200)
    assert silent.memory.requests == bursts(length)[:FETCH_OUTSTANDING]


def predicted(
    config: HardwareConfig, regions: list[Region], length: int, latency: int, ready: list[bool]
) -> tuple[list[int], ProgramStream]:
    """Cycles in which the consumer takes the beats."""
    stream = ProgramStream(config, length, ExternalMemory(latency), start=0)
    cycles = []
    for beat, last, _, _ in deliveries(regions):
        cycle = stream.offer(beat, last=last)
        while not ready[cycle]:
            cycle += 1
        cycles.append(stream.take(cycle))
    return cycles, stream


@pytest.mark.parametrize(("name", "latency", "rate"), pairwise([*CONFIGS], [1, 40, 150], [1.0, 0.6]))
def test_cycles_are_those_predicted(name, latency, rate):
    config = CONFIGS[name]
    rng = random.Random(f"{name} {latency} {rate}")
    regions = random_regions(rng, 5, most=rng.choice([20, region_limit(SMALL)]))
    bench = Bench(config, seed=latency, rate=rate, latency=latency)
    bench.run(regions, size(regions))
    cycles, _ = predicted(config, regions, size(regions), latency, bench.ready)
    assert bench.seen == bench.expected(regions)
    assert bench.cycles == cycles


def test_a_region_behind_the_end_of_the_program_is_reported():
    for length in (0, 9, 64, 70):
        bench = Bench(TINY, memory_rate=0.5)
        bench.run([Region(9), Region(62, tiles=2)], length, limit=600)
        assert bench.exhausted
        assert bench.seen == bench.expected([Region(9), Region(62, tiles=2)])[:length]


def test_a_program_just_long_enough_is_not_reported():
    bench = Bench(TINY, seed=2, memory_rate=0.5)
    bench.run([Region(9), Region(62)], 71)
    assert (bench.exhausted, len(bench.seen)) == (0, 71)


@pytest.mark.parametrize("with_stop", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_restarts_in_the_middle(seed, with_stop):
    """Beats of the program abandoned never show up in the next, whatever was on offer, on its way or delivered."""
    rng = random.Random(seed)
    config = rng.choice([SMALL, TINY, SMALL_LARGE])
    rate = rng.choice([0.2, 0.8])
    bench = Bench(config, seed=seed, rate=0.7, memory_rate=rate, latency=rng.choice([1, 30, 100]))
    failures = []

    async def process(ctx: Any) -> None:
        for _ in range(4):
            regions = random_regions(rng, 5, most=60)
            await bench.program(ctx, regions, size(regions) + rng.randint(0, 2000), limit=rng.randint(1, 400))
            if with_stop:
                ctx.set(bench.dut.stop, 1)
                await ctx.tick()
                ctx.set(bench.dut.stop, 0)
                await ctx.tick().repeat(rng.choice([1, 2, 50]))
            failures.append(bench.seen != bench.expected(regions)[: len(bench.seen)])
            regions = random_regions(rng, 3, most=60)
            await bench.program(ctx, regions, size(regions))
            failures.append(bench.seen != bench.expected(regions))

    simulate(bench.dut, process, bench.memory.process)
    assert not any(failures)


@pytest.mark.parametrize("seed", range(4))
def test_is_idle_when_nothing_can_come_any_more_and_not_before(seed):
    rng = random.Random(seed)
    bench = Bench(SMALL, seed=seed, memory_rate=rng.choice([0.2, 0.8]), latency=rng.choice([1, 30, 100]))
    request, response = bench.dut.memory.request, bench.dut.memory.response
    left = 0
    idle_cycles = []

    async def watch(ctx: Any) -> None:
        nonlocal left
        quiet = True  # a cycle ago
        async for _, _, idle, asks, accepts, payload, came, taken in ctx.tick().sample(
            bench.dut.idle, request.valid, request.ready, request.payload, response.valid, response.ready
        ):
            assert not idle or quiet
            idle_cycles.append(idle)
            quiet = not asks and left == 0
            left += (asks and accepts) * (payload.length + 1) - (came and taken)

    async def process(ctx: Any) -> None:
        assert ctx.get(bench.dut.idle)
        for _ in range(6):
            regions = random_regions(rng, 4, most=60)
            await bench.program(ctx, regions, size(regions) + rng.randint(0, 2000), limit=rng.randint(1, 600))
            ctx.set(bench.dut.stop, 1)
            await ctx.tick()
            ctx.set(bench.dut.stop, 0)
            for _ in range(20_000):
                await ctx.tick()
                if ctx.get(bench.dut.idle):
                    break
            assert left == 0
        assert idle_cycles.count(0) > 100

    simulate(bench.dut, process, bench.memory.process, watch)


def test_a_request_on_offer_stays_after_a_stop():
    dut = ProgramBuffer(TINY, tag_bits=1)

    async def process(ctx: Any) -> None:
        ctx.set(dut.length, 300)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick()
        ctx.set(dut.stop, 1)
        await ctx.tick()
        ctx.set(dut.stop, 0)
        for ready in (0, 0, 0, 1):
            assert ctx.get(dut.memory.request.valid)
            ctx.set(dut.memory.request.ready, ready)
            await ctx.tick()
        for _ in range(5):
            assert not ctx.get(dut.memory.request.valid)
            await ctx.tick()

    simulate(dut, process)


def test_a_stop_ends_a_start_that_waits_for_the_beats_of_the_program_before():
    """Whatever cycle it comes in, that of the last beat included: nothing is requested any more."""
    bench = Bench(SMALL, latency=20)
    dut, requests = bench.dut, bench.memory.requests
    after_stop = []

    async def pulse(ctx: Any, signal: Any) -> None:
        ctx.set(signal, 1)
        await ctx.tick()
        ctx.set(signal, 0)

    async def process(ctx: Any) -> None:
        ctx.set(dut.length, FETCH_BURST)
        for cycles in range(FETCH_BURST + 10, FETCH_BURST + 30):
            await pulse(ctx, dut.start)
            await ctx.tick().repeat(3)
            asked = len(requests)
            await pulse(ctx, dut.start)
            await ctx.tick().repeat(cycles)
            begun = len(requests) > asked or bool(ctx.get(dut.memory.request.valid))
            await pulse(ctx, dut.stop)
            await ctx.tick().repeat(3 * FETCH_BURST)
            after_stop.append((begun, len(requests) > asked))

    simulate(dut, process, bench.memory.process)
    assert {begun for begun, _ in after_stop} == {False, True}
    assert all(begun == requested for begun, requested in after_stop)
