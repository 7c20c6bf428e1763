"""The weight array against integers: tables, lanes, Horner's rule, buffers, and the cycles that it states."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from benches import random_stream, simulate

from hw.config import MEMORY_BEAT_BITS, TINY, HardwareConfig
from hw.weight_array import FILL_CYCLES, TABLE_ENTRIES, WeightArray, array_latency

CONFIGS = {
    "one_lane": dataclasses.replace(TINY, outputs=4, positions=1, timesteps=1),
    "one_table": dataclasses.replace(TINY, positions=1, timesteps=2),
    "two_tables": dataclasses.replace(TINY, inputs=8, timesteps=2, attention_segment=16),
    "eight_bits": dataclasses.replace(TINY, outputs=4, weight_bits=8, timesteps=4, positions=1),
    "odd_outputs": dataclasses.replace(TINY, outputs=12, positions=1, timesteps=1, neurons=4),
}

Weights = list[list[int]]


@dataclass(frozen=True)
class Slice:
    """Weights ``[outputs][inputs]`` and the steps that use them, in order."""

    weights: Weights
    steps: list[dict[str, int]]


def pack(config: HardwareConfig, weights: Weights) -> list[int]:
    """Beats of a slice: output-major, lowest bits first."""
    mask, bits = (1 << config.weight_bits) - 1, 0
    for index, weight in enumerate(weight for row in weights for weight in row):
        bits |= (weight & mask) << index * config.weight_bits
    beat = (1 << MEMORY_BEAT_BITS) - 1
    return [bits >> MEMORY_BEAT_BITS * i & beat for i in range(config.weight_slice_beats)]


def random_weights(config: HardwareConfig, rng: random.Random) -> Weights:
    """Mostly any value, sometimes the same extreme in a whole row."""
    low, high = -(1 << config.weight_bits - 1), (1 << config.weight_bits - 1) - 1
    rows = [[rng.randint(low, high) for _ in range(config.inputs)] for _ in range(config.outputs)]
    rows[rng.randrange(config.outputs)] = [low] * config.inputs
    rows[rng.randrange(config.outputs)] = [high] * config.inputs
    return rows


def random_slices(config: HardwareConfig, rng: random.Random, *, tiles: int, slices: int, groups: int) -> list[Slice]:
    """Tiles of sums in alternating buffers; from the second slice on also doubled and with the top lane negative."""
    made = []
    for tile in range(tiles):
        for number in range(slices):
            double, negative = rng.random() < 0.5, rng.random() < 0.3
            steps = [
                {
                    "address": tile % 2 * config.tile_groups + group,
                    "first": number == 0,
                    "double": number > 0 and double,
                    "negative": negative,
                    "last_group": group == groups - 1,
                    "last_of_tile": group == groups - 1 and number == slices - 1,
                    "spikes": rng.choice([rng.getrandbits(config.group_bits), (1 << config.group_bits) - 1]),
                }
                for group in range(groups)
            ]
            made.append(Slice(random_weights(config, rng), steps))
    return made


def wrap(value: int, bits: int) -> int:
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def tiles_of_sums(config: HardwareConfig, slices: list[Slice]) -> list[dict[int, list[list[int]]]]:
    """Sums ``[outputs][lanes]`` by address for every tile, in order of completion."""
    finished: list[dict[int, list[list[int]]]] = []
    sums: dict[int, list[list[int]]] = {}
    for one in slices:
        for step in one.steps:
            old = sums.get(step["address"], [])
            rows = []
            for output in range(config.outputs):
                row = []
                for lane in range(config.lanes):
                    spikes = step["spikes"] >> lane * config.inputs
                    total = sum(weight for i, weight in enumerate(one.weights[output]) if spikes >> i & 1)
                    if step["negative"] and lane % config.timesteps == config.timesteps - 1:
                        total = -total
                    before = 0 if step["first"] else old[output][lane] << step["double"]
                    row.append(wrap(before + total, config.accumulator_bits))
                rows.append(row)
            sums[step["address"]] = rows
            if step["last_of_tile"]:
                finished.append(sums)
                sums = {}
    return finished


class Bench:
    """Feeds slices and steps like fetch and walker do, drains every tile like the neurons do."""

    def __init__(self, config: HardwareConfig, slices: list[Slice], *, seed: int, rate: float = 1.0):
        self.config, self.slices, self.rng, self.rate = config, slices, random.Random(seed), rate
        self.dut = WeightArray(config)
        self.drained: list[dict[int, list[list[int]]]] = []
        self.last_steps: list[int] = []
        """Cycles of the steps that end a tile."""
        self.dones: list[int] = []
        self.free = 2

    def run(self) -> None:
        beats = [beat for one in self.slices for beat in pack(self.config, one.weights)]
        feed = random_stream(self.dut.weights, beats, seed=self.rng.getrandbits(32), rate=self.rate)
        simulate(self.dut, self.drain, feed, self.walk, self.watch)

    async def watch(self, ctx: Any) -> None:
        cycle = 0
        while True:
            _, _, step, done = await ctx.tick().sample(self.dut.step, self.dut.tile_done)
            if step.valid and step.last_of_tile:
                self.last_steps.append(cycle)
            if done:
                self.dones.append(cycle)
            cycle += 1

    async def walk(self, ctx: Any) -> None:
        dut = self.dut
        available = 0
        for one in self.slices:
            while not available or (one.steps[0]["first"] and not self.free):
                available = (await ctx.tick().sample(dut.table_available))[2]
            self.free -= one.steps[0]["first"]
            ctx.set(dut.claim, 1)
            await ctx.tick()
            ctx.set(dut.claim, 0)
            for step in one.steps:
                while self.rng.random() >= self.rate:
                    await ctx.tick()
                ctx.set(dut.step, {"valid": 1, **{key: step[key] for key in step if key != "spikes"}})
                ctx.set(dut.spikes, step["spikes"])
                available = (await ctx.tick().sample(dut.table_available))[2]
                ctx.set(dut.step, {})
                ctx.set(dut.spikes, self.rng.getrandbits(self.config.group_bits))

    async def drain(self, ctx: Any) -> None:
        config, dut = self.config, self.dut
        tiles = sum(step["last_of_tile"] for one in self.slices for step in one.steps)
        groups = len(self.slices[0].steps)
        batches, waited = config.outputs // config.neurons, 0
        for tile in range(tiles):
            while len(self.dones) <= tile:
                await ctx.tick()
                waited += 1
                assert waited < 20000, "the array hangs"
            reads = [
                (tile % 2 * config.tile_groups + group, batch) for group in range(groups) for batch in range(batches)
            ]
            self.rng.shuffle(reads)
            sums = {address: [[0] * config.lanes for _ in range(config.outputs)] for address, _ in reads}
            for address, batch in reads:
                ctx.set(dut.drain_address, address)
                ctx.set(dut.drain_batch, batch)
                await ctx.tick()
                row = ctx.get(dut.drain_sums)
                for neuron in range(config.neurons):
                    for lane in range(config.lanes):
                        sums[address][batch * config.neurons + neuron][lane] = row[neuron * config.lanes + lane]
            self.drained.append(sums)
            self.free += 1


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_accumulates_every_lane(name, rate):
    config, rng = CONFIGS[name], random.Random(3)
    slices = random_slices(config, rng, tiles=4, slices=4, groups=3)
    bench = Bench(config, slices, seed=2, rate=rate)
    bench.run()
    assert bench.drained == tiles_of_sums(config, slices)


@pytest.mark.parametrize("name", ["one_lane", "two_tables"])
def test_tile_is_done_with_its_last_sum(name):
    config = CONFIGS[name]
    bench = Bench(config, random_slices(config, random.Random(4), tiles=3, slices=2, groups=2), seed=1)
    bench.run()
    assert bench.dones == [cycle + array_latency(config) for cycle in bench.last_steps]


def test_successive_steps_hit_one_address():
    config = CONFIGS["two_tables"]
    slices = random_slices(config, random.Random(5), tiles=1, slices=1, groups=12)
    steps = [{**step, "address": 0, "first": i == 0, "double": i == 7} for i, step in enumerate(slices[0].steps)]
    slices = [Slice(slices[0].weights, steps)]
    bench = Bench(config, slices, seed=1)
    bench.run()
    (expected,) = tiles_of_sums(config, slices)
    (drained,) = bench.drained
    assert drained[0] == expected[0]


@pytest.mark.parametrize("weight_bits", [4, 8])
@pytest.mark.parametrize("sign", [-1, 1])
def test_every_subset_of_extreme_weights(weight_bits, sign):
    config = dataclasses.replace(TINY, outputs=4, positions=1, timesteps=1, weight_bits=weight_bits)
    extreme = -(1 << weight_bits - 1) if sign < 0 else (1 << weight_bits - 1) - 1
    weights = [[extreme] * 4, [extreme, -1, -1, -1], [0, 0, 0, extreme], [1, 2, -3, extreme]]
    steps = [
        {"address": subset, "first": 1, "double": 0, "negative": 0, "spikes": subset} for subset in range(TABLE_ENTRIES)
    ]
    for step in steps:
        step["last_group"] = step["last_of_tile"] = int(step is steps[-1])
    bench = Bench(config, [Slice(weights, steps)], seed=1)
    bench.run()
    assert bench.drained == [
        {
            subset: [[sum(w for i, w in enumerate(row) if subset >> i & 1)] for row in weights]
            for subset in range(TABLE_ENTRIES)
        }
    ]


@pytest.mark.parametrize("name", ["one_lane", "two_tables"])
def test_two_tables_fill_ahead_of_the_first_claim(name):
    """The stated cycles of one fill, and that the array stops taking weights with two tables and one slice held."""
    config = CONFIGS[name]
    dut, rng = WeightArray(config), random.Random(6)
    beats = [beat for _ in range(4) for beat in pack(config, random_weights(config, rng))]
    taken, available = [], []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.weights.valid, 1)
        for cycle in range(100):
            ctx.set(dut.weights.payload, beats[min(len(taken), len(beats) - 1)])
            _, _, ready, filled = await ctx.tick().sample(dut.weights.ready, dut.table_available)
            if ready:
                taken.append(cycle)
            available.append(filled)

    simulate(dut, bench)
    load = taken[config.weight_slice_beats - 1] + 1
    assert available.index(1) == load + FILL_CYCLES
    assert len(taken) == 3 * config.weight_slice_beats


def test_a_table_is_ready_every_sixteen_cycles():
    config = CONFIGS["one_lane"]
    dut, rng = WeightArray(config), random.Random(6)
    claims = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.weights.valid, 1)
        release = 0
        for cycle in range(200):
            ctx.set(dut.weights.payload, rng.getrandbits(64))
            ctx.set(dut.step, {"valid": release, "last_group": release})
            claim = ctx.get(dut.table_available)
            ctx.set(dut.claim, claim)
            if claim:
                claims.append(cycle)
            release = claim
            await ctx.tick()

    simulate(dut, bench)
    assert {later - earlier for earlier, later in pairwise(claims)} == {TABLE_ENTRIES}
