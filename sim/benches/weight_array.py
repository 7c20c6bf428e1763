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
    """Tiles of so many groups each, in alternating buffers: every lane of every output, and the stated latencies."""
    given = parameters()
    config = HardwareConfig(**given["config"])
    stall, tile_groups, seed = given["stall"], given["tile_groups"], given["seed"]
    generator = torch.Generator().manual_seed(seed)
    tiles = [
        random_tile(config, tile % 2, given["slices"], groups, generator) for tile, groups in enumerate(tile_groups)
    ]
    slices = [one for tile, _ in tiles for one in tile]
    await start(dut, {"weights_valid": 0, "claim": 0, "step_valid": 0, "drain_address": 0, "drain_batch": 0})

    watch = Watch()
    beats = [beat for one in slices for beat in one.beats]
    cocotb.start_soon(feed(dut, beats, stall, random.Random(seed)))
    cocotb.start_soon(walk(dut, config, slices, stall, random.Random(seed + 1), watch))
    await drain(dut, config, tile_groups, random.Random(seed + 2), watch)

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
    return [pack(beat) for beat in bits.reshape(-1, MEMORY_BEAT_BITS)]


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
    """Give the steps of every slice, with pauses.

    A table is claimed as soon as there is one, at the earliest with the last step of the slice before; a tile also
    waits for a buffer that was drained.
    """
    available, claimed = False, 0

    async def cycle(wanted: int | None = None) -> None:
        """Spend a cycle, and claim the table of slice `wanted` in it if that may be."""
        nonlocal available, claimed
        claim = False
        if wanted is not None and wanted < len(slices) and available:
            begins = slices[wanted].steps[0]["step_first"]
            claim = watch.free_buffers >= begins
            watch.free_buffers -= claim and begins
        claimed += claim
        dut.claim.value = int(claim)
        await RisingEdge(dut.clk)
        available = bool(dut.table_available.value) and not claim

    for number, one in enumerate(slices):
        while claimed == number:
            await cycle(number)
        for step in one.steps:
            while rng.random() < stall:
                await cycle()
            for name, value in step.items():
                getattr(dut, name).value = value
            dut.step_valid.value = 1
            await cycle(number + 1 if step["step_last_group"] else None)
            # In a pause only `valid` is low: the rest of the step stays, its spikes change.
            dut.step_valid.value, dut.spikes.value = 0, rng.getrandbits(config.group_bits)


async def drain(dut: Any, config: HardwareConfig, tile_groups: Sequence[int], rng: random.Random, watch: Watch) -> None:
    """Read every tile from the cycle after `tile_done` on, one batch per cycle in any order; note what happens when."""
    reads: deque[tuple[int, int, int]] = deque()
    # An address driven after one edge is sampled at the next, and its sums are read just before the one after that.
    asked: deque[tuple[int, int, int] | None] = deque([None, None])
    cycle = idle = 0
    while len(watch.dones) < len(tile_groups) or reads or any(asked):
        await RisingEdge(dut.clk)
        cycle, idle = cycle + 1, idle + 1
        assert idle < MAX_IDLE_CYCLES, f"only {len(watch.dones)} of {len(tile_groups)} tiles were completed"
        if dut.weights_valid.value and dut.weights_ready.value:
            watch.beats.append(cycle)
        if dut.table_available.value:
            watch.available.append(cycle)
        if dut.step_valid.value and dut.step_last_of_tile.value:
            watch.last_steps.append(cycle)
        if answered := asked.popleft():
            tile, group, batch = answered
            channels = slice(batch * config.neurons, (batch + 1) * config.neurons)
            watch.sums[tile][group, channels] = drained_sums(config, int(dut.drain_sums.value))
            watch.free_buffers += not any(read and read[0] == tile for read in (*asked, *reads))
        if dut.tile_done.value:
            idle = 0
            groups, batches = tile_groups[len(watch.dones)], config.outputs // config.neurons
            places = [(len(watch.dones), group, batch) for group in range(groups) for batch in range(batches)]
            reads.extend(rng.sample(places, len(places)))
            watch.sums.append(torch.zeros(groups, config.outputs, config.lanes, dtype=torch.int64))
            watch.dones.append(cycle)
        asked.append(reads.popleft() if reads else None)
        if read := asked[-1]:
            tile, group, batch = read
            dut.drain_address.value = tile % 2 * config.tile_groups + group
            dut.drain_batch.value = batch


def drained_sums(config: HardwareConfig, word: int) -> Tensor:
    """Signed sums [neurons, lanes] of one batch."""
    bits = config.accumulator_bits
    raw = torch.tensor([word >> i * bits & (1 << bits) - 1 for i in range(config.neurons * config.lanes)])
    return (raw - (raw >> bits - 1 << bits)).view(config.neurons, config.lanes)
