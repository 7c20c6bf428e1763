"""Counters against a count in Python: every event of every layer, whichever parts are in it and how often they come."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import pytest
from amaranth.hdl import Module, ResetInserter, Signal

from hw.counters import FILING_CYCLES, Counters, job_bits
from hw.host.registers import COUNTER_SLOTS, Counter
from hw.named_configs import TINY
from tests.hw.benches import simulate

PARTS: dict[str, dict[Counter, str]] = {
    "layer": {
        Counter.CYCLES: "busy",
        Counter.BUSY: "working",
        Counter.WAIT_WEIGHTS: "wait_weights",
        Counter.WAIT_DRAIN: "wait_drain",
        Counter.WAIT_DATA: "wait_data",
        Counter.WAIT_ATTENTION: "wait_attention",
        Counter.WAIT_LOAD: "wait_load",
    },
    "neuron_layer": {Counter.SPIKES: "neuron_spikes"},
    "attention_layer": {Counter.BUSY: "attention_working", Counter.SPIKES: "attention_spikes"},
}
"""What counts for which layer, the parts in the order in which they are served."""

EXACT_STAY = 3 * COUNTER_SLOTS

Counts = dict[tuple[int, Counter], int]
Cycle = dict[str, int]


class Model:
    """What the docstring says, a cycle at a time."""

    def __init__(self) -> None:
        self.filed: dict[str, list[tuple[int, Counter, int]]] = {}
        self.job, self.words, self.half = 0, {}, 1 << 23

    def clear(self, cycle: Cycle) -> None:
        self.words: Counts = {}
        self.counting = {part: cycle[part] for part in PARTS}
        self.counts = {part: dict.fromkeys(counters, 0) for part, counters in PARTS.items()}
        self.filed = {part: [] for part in PARTS}
        self.ending = dict.fromkeys(PARTS, False)
        self.writing = False
        self.late = 0
        """Counts that went to the layer before their own."""

    def step(self, cycle: Cycle, *, finish: bool = False) -> None:
        leaves = None
        if not self.writing:
            leaves = next((part for part in PARTS if self.filed[part]), None)
        for part, counters in PARTS.items():
            amounts = {counter: cycle[name] for counter, name in counters.items()}
            elsewhere = cycle[part] != self.counting[part]
            half_full = max(self.counts[part].values()) >= self.half
            if not self.filed[part] and (elsewhere or self.ending[part] or half_full):
                self.filed[part] = [(self.counting[part], counter, self.counts[part][counter]) for counter in counters]
                self.counts[part], self.counting[part] = dict.fromkeys(counters, 0), cycle[part]
                self.ending[part] = False
            elif elsewhere:
                self.late += 1
            self.ending[part] = self.ending[part] or finish
            for counter, amount in amounts.items():
                self.counts[part][counter] += amount
        if leaves:
            layer, counter, count = self.filed[leaves].pop(0)
            self.words[layer, counter] = self.words.get((layer, counter), 0) + count
        self.writing = leaves is not None


def sums(cycles: list[Cycle]) -> Counts:
    """What counts for which layer, with no regard to filing."""
    found: Counts = {}
    for cycle in cycles:
        for part, counters in PARTS.items():
            for counter, name in counters.items():
                key = cycle[part], counter
                found[key] = found.get(key, 0) + cycle[name]
    return found


def own_layers(part: str, layers: list[int]) -> list[int]:
    """No layer has spikes of both neurons and attention: the latter take every second one, or the one behind."""
    if part == "neuron_layer":
        return layers[::2]
    return (layers[1::2] or [layers[0] + 1]) if part == "attention_layer" else layers


def random_cycles(rng: random.Random, cycles: int, layers: list[int], stay: tuple[int, int]) -> Iterator[Cycle]:
    """Every part goes through layers at a pace of its own, and comes back to some."""
    left, now, rate = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0.0)
    for _ in range(cycles):
        cycle = {}
        for part, counters in PARTS.items():
            if left[part] == 0:
                left[part] = rng.choice([rng.randint(*stay), stay[0]])
                now[part], rate[part] = rng.choice(own_layers(part, layers)), rng.choice([0.1, 1.0])
            left[part] -= 1
            cycle[part] = now[part]
            for name in counters.values():
                most = 4095 if name.endswith("spikes") else 1
                cycle[name] = rng.randint(0, most) if rng.random() < rate[part] else 0
        yield cycle


class Bench:
    def __init__(self, max_layers: int = 64):
        self.dut, self.max_layers = Counters(dataclasses.replace(TINY, max_layers=max_layers)), max_layers
        self.model = Model()

    async def job(self, ctx: Any, cycles: list[Cycle]) -> None:
        """Run one; what happens in the cycle of `clear` is of no job, the last cycle has `finish`."""
        dut, model = self.dut, self.model
        await self.clear(ctx, cycles[0])
        for number, cycle in enumerate(cycles):
            finish = number == len(cycles) - 1
            for name, value in cycle.items():
                ctx.set(getattr(dut.events, name), value)
            ctx.set(dut.finish, finish)
            await ctx.tick()
            model.step(cycle, finish=finish)
        quiet = {name: 0 for counters in PARTS.values() for name in counters.values()}
        idle = cycles[-1] | quiet
        for name, value in idle.items():
            ctx.set(getattr(dut.events, name), value)
        ctx.set(dut.finish, 0)
        for _ in range(FILING_CYCLES):
            await ctx.tick()
            model.step(idle)
        assert not any(model.filed.values())
        assert not any(model.ending.values())
        assert not model.writing
        assert ctx.get(dut.total) == sum(cycle["busy"] for cycle in cycles)

    async def clear(self, ctx: Any, cycle: Cycle) -> None:
        for name, value in cycle.items():
            ctx.set(getattr(self.dut.events, name), value)
        ctx.set(self.dut.clear, 1)
        await ctx.tick()
        ctx.set(self.dut.clear, 0)
        self.model.clear(cycle)

    async def read(self, ctx: Any) -> Counts:
        """All words that are not 0."""
        found = {}
        for layer in range(self.max_layers):
            for counter in Counter:
                ctx.set(self.dut.host_address, layer * COUNTER_SLOTS + counter)
                await ctx.tick().repeat(2)
                if value := ctx.get(self.dut.host_data):
                    found[layer, counter] = value
        return found


def nonzero(counts: Counts) -> Counts:
    return {key: count for key, count in counts.items() if count}


@pytest.mark.parametrize("max_layers", [3, 40])
@pytest.mark.parametrize("seed", range(3))
def test_counts_exactly_where_parts_stay(max_layers, seed):
    rng, bench = random.Random(seed), Bench(max_layers)

    async def process(ctx: Any) -> None:
        for layers in (range(max_layers), [1, max_layers - 1], [0]):
            cycles = list(random_cycles(rng, 1500, list(layers), (EXACT_STAY, 90)))
            await bench.job(ctx, cycles)
            assert await bench.read(ctx) == nonzero(sums(cycles))

    simulate(bench.dut, process)


@pytest.mark.parametrize("seed", range(4))
def test_files_one_count_after_the_other(seed):
    """Parts that go on at once: their counts are late, none is lost."""
    rng, bench = random.Random(seed), Bench(8)

    async def process(ctx: Any) -> None:
        for _ in range(6):
            cycles = list(random_cycles(rng, rng.randint(50, 300), list(range(8)), (1, 30)))
            await bench.job(ctx, cycles)
            assert bench.model.late
            found = await bench.read(ctx)
            assert found == nonzero(bench.model.words)
            for counter in Counter:
                expected = sum(count for (_, kind), count in sums(cycles).items() if kind is counter)
                assert sum(count for (_, kind), count in found.items() if kind is counter) == expected

    simulate(bench.dut, process)


@pytest.mark.parametrize("gap", [0, 1, 2, 3, 7, 13, 14, 15, 16, 20, EXACT_STAY, 2 * EXACT_STAY])
def test_finishes_while_counts_are_filed(gap):
    """All parts change together, `gap` cycles before the end: the most that can be left to file."""
    bench = Bench(4)
    names = [name for counters in PARTS.values() for name in counters.values()]

    async def process(ctx: Any) -> None:
        cycles = [dict.fromkeys(PARTS, layer) | dict.fromkeys(names, 1) for layer in [2] * 40 + [3] * (gap + 1)]
        await bench.job(ctx, cycles)
        assert await bench.read(ctx) == sums(cycles)

    simulate(bench.dut, process)


@pytest.mark.parametrize("layers", [1, 3])
def test_counts_of_a_layer_may_exceed_what_waits_to_be_filed(monkeypatch, layers):
    """With 10 bits for 24: thousands of cycles in a layer, with several spikes in each."""
    monkeypatch.setattr("hw.counters.COUNT_BITS", 10)
    bench = Bench(8)
    names = [name for part in PARTS.values() for name in part.values()]

    async def process(ctx: Any) -> None:
        cycles = []
        for cycle in range(3000):
            layer = 2 * (cycle * layers // 3000)
            cycles.append(dict.fromkeys(names, 1) | dict.fromkeys(PARTS, layer) | {"attention_layer": layer + 1})
            cycles[-1] |= {"neuron_spikes": 3, "attention_spikes": 5}
        for _ in range(2):
            bench.model.half = 1 << 9
            await bench.job(ctx, cycles)
            assert await bench.read(ctx) == sums(cycles)

    simulate(bench.dut, process)


def test_words_of_earlier_jobs_are_zero():
    """Nothing clears them at once: the number of the job does, also where it comes again."""
    rng, bench = random.Random(1), Bench(4)
    numbers = 1 << job_bits(4)

    async def process(ctx: Any) -> None:
        for between in (0, 1, numbers // 2 - 1, numbers - 2, numbers - 1, numbers, 255):
            cycles = list(random_cycles(rng, 200, [0, 1, 2, 3], (EXACT_STAY, 40)))
            await bench.job(ctx, cycles)
            assert await bench.read(ctx) == nonzero(sums(cycles))
            for _ in range(between):
                await bench.clear(ctx, cycles[0])
            again = list(random_cycles(rng, 200, [2], (EXACT_STAY, 40)))
            await bench.job(ctx, again)
            assert await bench.read(ctx) == nonzero(sums(again))

    simulate(bench.dut, process)


@pytest.mark.parametrize("in_the_middle", [False, True])
def test_words_of_jobs_before_a_reset_are_zero(in_the_middle):
    """A reset does not clear the memory, so it must not make an earlier job's number the next one's."""
    rng, bench, top = random.Random(4), Bench(4), Module()
    reset = Signal()
    top.submodules.dut = ResetInserter(reset)(bench.dut)

    async def process(ctx: Any) -> None:
        for job in range(20):
            cycles = list(random_cycles(rng, 200, [0, 1, 2, 3], (EXACT_STAY, 40)))
            await bench.job(ctx, cycles)
            assert await bench.read(ctx) == nonzero(sums(cycles)), job
            if in_the_middle:
                await bench.clear(ctx, cycles[0])
                for cycle in cycles[: rng.randrange(1, 200)]:
                    for name, value in cycle.items():
                        ctx.set(getattr(bench.dut.events, name), value)
                    await ctx.tick()
            ctx.set(reset, 1)
            await ctx.tick()
            ctx.set(reset, 0)

    simulate(top, process)


def test_a_job_may_begin_while_counts_are_filed():
    """After an error there is no `finish`; nothing of that job is left in the next."""
    rng, bench = random.Random(2), Bench(8)

    async def process(ctx: Any) -> None:
        for _ in range(30):
            await bench.clear(ctx, next(random_cycles(rng, 1, [0], (1, 1))))
            for cycle in random_cycles(rng, rng.randint(30, 60), list(range(8)), (1, 20)):
                for name, value in cycle.items():
                    ctx.set(getattr(bench.dut.events, name), value)
                await ctx.tick()
            cycles = list(random_cycles(rng, 60, [1, 6], (EXACT_STAY, 40)))
            await bench.job(ctx, cycles)
            assert await bench.read(ctx) == nonzero(sums(cycles))

    simulate(bench.dut, process)
