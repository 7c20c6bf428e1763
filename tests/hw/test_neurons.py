"""Order, pace, metadata and spikes of the neurons against plain loops and the golden neuron."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
import torch
from benches import Batch, layer_batches, simulate, tile_batches, tile_duration, tile_fields

from golden.neuron import lif
from hw.config import TINY, HardwareConfig
from hw.isa import Destination
from hw.neurons import SUM_LATENCY, Neurons, neurons_latency

SUM_RANGE = 90

Sums = list[list[int]]
"""Partial sums of one address, ``[outputs][lanes]``."""


def config_of(**changes: int) -> HardwareConfig:
    return dataclasses.replace(TINY, **changes)


def layer(config: HardwareConfig, destination: Destination, *, positions: int, **fields: int) -> dict[str, Any]:
    """Descriptor of a layer with full output tiles unless told otherwise."""
    words = config.outputs // config.inputs
    return {
        "destination": destination,
        "timesteps": config.timesteps,
        "output_tiles": 2,
        "tile_words": words,
        "last_tile_words": words,
        "destination_slice_stride": positions + 3,
        **tile_fields(config, positions, fields.pop("tile_groups", 4)),
        **fields,
    }


class Stimulus:
    """Random sums, biases and thresholds of a layer."""

    def __init__(self, config: HardwareConfig, fields: dict[str, Any], seed: int):
        self.config, self.fields, self.rng = config, fields, random.Random(seed)
        self.sums = {
            (output_tile, tile): [self.random_sums() for _ in range(fields["tile_groups"])]
            for output_tile in range(fields["output_tiles"])
            for tile in range(fields["tiles"])
        }
        channels = fields["output_tiles"] * config.outputs
        scale = 1 << config.bias_fraction_bits
        self.bias = [self.rng.randint(-30 * scale, 30 * scale) for _ in range(channels)]
        self.threshold = [self.rng.randint(1, 40 * scale << config.timesteps) for _ in range(channels)]

    def random_sums(self) -> Sums:
        return [
            [self.rng.randint(-SUM_RANGE, SUM_RANGE) for _ in range(self.config.lanes)]
            for _ in range(self.config.outputs)
        ]

    def parameter(self, channel: int) -> int:
        return self.bias[channel] % (1 << 32) | self.threshold[channel] << 32

    def read(self, batch: Batch) -> Sums:
        """The sums of a batch, ``[neurons][lanes]``."""
        first = batch.batch * self.config.neurons
        return self.sums[batch.output_tile, batch.tile][batch.group][first : first + self.config.neurons]

    def spikes(self, batch: Batch) -> int:
        """Expected ``[neurons][positions][timesteps]``, by the golden neuron."""
        config, used = self.config, self.fields["timesteps"]
        packed = 0
        for neuron, row in enumerate(self.read(batch)):
            channel = batch.first_channel + neuron
            for position in range(config.positions):
                lanes = row[position * config.timesteps : (position + 1) * config.timesteps]
                if self.fields.get("image"):
                    lanes = [sum(lane << t * config.image_passes for t, lane in enumerate(lanes))] * config.timesteps
                current = torch.tensor(
                    [[(lane << config.bias_fraction_bits) + self.bias[channel]] for lane in lanes], dtype=torch.int64
                )
                fired, _ = lif(current, torch.tensor([self.threshold[channel]]), config.timesteps)
                if batch.members["lanes"] >> position & 1:
                    for t in range(used):
                        lane = (neuron * config.positions + position) * config.timesteps + t
                        packed |= int(fired[t, 0]) << lane
        return packed


@dataclass
class Seen:
    spikes: list[tuple[dict[str, int], int]] = field(default_factory=list)
    """Fields of the batch and its spikes."""
    sums: list[tuple[dict[str, int], Sums, list[int]]] = field(default_factory=list)
    """Fields of the batch, raw sums and biases."""
    spike_cycles: list[int] = field(default_factory=list)
    sum_cycles: list[int] = field(default_factory=list)
    tiles_drained: list[int] = field(default_factory=list)
    """Cycles of the pulses."""
    output_tiles_drained: list[int] = field(default_factory=list)
    done: int = 0
    """Cycle in which `done` rises."""


class Bench:
    """Plays array and fetch: two buffers of sums and of parameters, refilled with noise as soon as they are free."""

    def __init__(self, config: HardwareConfig, *, wait: int = 0, seed: int = 1):
        self.config, self.wait, self.rng = config, wait, random.Random(seed)
        self.dut = Neurons(config)
        self.buffers: list[list[Sums]] = [[], []]
        self.tiles_before, self.cycle = 0, 0
        self.layers: list[Seen] = []

    async def array(self, ctx: Any) -> None:
        """One cycle from address to sums."""
        config, dut = self.config, self.dut
        bits = (config.tile_groups - 1).bit_length()
        while True:
            _, _, address, batch = await ctx.tick().sample(dut.drain_address, dut.drain_batch)
            buffer = self.buffers[address >> bits]
            group = address & (1 << bits) - 1
            rows = buffer[group] if group < len(buffer) else [[0] * config.lanes] * config.outputs
            for neuron in range(config.neurons):
                for lane in range(config.lanes):
                    value = rows[batch * config.neurons + neuron][lane]
                    ctx.set(dut.drain_sums[neuron * config.lanes + lane], value)

    def members(self, batch: Any, keys: dict[str, int]) -> dict[str, int]:
        return {key: getattr(batch, key) for key in keys}

    async def layer(self, ctx: Any, fields: dict[str, Any], stimulus: Stimulus) -> None:
        config, dut, seen = self.config, self.dut, Seen()
        self.layers.append(seen)
        keys = next(layer_batches(config, fields)).members
        tiles = [(o, p) for o in range(fields["output_tiles"]) for p in range(fields["tiles"])]
        channel_bits = (config.outputs - 1).bit_length()
        writes = [(o, c) for o in range(fields["output_tiles"]) for c in range(config.outputs)]
        filled, drained, finished, next_fill = 0, 0, 0, 0
        ctx.set(dut.descriptor, fields)
        ctx.set(dut.start, 1)
        start = self.cycle
        latency = neurons_latency(config)
        while not seen.done or self.cycle < seen.done + latency + 1:
            # Parameters: a channel a cycle as long as the output tile two before is drained.
            allowed = bool(writes) and writes[0][0] < finished + 2
            ctx.set(dut.parameters.valid, allowed)
            if allowed:
                output_tile, channel = writes.pop(0)
                ctx.set(dut.parameters.index, output_tile % 2 << channel_bits | channel)
                ctx.set(dut.parameters.data, stimulus.parameter(output_tile * config.outputs + channel))
            # Sums: only once their parameters are there, as in the accelerator.
            ready = filled < len(tiles) and (not writes or writes[0][0] > tiles[filled][0])
            fill = ready and filled < drained + 2 and self.cycle >= next_fill
            ctx.set(dut.tile_done, fill)
            if fill:
                self.buffers[(self.tiles_before + filled) % 2] = stimulus.sums[tiles[filled]]
                filled += 1
                next_fill = self.cycle + 1 + self.rng.randint(0, self.wait)
            sampled = await ctx.tick().sample(
                dut.batch, dut.spikes, dut.sums_batch, dut.sums, dut.biases,
                dut.tile_drained, dut.output_tile_drained, dut.done,
            )  # fmt: skip
            batch, spikes, sums_batch, sums, biases, tile_drained, output_tile_drained, done = sampled[2:]
            ctx.set(dut.start, 0)
            if batch.valid:
                seen.spikes.append((self.members(batch, keys), spikes))
                seen.spike_cycles.append(self.cycle)
            if sums_batch.valid:
                rows = [[sums[n * config.lanes + i] for i in range(config.lanes)] for n in range(config.neurons)]
                biases = [biases[n] for n in range(config.neurons)]
                seen.sums.append((self.members(sums_batch, keys), rows, biases))
                seen.sum_cycles.append(self.cycle)
            if tile_drained:
                seen.tiles_drained.append(self.cycle)
                # The next read must not see this buffer any more.
                noise = [stimulus.random_sums() for _ in range(fields["tile_groups"])]
                self.buffers[(self.tiles_before + drained) % 2] = noise
            drained += tile_drained
            if output_tile_drained:
                seen.output_tiles_drained.append(self.cycle)
            finished += output_tile_drained
            if done and not seen.done:
                seen.done = self.cycle
            self.cycle += 1
            assert self.cycle < start + 5000, "the neurons hang"
        self.tiles_before += len(tiles)

    def run(self, *layers: dict[str, Any]) -> list[Stimulus]:
        made = [Stimulus(self.config, fields, seed) for seed, fields in enumerate(layers)]

        async def process(ctx: Any) -> None:
            for fields, stimulus in zip(layers, made, strict=True):
                await self.layer(ctx, fields, stimulus)

        simulate(self.dut, process, self.array)
        return made


def check(config: HardwareConfig, fields: dict[str, Any], stimulus: Stimulus, seen: Seen) -> None:
    batches = list(layer_batches(config, fields))
    assert [members for members, _ in seen.spikes] == [batch.members for batch in batches]
    assert [spikes for _, spikes in seen.spikes] == [stimulus.spikes(batch) for batch in batches]
    assert seen.sums == [
        (batch.members, stimulus.read(batch), stimulus.bias[batch.first_channel :][: config.neurons])
        for batch in batches
    ]
    assert seen.spike_cycles == [cycle - SUM_LATENCY + neurons_latency(config) for cycle in seen.sum_cycles]
    assert len(seen.tiles_drained) == fields["output_tiles"] * fields["tiles"]
    assert seen.output_tiles_drained == seen.tiles_drained[fields["tiles"] - 1 :: fields["tiles"]]
    assert seen.done == seen.tiles_drained[-1] + 1


CASES = {
    "spikes": (config_of(), Destination.SPIKES, {"positions": 13}),
    "short_last_output_tile": (config_of(), Destination.SPIKES, {"positions": 6, "last_tile_words": 1}),
    "start_of_residual": (
        config_of(positions=1, neurons=4), Destination.SPIKES_AND_RESIDUAL, {"positions": 9, "output_tiles": 3}
    ),
    "residual": (config_of(), Destination.RESIDUAL, {"positions": 11, "residual_planes_out": 3}),
    "keys": (config_of(), Destination.KEYS, {"positions": 13}),
    "values": (config_of(neurons=1), Destination.VALUES, {"positions": 6, "tile_groups": 3}),
    "keys_one_batch": (config_of(neurons=4, positions=1), Destination.KEYS, {"positions": 6}),
    "logits": (config_of(), Destination.LOGITS, {"positions": 9, "last_tile_words": 1}),
    "fewer_time_steps": (config_of(), Destination.SPIKES, {"positions": 5, "timesteps": 3}),
    "one_time_step": (config_of(timesteps=1, positions=1), Destination.SPIKES, {"positions": 5, "output_tiles": 1}),
    "eight_time_steps": (config_of(timesteps=8, positions=1), Destination.KEYS, {"positions": 5}),
    "image": (config_of(), Destination.SPIKES, {"positions": 7, "image": 1}),
    "image_in_one_lane": (config_of(timesteps=1), Destination.SPIKES, {"positions": 7, "image": 1}),
    "image_in_eight_lanes": (config_of(timesteps=8, positions=1), Destination.SPIKES, {"positions": 7, "image": 1}),
    "odd_outputs": (config_of(outputs=12), Destination.SPIKES, {"positions": 5, "output_tiles": 3}),
    "one_batch": (
        config_of(outputs=4, neurons=4, positions=1), Destination.SPIKES, {"positions": 5, "output_tiles": 3}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("wait", [0, 60])
def test_reads_in_order_and_fires(name, wait):
    config, destination, sizes = CASES[name]
    fields = layer(config, destination, **sizes)
    bench = Bench(config, wait=wait)
    (stimulus,) = bench.run(fields)
    check(config, fields, stimulus, bench.layers[0])


@pytest.mark.parametrize("name", ["spikes", "residual", "keys"])
def test_keeps_the_stated_pace(name):
    """Inside a tile, and without a gap to the next one if that is complete."""
    config, destination, sizes = CASES[name]
    fields = layer(config, destination, **sizes)
    bench = Bench(config)
    bench.run(fields)
    cycles = iter(bench.layers[0].spike_cycles)
    starts = []
    tiles = [(o, p) for o in range(fields["output_tiles"]) for p in range(fields["tiles"])]
    for tile in tiles:
        offsets = [batch.cycle for batch in tile_batches(config, fields, *tile)]
        seen = [next(cycles) for _ in offsets]
        assert [cycle - seen[0] for cycle in seen] == offsets
        starts.append(seen[0])
    durations = [tile_duration(config, fields, *tile) for tile in tiles]
    assert [after - before for before, after in pairwise(starts)] == durations[:-1]


def test_layers_follow_each_other():
    config = config_of()
    # Odd numbers of tiles and of output tiles, which end in the other buffer of sums and of parameters.
    counts = {"keys": 1, "spikes": 3, "image": 2, "logits": 1, "residual": 1}
    layers = [
        layer(config, CASES[name][1], **{**CASES[name][2], "output_tiles": count}) for name, count in counts.items()
    ]
    bench = Bench(config, wait=10)
    stimuli = bench.run(*layers)
    for fields, stimulus, seen in zip(layers, stimuli, bench.layers, strict=True):
        check(config, fields, stimulus, seen)


@pytest.mark.parametrize("sign", [-1, 1])
def test_widest_currents(sign):
    """The largest sum with the largest bias is not cut, and the largest threshold is never reached."""
    config = config_of(positions=1)
    fields = layer(config, Destination.SPIKES, positions=2, output_tiles=1)
    bench = Bench(config)
    limit = 1 << config.accumulator_bits - 1
    extreme = limit - 1 if sign > 0 else -limit

    class Extremes(Stimulus):
        def random_sums(self) -> Sums:
            return [[extreme] * self.config.lanes for _ in range(self.config.outputs)]

    stimulus = Extremes(config, fields, 1)
    channels = len(stimulus.bias)
    stimulus.bias = [extreme << config.bias_fraction_bits] * channels
    top = (1 << config.membrane_bits - 1) - 1
    stimulus.threshold = [1, top, top - (1 << config.current_bits), 1 << config.current_bits + 2] * (channels // 4)

    async def process(ctx: Any) -> None:
        await bench.layer(ctx, fields, stimulus)

    simulate(bench.dut, process, bench.array)
    check(config, fields, stimulus, bench.layers[0])
    assert any(spikes for _, spikes in bench.layers[0].spikes) == (sign > 0)
