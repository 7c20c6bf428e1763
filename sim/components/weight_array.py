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

from hw.array.step import DRAIN_BUFFERS
from hw.array.weight_array import WeightArray
from hw.config import TABLE_INPUTS, WEIGHT_BITS, HardwareConfig
from sim.components.harness import MAX_IDLE_CYCLES, parameters, start
from sim.components.or_pool import pack


@dataclass(frozen=True)
class Slice:
    """Beats of one weight slice, and the steps that use it with the spikes of each."""

    beats: list[int]
    steps: list[dict[str, int]]


@dataclass
class Watch:
    """What the bench saw, in cycles, and the sums that it read, by tile."""

    free_buffers: int = DRAIN_BUFFERS
    beats: list[int] = field(default_factory=list)
    available: list[int] = field(default_factory=list)
    last_steps: list[int] = field(default_factory=list)
    dones: list[int] = field(default_factory=list)
    sums: list[Tensor] = field(default_factory=list)


@cocotb.test()
async def accumulates_integer_products(dut: Any) -> None:
    """Tiles of so many groups each, buffer after buffer: every lane of every output, and the stated latencies."""
    given = parameters()
    config = HardwareConfig(**given["config"])
    stall, tile_groups, seed = given["stall"], given["tile_groups"], given["seed"]
    generator = torch.Generator().manual_seed(seed)
    tiles = [random_tile(config, tile, given["slices"], groups, generator) for tile, groups in enumerate(tile_groups)]
    slices = [one for tile, _ in tiles for one in tile]
    idle = ("weights_valid", "claim", "step_valid", "drain_read", "drain_group", "drain_buffer", "drain_batch")
    await start(dut, dict.fromkeys(idle, 0))

    watch = Watch()
    beats = [(beat, one.steps[0]["step_unsigned"]) for one in slices for beat in one.beats]
    cocotb.start_soon(feed(dut, beats, config.memory_bits, stall, random.Random(seed)))
    cocotb.start_soon(walk(dut, config, slices, stall, random.Random(seed + 1), watch))
    await drain(dut, config, tile_groups, random.Random(seed + 2), watch)

    for read, (_, expected) in zip(watch.sums, tiles, strict=True):
        assert torch.equal(read, expected)
    assert len(watch.beats) == len(beats)
    assert watch.available[0] == watch.beats[config.slice_beats - 1] + 1 + WeightArray.fill_latency
    assert watch.dones == [cycle + WeightArray(config).done_latency for cycle in watch.last_steps]


def random_tile(
    config: HardwareConfig, tile: int, slices: int, groups: int, generator: torch.Generator
) -> tuple[list[Slice], Tensor]:
    """Weight slices of a tile with their steps, and its sums [groups, outputs, lanes]; every third is a low half."""
    low_half = tile % 3 == 2
    lowest = 0 if low_half else -(1 << WEIGHT_BITS - 1)
    highest = lowest + (1 << WEIGHT_BITS) - 1
    sums = torch.zeros(groups, config.outputs, config.lanes, dtype=torch.int64)
    made = []
    for number in range(slices):
        double = number > 0 and bool(torch.rand((), generator=generator) < 0.5)
        final = number == slices - 1
        weights = torch.randint(lowest, highest + 1, (config.outputs, config.inputs), generator=generator)
        weights[0], weights[1] = lowest, highest
        spikes = (torch.rand(groups, config.lanes, config.inputs, generator=generator) < 0.5).long()
        spikes[number % groups] = 1
        sums = (sums << int(double)) + weights @ spikes.transpose(1, 2)
        steps = [
            {
                "step_group": group,
                "step_buffer": tile % DRAIN_BUFFERS,
                "step_first": int(number == 0),
                "step_double": int(double),
                "step_final": int(final),
                "step_unsigned": int(low_half),
                "step_last_group": int(group == groups - 1),
                "step_last_of_tile": int(group == groups - 1 and final),
                "spikes": pack(spikes[group].ravel()),
            }
            for group in range(groups)
        ]
        made.append(Slice(weight_beats(config, weights), steps))
    assert int(sums.abs().max()) < 1 << config.accumulator_bits - 1, "too many slices for the accumulator"
    return made, sums


def weight_beats(config: HardwareConfig, weights: Tensor) -> list[int]:
    """Beats of a slice: the first weights of all tables, output-major, lowest bits first, then the second ones ..."""
    rows = weights.reshape(-1, TABLE_INPUTS).T
    bits = rows.reshape(-1, 1) >> torch.arange(WEIGHT_BITS) & 1
    return [pack(beat) for beat in bits.reshape(-1, config.memory_bits)]


async def feed(dut: Any, beats: Sequence[tuple[int, int]], beat_bits: int, stall: float, rng: random.Random) -> None:
    """Offer the beats in order, with pauses; an offered beat stays until it is taken."""
    for beat, low_half in beats:
        while rng.random() < stall:
            dut.weights_valid.value, dut.weights_data.value = 0, rng.getrandbits(beat_bits)
            await RisingEdge(dut.clk)
        dut.weights_valid.value, dut.weights_data.value = 1, beat
        dut.unsigned_weights.value = low_half
        await RisingEdge(dut.clk)
        while not dut.weights_ready.value:
            await RisingEdge(dut.clk)
    dut.weights_valid.value = 0


async def walk(
    dut: Any, config: HardwareConfig, slices: Sequence[Slice], stall: float, rng: random.Random, watch: Watch
) -> None:
    """Give the steps of every slice, with pauses.

    A table is claimed as soon as there is one, at the earliest with the last step of the slice before; the slice that
    completes a tile also waits for a buffer that was drained.
    """
    available, claimed = False, 0

    async def cycle(wanted: int | None = None) -> None:
        """Spend a cycle, and claim the table of slice `wanted` in it if that may be."""
        nonlocal available, claimed
        claim = False
        if wanted is not None and wanted < len(slices) and available:
            completes = slices[wanted].steps[0]["step_final"]
            claim = watch.free_buffers >= completes
            watch.free_buffers -= claim and completes
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
    # An address driven after one edge is sampled at the next; its sums are read just before the edge after the latency.
    asked: deque[tuple[int, int, int] | None] = deque([None] * (1 + WeightArray.drain_latency))
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
        dut.drain_read.value = int(asked[-1] is not None)
        if read := asked[-1]:
            tile, group, batch = read
            dut.drain_group.value, dut.drain_buffer.value = group, tile % DRAIN_BUFFERS
            dut.drain_batch.value = batch


def drained_sums(config: HardwareConfig, word: int) -> Tensor:
    """Signed sums [neurons, lanes] of one batch."""
    bits = config.accumulator_bits
    raw = torch.tensor([word >> i * bits & (1 << bits) - 1 for i in range(config.neurons * config.lanes)])
    return (raw - (raw >> bits - 1 << bits)).view(config.neurons, config.lanes)
