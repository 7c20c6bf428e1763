"""The weight array against integers: tables, lanes, Horner's rule, drain buffers, and the cycles that it states."""

from __future__ import annotations

import dataclasses
import random
from collections import deque
from itertools import pairwise
from typing import Any

import pytest
from amaranth.hdl import Module, Signal

from hw.array.step import DRAIN_BUFFERS
from hw.array.table_write import TABLE_ENTRIES
from hw.array.weight_array import WeightArray
from hw.config import HardwareConfig
from tests.hw.array.slices import CONFIGS, Slice, Sums, pack, random_slices, tiles_of_sums
from tests.hw.benches import simulate

LANES = [name for name in CONFIGS if name != "one_lane"]


class Bench:
    """Feeds slices and steps like fetch and walker do, drains every tile like the neurons do."""

    def __init__(self, config: HardwareConfig, slices: list[Slice], *, seed: int, rate: float = 1.0):
        self.config, self.slices, self.rng, self.rate = config, slices, random.Random(seed), rate
        self.dut = WeightArray(config)
        self.wants = Signal()
        """A table, if there is one."""
        self.drained: list[Sums] = []
        self.last_steps: list[int] = []
        """Cycles of the steps that end a tile."""
        self.dones: list[int] = []
        self.steps: list[int] = []
        """Cycles of all steps."""
        self.free = DRAIN_BUFFERS

    def run(self) -> None:
        m = Module()
        m.submodules.dut = self.dut
        m.d.comb += self.dut.claim.eq(self.wants & self.dut.table_available)
        simulate(m, self.drain, self.feed, self.walk, self.watch)

    async def watch(self, ctx: Any) -> None:
        cycle = 0
        async for _, _, step, done in ctx.tick().sample(self.dut.step, self.dut.tile_done):
            if step.valid:
                self.steps.append(cycle)
                if step.last_of_tile:
                    self.last_steps.append(cycle)
            if done:
                self.dones.append(cycle)
            cycle += 1

    async def feed(self, ctx: Any) -> None:
        dut, rng = self.dut, random.Random(self.rng.getrandbits(32))
        for one in self.slices:
            for beat in pack(self.config, one.weights):
                while rng.random() >= self.rate:
                    ctx.set(dut.weights.valid, 0)
                    ctx.set(dut.unsigned_weights, rng.getrandbits(1))
                    await ctx.tick()
                ctx.set(dut.weights.valid, 1)
                ctx.set(dut.weights.payload, beat)
                ctx.set(dut.unsigned_weights, one.unsigned)
                while not (await ctx.tick().sample(dut.weights.ready))[2]:
                    pass
        ctx.set(dut.weights.valid, 0)

    async def walk(self, ctx: Any) -> None:
        """One step a cycle; a table is claimed in the cycle of the last step of the one before, if it is there."""
        dut, rng = self.dut, random.Random(self.rng.getrandbits(32))
        claimed = 0

        async def cycle(wanted: int) -> None:
            nonlocal claimed
            is_next = claimed == wanted < len(self.slices)
            takes_buffer = is_next and self.slices[wanted].steps[0]["final"]
            ctx.set(self.wants, is_next and self.free >= takes_buffer)
            _, _, claim = await ctx.tick().sample(dut.claim)
            self.free -= claim and takes_buffer
            claimed += claim

        for number, one in enumerate(self.slices):
            while claimed == number:
                await cycle(number)
            for step in one.steps:
                while rng.random() >= self.rate:
                    await cycle(number)
                ctx.set(dut.step, {"valid": 1, **{key: step[key] for key in step if key != "spikes"}})
                ctx.set(dut.spikes, step["spikes"])
                await cycle(number + step["last_group"])
                # In a pause only `valid` is sure to be low.
                ctx.set(dut.step, {"valid": 0, **{key: rng.getrandbits(1) for key in step if key != "spikes"}})
                ctx.set(dut.spikes, rng.getrandbits(self.config.group_bits))
        ctx.set(self.wants, 0)

    async def drain(self, ctx: Any) -> None:
        """Read every tile from the cycle after `tile_done` on, one batch per cycle in any order."""
        config, dut = self.config, self.dut
        groups = [len(one.steps) for one in self.slices if one.steps[-1]["last_of_tile"]]
        batches, idle = config.outputs // config.neurons, 0
        asked: deque[tuple[int, int, int, bool] | None] = deque([None] * dut.drain_latency)
        waiting: deque[tuple[int, int, int, bool]] = deque()
        while len(self.drained) < len(groups) or waiting or any(asked):
            if len(self.drained) < len(self.dones):
                tile = len(self.drained)
                reads = [(group, batch) for group in range(groups[tile]) for batch in range(batches)]
                self.rng.shuffle(reads)
                waiting.extend((tile, *read, i == len(reads) - 1) for i, read in enumerate(reads))
                self.drained.append({group: [[]] * config.outputs for group in range(groups[tile])})
                idle = 0
            asked.append(waiting.popleft() if waiting else None)
            ctx.set(dut.drain_read, asked[-1] is not None)
            if read := asked[-1]:
                ctx.set(dut.drain_group, read[1])
                ctx.set(dut.drain_buffer, read[0] % DRAIN_BUFFERS)
                ctx.set(dut.drain_batch, read[2])
                if read[3]:
                    self.free += 1
            else:
                ctx.set(dut.drain_batch, self.rng.randrange(batches))
            await ctx.tick()
            idle += 1
            assert idle < 5000, "the array hangs"
            asked.popleft()
            if read := asked[0]:
                tile, group, batch, _ = read
                row = list(ctx.get(dut.drain_sums))
                for neuron in range(config.neurons):
                    lanes = row[neuron * config.lanes : (neuron + 1) * config.lanes]
                    self.drained[tile][group][batch * config.neurons + neuron] = lanes


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_accumulates_every_lane(name, rate):
    config, rng = CONFIGS[name], random.Random(3)
    whole = config.tile_groups
    tiles = [(3, 2), (1, 1), (2, whole), (1, 3), (1, whole), (2, 1), (4, 5), (1, 2), (1, 1), (1, 1), (1, 1), (1, 1)]
    bench = Bench(config, random_slices(config, rng, tiles), seed=2, rate=rate)
    bench.run()
    assert bench.drained == tiles_of_sums(config, bench.slices)
    assert bench.dones == [cycle + bench.dut.done_latency for cycle in bench.last_steps]


@pytest.mark.parametrize("name", ["one_table", "two_tables"])
def test_long_slices_follow_each_other_without_a_pause(name):
    """The next table is filled and claimed while the steps of the one before run, and sums drain meanwhile."""
    config = dataclasses.replace(CONFIGS[name], tile_groups=32)
    bench = Bench(config, random_slices(config, random.Random(7), [(2, config.tile_groups)] * 4), seed=1)
    bench.run()
    assert [later - earlier for earlier, later in pairwise(bench.steps)] == [1] * (8 * config.tile_groups - 1)
    assert bench.drained == tiles_of_sums(config, bench.slices)


@pytest.mark.parametrize("name", LANES)
def test_successive_steps_hit_one_group(name):
    config = CONFIGS[name]
    (one,) = random_slices(config, random.Random(5), [(1, 12)])
    steps = [
        {**step, "group": 3, "first": i == 0, "double": i == 7, "final": i == 11} for i, step in enumerate(one.steps)
    ]
    bench = Bench(config, [dataclasses.replace(one, steps=steps)], seed=1)
    bench.run()
    assert bench.drained[0].get(3) == tiles_of_sums(config, bench.slices)[0][3]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("extreme", [-8, 7, 15])
def test_every_subset_of_extreme_weights(name, extreme):
    config = CONFIGS[name]
    unsigned = int(extreme > 7)
    weights = [[extreme] * 4, [extreme, *[1 if unsigned else -1] * 3], [0, 0, 0, extreme], [1, 2, 3, extreme]]
    weights = [weights[output % 4] * (config.inputs // 4) for output in range(config.outputs)]
    every_table = sum(1 << 4 * i for i in range(config.group_bits // 4))
    steps = [
        {
            "group": subset,
            "buffer": 0,
            "first": 1,
            "double": 1,
            "final": 1,
            "unsigned": unsigned,
            "last_group": int(subset == TABLE_ENTRIES - 1),
            "last_of_tile": int(subset == TABLE_ENTRIES - 1),
            "spikes": subset * every_table,
        }
        for subset in range(TABLE_ENTRIES)
    ]
    bench = Bench(config, [Slice(weights, unsigned, steps)], seed=1)
    bench.run()
    assert bench.drained == [
        {
            subset: [[sum(w for i, w in enumerate(row) if subset >> i % 4 & 1)] * config.lanes for row in weights]
            for subset in range(TABLE_ENTRIES)
        }
    ]
