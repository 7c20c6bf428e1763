"""WeightArray in Verilog against integer products, with and without stalls of weights and steps."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cocotb
import torch
from cocotb.triggers import RisingEdge
from torch import Tensor

from hw.config import MEMORY_BEAT_BITS, HardwareConfig
from hw.weight_array import FILL_CYCLES, array_latency
from sim.benches.harness import MAX_IDLE_CYCLES, parameters, start
from sim.benches.or_pool import pack


@dataclass(frozen=True)
class Slice:
    """Beats of one weight slice, and the steps that use it with the spikes of each."""

    beats: list[int]
    steps: list[dict[str, int]]


@dataclass
class Watch:
    """What the bench saw, in cycles, and the sums that it read, by tile."""

    free_buffers: int = 2
    beats: list[int] = field(default_factory=list)
    available: list[int] = field(default_factory=list)
    last_steps: list[int] = field(default_factory=list)
    dones: list[int] = field(default_factory=list)
    sums: list[Tensor] = field(default_factory=list)


@cocotb.test()
async def accumulates_integer_products(dut: Any) -> None:
    """Tiles of sums in alternating buffers: every lane of every output, and the stated latencies."""
    given = parameters()
    config = HardwareConfig(**given["config"])
    stall, groups, seed = given["stall"], given["groups"], given["seed"]
    generator = torch.Generator().manual_seed(seed)
    tiles = [random_tile(config, tile % 2, given["slices"], groups, generator) for tile in range(given["tiles"])]
    slices = [one for tile, _ in tiles for one in tile]
    await start(dut, {"weights_valid": 0, "claim": 0, "step_valid": 0, "drain_address": 0, "drain_batch": 0})

    watch = Watch()
    beats = [beat for one in slices for beat in one.beats]
    cocotb.start_soon(feed(dut, beats, stall, random.Random(seed)))
    cocotb.start_soon(walk(dut, config, slices, stall, random.Random(seed + 1), watch))
    await drain(dut, config, groups, len(tiles), random.Random(seed + 2), watch)

    for read, (_, expected) in zip(watch.sums, tiles, strict=True):
        assert torch.equal(read, expected)
    assert len(watch.beats) == len(beats)
    assert watch.available[0] == watch.beats[config.weight_slice_beats - 1] + 1 + FILL_CYCLES
    assert watch.dones == [cycle + array_latency(config) for cycle in watch.last_steps]


def random_tile(
    config: HardwareConfig, buffer: int, slices: int, groups: int, generator: torch.Generator
) -> tuple[list[Slice], Tensor]:
    """Weight slices of a tile with their steps, and its sums [groups, outputs, lanes]."""
    high = 1 << config.weight_bits - 1
    sums = torch.zeros(groups, config.outputs, config.lanes, dtype=torch.int64)
    made = []
    for number in range(slices):
        double = number > 0 and bool(torch.rand((), generator=generator) < 0.5)
        negative = bool(torch.rand((), generator=generator) < 0.4)
        weights = torch.randint(-high, high, (config.outputs, config.inputs), generator=generator)
        weights[0], weights[1] = -high, high - 1
        spikes = (torch.rand(groups, config.lanes, config.inputs, generator=generator) < 0.5).long()
        spikes[number % groups] = 1

        products = weights @ spikes.transpose(1, 2)
        if negative:
            products[..., config.timesteps - 1 :: config.timesteps] *= -1
        sums = (sums << int(double)) + products
        steps = [
            {
                "step_address": buffer * config.tile_groups + group,
                "step_first": int(number == 0),
                "step_double": int(double),
                "step_negative": int(negative),
                "step_last_group": int(group == groups - 1),
                "step_last_of_tile": int(group == groups - 1 and number == slices - 1),
                "spikes": pack(spikes[group].ravel()),
            }
            for group in range(groups)
        ]
        made.append(Slice(weight_beats(config, weights), steps))
    assert int(sums.abs().max()) < 1 << config.accumulator_bits - 1, "too many slices for the accumulator"
    return made, sums


def weight_beats(config: HardwareConfig, weights: Tensor) -> list[int]:
    """Beats of a slice: output-major, lowest bits first."""
    bits = weights.ravel()[:, None] >> torch.arange(config.weight_bits) & 1
    return [pack(beat) for beat in bits.ravel().split(MEMORY_BEAT_BITS)]


async def feed(dut: Any, beats: Sequence[int], stall: float, rng: random.Random) -> None:
    """Offer the beats in order, with pauses; an offered beat stays until it is taken."""
    for beat in beats:
        while rng.random() < stall:
            dut.weights_valid.value, dut.weights_data.value = 0, rng.getrandbits(MEMORY_BEAT_BITS)
            await RisingEdge(dut.clk)
        dut.weights_valid.value, dut.weights_data.value = 1, beat
        await RisingEdge(dut.clk)
        while not dut.weights_ready.value:
            await RisingEdge(dut.clk)
    dut.weights_valid.value = 0


async def walk(
    dut: Any, config: HardwareConfig, slices: Sequence[Slice], stall: float, rng: random.Random, watch: Watch
) -> None:
    """Claim a table for every slice and give its steps, with pauses; a tile waits for a buffer that was drained."""
    available = False
    for one in slices:
        begins = one.steps[0]["step_first"]
        while not available or (begins and not watch.free_buffers):
            await RisingEdge(dut.clk)
            available = bool(dut.table_available.value)
        watch.free_buffers -= begins
        dut.claim.value = 1
        await RisingEdge(dut.clk)
        dut.claim.value = 0
        for step in one.steps:
            while rng.random() < stall:
                await RisingEdge(dut.clk)
            for name, value in step.items():
                getattr(dut, name).value = value
            dut.step_valid.value = 1
            await RisingEdge(dut.clk)
            available = bool(dut.table_available.value)
            # In a pause only `valid` is low: the rest of the step stays, its spikes change.
            dut.step_valid.value, dut.spikes.value = 0, rng.getrandbits(config.group_bits)


async def drain(
    dut: Any, config: HardwareConfig, groups: int, tiles: int, rng: random.Random, watch: Watch
) -> None:
    """Read every tile from the cycle after `tile_done` on, one batch per cycle in any order; note what happens when."""
    batches, bits = config.outputs // config.neurons, config.accumulator_bits
    reads: deque[tuple[int, int, int]] = deque()
    asked: deque[tuple[int, int, int]] = deque()
    cycle = idle = 0
    while len(watch.dones) < tiles or reads or asked:
        await RisingEdge(dut.clk)
        cycle, idle = cycle + 1, idle + 1
        assert idle < MAX_IDLE_CYCLES, f"only {len(watch.dones)} of {tiles} tiles were completed"
        if dut.weights_valid.value and dut.weights_ready.value:
            watch.beats.append(cycle)
        if dut.table_available.value:
            watch.available.append(cycle)
        if dut.step_valid.value and dut.step_last_of_tile.value:
            watch.last_steps.append(cycle)
        # An address driven after one edge is sampled at the next, and its sums are read just before the one after.
        if len(asked) == 2 or (asked and not reads):
            pass
        if dut.tile_done.value:
            idle = 0
            tile = len(watch.dones)
            watch.dones.append(cycle)
            watch.sums.append(torch.zeros(groups, config.outputs, config.lanes, dtype=torch.int64))
            added = [(tile, group, batch) for group in range(groups) for batch in range(batches)]
            reads.extend(rng.sample(added, len(added)))
