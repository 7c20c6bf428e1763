"""Regions of a program, and a consumer of them behind the ring."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from golden.cycles.program_stream import segment_deliveries
from hw.config import HardwareConfig
from hw.program.fetch import FETCH_BURST
from hw.program.ring import ProgramBuffer
from tests.hw.benches import Inputs, MemoryModel, simulate

ADDRESS = 1000


def content(config: HardwareConfig) -> Callable[[int], int]:
    """Beats that name their address."""
    return lambda address: (address * 0x9E3779B97F4A7C15F39CC0605CEDC835 + 1) % (1 << config.memory_bits)


@dataclass(frozen=True)
class Region:
    beats: int
    tiles: int = 1
    passes: int = 1
    wide: int = 0
    image: int = 0

    @property
    def size(self) -> int:
        return self.beats * (1 + self.wide) * (1 + self.image)


def random_regions(rng: random.Random, count: int, most: int) -> list[Region]:
    regions = []
    for _ in range(count):
        wide, image = rng.randint(0, 1), rng.randint(0, 1)
        passes = rng.randint(1 + image, 4)
        regions.append(
            Region(rng.randint(1, most // (1 + wide) // (1 + image)), rng.randint(1, 4), passes, wide, image)
        )
    return regions


def deliveries(regions: list[Region]) -> list[tuple[int, bool, int, int]]:
    """Beat in the program, whether it is its last delivery, low half, number of the region."""
    order, base = [], 0
    for number, region in enumerate(regions):
        for first, last in segment_deliveries(**dataclasses.asdict(region)):
            low = first >= region.beats * (1 + region.image)
            order += [(base + first + beat, last, int(low), number % 4) for beat in range(region.beats)]
        base += region.size
    return order


class Bench:
    """Runs programs of regions; the consumer is ready with chance `rate`."""

    def __init__(self, config: HardwareConfig, *, seed: int = 0, rate: float = 1.0, memory_rate: float = 1.0, **memory):
        self.config, self.rate, self.rng = config, rate, random.Random(seed)
        self.dut = ProgramBuffer(config, tag_bits=2)
        self.content = content(config)
        self.memory = MemoryModel(
            self.dut.memory, self.content, seed=seed, request_rate=memory_rate, response_rate=memory_rate, **memory
        )
        self.seen: list[tuple[int, int, int]] = []
        """Payload, low half and tag of every beat taken."""
        self.cycles: list[int] = []
        """Of every beat taken, from `start`."""
        self.ready: list[bool] = []
        """The consumer, cycle by cycle."""
        self.requests: list[int] = []
        """Cycles of accepted requests, from `start`."""
        self.exhausted = 0

    async def program(self, ctx: Any, regions: list[Region], length: int, limit: int = 50000) -> None:
        """One program, until all of its regions came or `limit` cycles passed."""
        dut, total, number = self.dut, len(deliveries(regions)), 0
        self.seen, self.cycles, self.ready, self.requests, self.exhausted = [], [], [], [], 0
        ctx.set(dut.address, ADDRESS)
        ctx.set(dut.length, length)
        ctx.set(dut.start, 1)
        offered = -1
        inputs = Inputs(ctx, dut.output.ready)
        ticks = aiter(
            ctx.tick().sample(
                dut.output.valid, dut.output.payload, dut.output_low_half, dut.output_tag,
                dut.command.ready, dut.exhausted, dut.memory.request.valid, dut.memory.request.ready,
            )
        )  # fmt: skip
        for cycle in range(limit):
            ready = self.rng.random() < self.rate
            inputs.drive(ready)
            if number != offered:
                offered = number
                ctx.set(dut.command.valid, number < len(regions))
                if number < len(regions):
                    ctx.set(dut.command.payload, {"region": dataclasses.asdict(regions[number]), "tag": number % 4})
            _, _, valid, payload, low, tag, done, exhausted, request, accept = await anext(ticks)
            if not cycle:
                ctx.set(dut.start, 0)
            if cycle:  # what was running before ends with `start`
                number += number < len(regions) and done
                self.exhausted += exhausted
                if valid and ready:
                    self.seen.append((payload, low, tag))
                    self.cycles.append(cycle)
                if request and accept:
                    self.requests.append(cycle)
            self.ready.append(ready)
            if len(self.seen) == total:
                break
        ctx.set(dut.command.valid, 0)
        inputs.drive(False)

    def expected(self, regions: list[Region]) -> list[tuple[int, int, int]]:
        return [(self.content(ADDRESS + beat), low, tag) for beat, _, low, tag in deliveries(regions)]

    def run(self, regions: list[Region], length: int, **options: int) -> None:
        async def process(ctx: Any) -> None:
            await self.program(ctx, regions, length, **options)

        simulate(self.dut, process, self.memory.process)


def bursts(length: int) -> list[tuple[int, int]]:
    return [(ADDRESS + at, min(FETCH_BURST, length - at)) for at in range(0, length, FETCH_BURST)]


def size(regions: list[Region]) -> int:
    return sum(region.size for region in regions)
