"""Requests of any length as AXI bursts: order, splitting, pace, errors, and how they are abandoned."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hw.external.axi import Response
from hw.external.axi_reader import OUTSTANDING_BURSTS, REQUEST_LATENCY, AxiMemory, split
from tests.hw.axi_models import ReadSlave
from tests.hw.benches import simulate


def content(address: int) -> int:
    return random.Random(address).getrandbits(128)


class Bench:
    """A core that asks for `requests` and takes beats at a rate."""

    def __init__(self, data_bits: int = 64, *, rate: float = 1.0, latency: int = 3, respond=None, **parameters: int):
        self.data_bits, self.rate, self.rng = data_bits, rate, random.Random(5)
        self.dut = AxiMemory(data_bits, **parameters)
        self.slave = ReadSlave(
            self.dut.axi, lambda address: content(address) & (1 << data_bits) - 1, data_bits=data_bits,
            latency=latency, rate=rate, seed=6, respond=respond or (lambda _: Response.OKAY),
        )  # fmt: skip
        self.beats: list[int] = []
        self.cycles: list[int] = []
        """Cycle in which each beat was taken."""
        self.accepted: list[int] = []
        """Cycle in which each request was accepted."""
        self.errors = 0

    def expected(self, requests: list[tuple[int, int]]) -> list[int]:
        width = self.data_bits // 8
        return [
            content((first + beat) * width) & (1 << self.data_bits) - 1
            for first, beats in requests
            for beat in range(beats)
        ]

    async def cycle(self, ctx: Any, request: tuple[int, int] | None, *, ready: bool, at: int) -> bool:
        memory = self.dut.memory
        ctx.set(memory.request.valid, request is not None)
        if request is not None:
            ctx.set(memory.request.payload, {"address": request[0], "length": request[1] - 1})
        ctx.set(memory.response.ready, ready)
        _, _, accepted, valid, beat, error = await ctx.tick().sample(
            memory.request.ready, memory.response.valid, memory.response.payload, self.dut.error
        )
        if valid and ready:
            self.beats.append(beat)
            self.cycles.append(at)
        self.errors += error
        if request is not None and accepted:
            self.accepted.append(at)
            return True
        return False

    async def ask(self, ctx: Any, requests: list[tuple[int, int]], limit: int = 20_000) -> None:
        pending, total, wanted = list(requests), sum(beats for _, beats in requests), False
        before = len(self.beats)
        for at in range(limit):
            wanted = wanted or (bool(pending) and self.rng.random() < self.rate)
            if await self.cycle(ctx, pending[0] if wanted else None, ready=self.rng.random() < self.rate, at=at):
                pending.pop(0)
                wanted = False
            if len(self.beats) - before == total and not pending:
                ctx.set(self.dut.memory.request.valid, 0)
                return
        raise AssertionError(f"{len(self.beats) - before} of {total} beats came")

    def run(self, requests: list[tuple[int, int]]) -> None:
        async def bench(ctx: Any) -> None:
            await self.ask(ctx, requests)

        simulate(self.dut, bench, self.slave.process)


@pytest.mark.parametrize("data_bits", [64, 128])
@pytest.mark.parametrize("rate", [1.0, 0.5, 0.15])
def test_beats_come_in_order(data_bits, rate):
    rng = random.Random(1)
    requests = [(rng.randrange(4000), rng.choice([1, 2, 7, 64, 65, 130])) for _ in range(12)]
    bench = Bench(data_bits, rate=rate)
    bench.run(requests)
    assert bench.beats == bench.expected(requests)
    assert bench.errors == 0


@pytest.mark.parametrize(("data_bits", "burst_beats"), [(64, 64), (64, 256), (128, 64), (128, 256), (64, 2)])
def test_bursts_end_at_their_boundary_and_none_crosses_4_kilobytes(data_bits, burst_beats):
    requests = [(500, 300), (1023, 2), (0, 512), (255, 1), ((1 << 33) - 3, 7)]
    bench = Bench(data_bits, burst_beats=burst_beats)
    bench.run(requests)  # the slave checks every burst
    expected = [
        (sum([first, *list(split(first, beats, burst_beats))[:index]]) * data_bits // 8, burst)
        for first, beats in requests
        for index, burst in enumerate(split(first, beats, burst_beats))
    ]
    assert bench.slave.bursts == expected
    assert all(beats <= burst_beats for _, beats in expected)


def test_a_request_of_many_bursts():
    bench = Bench(burst_beats=256)
    bench.run([(3, 5000)])
    assert len(bench.beats) == 5000


@pytest.mark.parametrize("latency", [1, 40, 400])
def test_first_beat_comes_after_the_stated_latency(latency):
    bench = Bench(latency=latency)
    bench.run([(10, 5)])
    first = bench.accepted[0] + REQUEST_LATENCY + latency
    assert bench.cycles == [first + beat for beat in range(5)]


def test_a_beat_every_cycle_across_bursts_and_requests():
    bench = Bench(latency=100)
    bench.run([(60, 700), (7, 200), (1000, 64)])
    assert bench.cycles[-1] - bench.cycles[0] == len(bench.beats) - 1


@pytest.mark.parametrize("outstanding", [1, 3, OUTSTANDING_BURSTS])
def test_no_more_bursts_than_allowed_are_under_way(outstanding):
    bench = Bench(latency=50, outstanding=outstanding, burst_beats=4)
    bench.run([(0, 100)])
    assert bench.slave.most_under_way == outstanding


@pytest.mark.parametrize("response", [Response.SLVERR, Response.DECERR])
@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_an_error_is_reported_once_for_its_beat(response, rate):
    bench = Bench(rate=rate, respond=lambda address: response if address == 8 * 13 else Response.OKAY)
    bench.run([(5, 30)])
    assert bench.errors == 1


@pytest.mark.parametrize("seed", range(12))
def test_stop_swallows_what_is_under_way_and_the_next_request_is_clean(seed):
    rng = random.Random(seed)
    rate = rng.choice([1.0, 0.5, 0.2])
    bench = Bench(rate=rate, latency=rng.randint(1, 60))

    async def process(ctx: Any) -> None:
        wanted: tuple[int, int] | None = (rng.randrange(1000), 900)
        for at in range(rng.randint(0, 150)):
            if await bench.cycle(ctx, wanted, ready=rng.random() < rate, at=at):
                wanted = (rng.randrange(1000), 900)
        ctx.set(bench.dut.stop, 1)
        for at in range(5000):
            before = len(bench.slave.bursts)
            # The core may go on asking, and may not be ready any more.
            taken = len(bench.beats)
            assert not await bench.cycle(ctx, wanted, ready=False, at=at)
            assert len(bench.beats) == taken
            assert len(bench.slave.bursts) <= before + 1
            if ctx.get(bench.dut.idle):
                break
        assert ctx.get(bench.dut.idle)
        ctx.set(bench.dut.memory.request.valid, 0)
        await ctx.tick()
        ctx.set(bench.dut.stop, 0)
        bench.beats.clear()
        await bench.ask(ctx, [(77, 100), (300, 3)])

    simulate(bench.dut, process, bench.slave.process)
    assert bench.beats == bench.expected([(77, 100), (300, 3)])
    assert bench.slave.under_way == 0 and bench.slave.delivered == sum(beats for _, beats in bench.slave.bursts)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"burst_beats": 48}, "burst_beats must be a power of two from 2 to 256, not 48"),
        ({"burst_beats": 512}, "burst_beats must be a power of two from 2 to 256, not 512"),
        ({"outstanding": 0}, "outstanding must be at least 1, not 0"),
    ],
)
def test_parameters_wrong(parameters, message):
    with pytest.raises(ValueError, match=message):
        AxiMemory(64, **parameters)
