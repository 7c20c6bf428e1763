"""Bursts in the order of the loops, parameters apart from weights, parameters never too early."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import pytest
from benches import MemoryModel, simulate

from hw.config import TINY, HardwareConfig
from hw.weight_fetch import WeightFetch

BASE, OFFSET = 1000, 77


def content(address: int) -> int:
    """A beat that names its address."""
    return address * 0x9E3779B97F4A7C15 % (1 << 64)


def layer(*, output_tiles: int, tiles: int, passes: int, weight_beats: int) -> dict[str, int]:
    return {
        "output_tiles": output_tiles,
        "tiles": tiles,
        "passes": passes,
        "weight_beats": weight_beats,
        "memory_address": OFFSET,
    }


def tile_addresses(config: HardwareConfig, fields: dict[str, int]) -> Iterator[int]:
    for output_tile in range(fields["output_tiles"]):
        yield BASE + OFFSET + output_tile * (config.outputs + fields["weight_beats"])


def bursts(config: HardwareConfig, fields: dict[str, int]) -> list[tuple[int, int]]:
    """Parameters and weights at first, then the weights once more for every other plane and position tile."""
    expected = []
    for address in tile_addresses(config, fields):
        expected.append((address, config.outputs + fields["weight_beats"]))
        again = fields["tiles"] * fields["passes"] - 1
        expected += [(address + config.outputs, fields["weight_beats"])] * again
    return expected


def weights(config: HardwareConfig, fields: dict[str, int]) -> list[int]:
    return [
        content(address + config.outputs + beat)
        for address in tile_addresses(config, fields)
        for _ in range(fields["tiles"] * fields["passes"])
        for beat in range(fields["weight_beats"])
    ]


def parameters(config: HardwareConfig, fields: dict[str, int]) -> list[tuple[int, int]]:
    """Index (buffer above the channel) and content."""
    buffer = 1 << (config.outputs - 1).bit_length()
    return [
        (output_tile % 2 * buffer + channel, content(address + channel))
        for output_tile, address in enumerate(tile_addresses(config, fields))
        for channel in range(config.outputs)
    ]


class Bench:
    """Runs layers; output tile `o` is drained some cycles after the last of its weights was taken."""

    def __init__(self, config: HardwareConfig, *, seed: int = 0, rate: float = 1.0, drain: bool = True):
        self.config, self.drain, self.rng = config, drain, random.Random(seed)
        self.rate = rate
        self.dut = WeightFetch(config)
        self.memory = MemoryModel(self.dut.memory, content, seed=seed, request_rate=self.rate, response_rate=self.rate)
        self.weights: list[int] = []
        self.parameters: list[tuple[int, int]] = []
        self.violations: list[str] = []

    async def layer(self, ctx: Any, fields: dict[str, int], limit: int = 3000) -> None:
        """One layer, until all its weights came, or for `limit` cycles."""
        dut = self.dut
        per_tile = fields["tiles"] * fields["passes"] * fields["weight_beats"]
        total, came, written, drained = per_tile * fields["output_tiles"], 0, 0, 0
        ctx.set(dut.descriptor, fields)
        ctx.set(dut.base, BASE)
        ctx.set(dut.start, 1)
        for _ in range(limit):
            ready = self.rng.random() < self.rate
            pulse = self.drain and drained < came // per_tile and self.rng.random() < self.rate / 4
            ctx.set(dut.weights.ready, ready)
            ctx.set(dut.output_tile_drained, pulse)
            _, _, valid, payload, write, index, data = await ctx.tick().sample(
                dut.weights.valid, dut.weights.payload,
                dut.parameters.valid, dut.parameters.index, dut.parameters.data,
            )  # fmt: skip
            ctx.set(dut.start, 0)
            if write:
                if written // self.config.outputs >= drained + 2:
                    self.violations.append(f"parameter {written} with {drained} output tiles drained")
                self.parameters.append((index, data))
                written += 1
            if valid and ready:
                self.weights.append(payload)
                came += 1
            drained += pulse
            if drained == fields["output_tiles"] and came == total:
                return

    def run(self, *layers: dict[str, int], limit: int = 3000) -> None:
        async def process(ctx: Any) -> None:
            for fields in layers:
                await self.layer(ctx, fields, limit)

        simulate(self.dut, process, self.memory.process)


LAYERS = [
    layer(output_tiles=1, tiles=1, passes=1, weight_beats=1),
    layer(output_tiles=5, tiles=1, passes=1, weight_beats=3),
    layer(output_tiles=3, tiles=2, passes=3, weight_beats=4),
    layer(output_tiles=2, tiles=5, passes=1, weight_beats=2),
]


@pytest.mark.parametrize("fields", LAYERS)
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_streams_a_layer(fields, rate):
    bench = Bench(TINY, seed=3, rate=rate)
    bench.run(fields)
    assert bench.violations == []
    assert bench.memory.requests == bursts(TINY, fields)
    assert bench.parameters == parameters(TINY, fields)
    assert bench.weights == weights(TINY, fields)


def test_layers_follow_each_other():
    bench = Bench(TINY, seed=5, rate=0.7)
    bench.run(*LAYERS)
    assert bench.violations == []
    assert bench.memory.requests == [burst for fields in LAYERS for burst in bursts(TINY, fields)]
    assert bench.parameters == [one for fields in LAYERS for one in parameters(TINY, fields)]
    assert bench.weights == [beat for fields in LAYERS for beat in weights(TINY, fields)]


def test_outputs_need_not_be_a_power_of_two():
    config = dataclasses.replace(TINY, outputs=12)
    bench = Bench(config, seed=3)
    bench.run(LAYERS[2])
    assert bench.parameters == parameters(config, LAYERS[2])
    assert bench.weights == weights(config, LAYERS[2])


@pytest.mark.parametrize("layers_before", [0, 1])
def test_third_parameters_wait_until_the_first_are_drained(layers_before):
    """In a second layer too: what the first one drained no longer counts."""
    fields = layer(output_tiles=4, tiles=1, passes=1, weight_beats=2)
    bench = Bench(TINY)

    async def process(ctx: Any) -> None:
        for _ in range(layers_before):
            await bench.layer(ctx, fields)
        for seen in (bench.parameters, bench.weights, bench.memory.requests):
            seen.clear()
        bench.drain = False
        await bench.layer(ctx, fields, limit=200)

    simulate(bench.dut, process, bench.memory.process)
    assert bench.parameters == parameters(TINY, fields)[: 2 * TINY.outputs]
    assert bench.weights == weights(TINY, fields)[: 2 * 2]
    # Requests run ahead of what is taken.
    assert bench.memory.requests == bursts(TINY, fields)


def test_takes_a_beat_every_cycle():
    fields = layer(output_tiles=2, tiles=2, passes=2, weight_beats=5)
    beats = sum(length for _, length in bursts(TINY, fields))
    bench = Bench(TINY, drain=False)
    # Start, request, then one beat a cycle.
    bench.run(fields, limit=2 + beats)
    assert bench.weights == weights(TINY, fields)


def test_longest_burst():
    beats = (1 << 16) - TINY.outputs
    bench = Bench(TINY)
    bench.run(layer(output_tiles=1, tiles=1, passes=1, weight_beats=beats), limit=4)
    assert bench.memory.requests == [(BASE + OFFSET, 1 << 16)]
