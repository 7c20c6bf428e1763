"""A bench that plays what is around the neurons: array, program reader and dispatcher."""

from __future__ import annotations

import dataclasses
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import torch

from golden.neuron import lif
from hw.array.drain_buffers import DrainBuffers
from hw.array.step import DRAIN_BUFFERS
from hw.config import PARAMETER_BITS, HardwareConfig
from hw.neurons.batch import batch_layout
from hw.neurons.neurons import Neurons
from tests.hw.batches import Batch, Fields, layer_tiles, members_of, tile_batches, tile_cycles
from tests.hw.benches import Inputs, simulate

SUM_RANGE = 90
WIDE_HIGH_RANGE = 6

Sums = list[list[int]]
"""Partial sums of one word, ``[outputs][lanes]``."""


class Stimulus:
    """Random sums, biases and thresholds of a layer."""

    def __init__(self, config: HardwareConfig, fields: Fields, seed: int):
        self.config, self.fields, self.rng = config, fields, random.Random(seed)
        self.wide, self.image = fields.get("wide", 0), fields["image"]
        self.sums = {
            (output_tile, tile): [
                [self.random_sums(half) for _ in range(fields["tile_groups"])] for half in range(1 + self.wide)
            ]
            for output_tile, tile in layer_tiles(fields)
        }
        channels = fields["output_tiles"] * config.outputs
        scale = 1 << config.bias_fraction_bits
        self.bias = [self.rng.randint(-30 * scale, 30 * scale) for _ in range(channels)]
        self.leaky = not fields.get("no_leak", 0)
        if self.leaky:
            self.threshold = [self.rng.randint(1, 40 * scale << config.max_timesteps) for _ in range(channels)]
        else:
            self.threshold = [self.rng.randint(1, 80 * scale) << config.max_timesteps - 1 for _ in range(channels)]

    def random_sums(self, half: int) -> Sums:
        """Of a wide layer first the high halves, then the low ones, which are unsigned but in image layers."""
        low, high = -SUM_RANGE, SUM_RANGE
        if self.wide and half == 0:
            low, high = -WIDE_HIGH_RANGE, WIDE_HIGH_RANGE
        elif self.wide and not self.image:
            low, high = 0, self.rng.choice([SUM_RANGE, (1 << self.config.accumulator_bits) - 1])
        return [[self.rng.randint(low, high) for _ in range(self.config.lanes)] for _ in range(self.config.outputs)]

    def parameter_beat(self, index: int) -> int:
        """Beat of the layer's parameters."""
        per_beat, offset = self.config.memory_bits // PARAMETER_BITS, self.config.threshold_offset
        return sum(
            (self.bias[c] % (1 << offset) | self.threshold[c] << offset) << PARAMETER_BITS * i
            for i, c in enumerate(range(index * per_beat, (index + 1) * per_beat))
        )

    def read(self, batch: Batch) -> Sums:
        """The joint sums of a batch, ``[neurons][lanes]``."""
        first = batch.select * self.config.neurons
        halves = [
            half[batch.group][first : first + self.config.neurons] for half in self.sums[batch.output_tile, batch.tile]
        ]
        if not self.wide:
            return halves[0]
        return [[(h << 4) + low for h, low in zip(*rows, strict=True)] for rows in zip(*halves, strict=True)]

    def biases(self, batch: Batch) -> list[int]:
        return self.bias[batch.first_channel :][: self.config.neurons]

    def spikes(self, batch: Batch) -> int:
        """Expected ``[neurons][positions][timesteps]``, by the golden neuron: it runs through all time chunks."""
        config, fraction = self.config, self.config.bias_fraction_bits
        chunks = []
        for chunk in range(config.time_chunks):
            group = batch.group if self.image else batch.group - batch.time_chunk + min(chunk, batch.time_chunk)
            rows = torch.tensor(self.read(dataclasses.replace(batch, group=group)), dtype=torch.int64)
            sums = rows.reshape(config.neurons, config.positions, config.timesteps)
            if self.image:
                sums = sums[:, :, batch.lane : batch.lane + 1].expand(-1, -1, config.timesteps)
            chunks.append(sums)
        bias = torch.tensor(self.biases(batch))
        current = (torch.cat(chunks, dim=2) << fraction).permute(2, 1, 0) + bias
        limits = torch.tensor(self.threshold[batch.first_channel :][: config.neurons])
        limits = limits if self.leaky else limits >> config.max_timesteps - 1
        fired, _ = lif(current.contiguous(), limits, config.max_timesteps, leaky=self.leaky)
        fired = fired[batch.time_chunk * config.timesteps :][: config.timesteps].permute(2, 1, 0)
        packed, members = 0, batch.members
        for neuron in range(config.neurons):
            for position in range(config.positions):
                steps = sum(int(fired[neuron, position, t]) << t for t in range(config.timesteps))
                if members["lanes"] >> position & 1:
                    first = (neuron * config.positions + position) * config.timesteps
                    packed |= (steps & members["steps"]) << first
        return packed


def pack(values: list[int], width: int) -> int:
    return sum((value & (1 << width) - 1) << i * width for i, value in enumerate(values))


@dataclass
class Tile:
    """A tile of sums on its way: index of its layer, where it lies in it, when its last half was complete."""

    layer: int
    place: tuple[int, int]
    done: int = 0


@dataclass
class Seen:
    """Events with their cycles."""

    sums: list[tuple[int, dict[str, int], int, list[int]]] = field(default_factory=list)
    spikes: list[tuple[int, dict[str, int], int]] = field(default_factory=list)
    freed: list[tuple[int, int]] = field(default_factory=list)
    output_tiles: list[int] = field(default_factory=list)
    layers: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)


class Bench:
    """Plays array, program reader and dispatcher: everything as early as their rules allow, or with random pauses."""

    def __init__(self, config: HardwareConfig, stimuli: list[Stimulus], *, wait: int = 0, seed: int = 1):
        self.config, self.stimuli, self.wait, self.rng = config, stimuli, wait, random.Random(seed)
        self.dut, self.seen = Neurons(config), Seen()
        self.buffers: list[list[Sums]] = [[] for _ in range(DRAIN_BUFFERS)]
        self.loaded = 0
        self.tiles = [Tile(n, place) for n, one in enumerate(stimuli) for place in layer_tiles(one.fields)]

    async def array(self, ctx: Any) -> None:
        """Read side of the drain buffers."""
        config, dut, width = self.config, self.dut, self.config.accumulator_bits
        under_way = deque([0] * (DrainBuffers.latency - 1))
        async for _, _, read, group, buffer, batch in ctx.tick().sample(
            dut.drain_read, dut.drain_group, dut.drain_buffer, dut.drain_batch
        ):
            words = self.buffers[buffer]
            rows = words[group] if read and group < len(words) else [[-1] * config.lanes] * config.outputs
            values = [value for row in rows[batch * config.neurons :][: config.neurons] for value in row]
            under_way.append(pack(values, width))
            ctx.set(dut.drain_sums.as_value(), under_way.popleft())

    async def program_reader(self, ctx: Any) -> None:
        """Parameters of an output tile as soon as those of the one two before are free, a beat a cycle."""
        dut, config = self.dut, self.config
        beats = config.parameter_beats
        index_bits = (beats - 1).bit_length()
        drained = 0
        queue = deque(
            (o, beat, one.parameter_beat(o * beats + beat))
            for one in self.stimuli
            for o in range(one.fields["output_tiles"])
            for beat in range(beats)
        )
        ticks = aiter(ctx.tick().sample(dut.output_tile_drained))
        while True:
            allowed = bool(queue) and self.loaded < drained + 2
            ctx.set(dut.parameters.valid, allowed)
            if allowed:
                _, beat, bits = queue.popleft()
                ctx.set(dut.parameters.index, self.loaded % 2 << index_bits | beat)
                ctx.set(dut.parameters.data, bits)
            _, _, pulse = await anext(ticks)
            self.loaded += allowed and beat == beats - 1
            drained += pulse

    async def run(self, ctx: Any) -> None:
        config, dut, seen = self.config, self.dut, self.seen
        layout = batch_layout(config)
        halves = deque((tile, half) for tile in self.tiles for half in range(1 + self.stimuli[tile.layer].wide))
        first_output_tiles = [0]
        for one in self.stimuli:
            first_output_tiles.append(first_output_tiles[-1] + one.fields["output_tiles"])
        filled, freed, next_fill, next_start, end, started = 0, 0, 0, 1, 0, 0
        done, cycle, latency = True, 0, dut.latency
        inputs = Inputs(ctx, dut.start, dut.tile_done)
        ticks = aiter(
            ctx.tick().sample(
                dut.sums_batch.as_value(), dut.sums.as_value(), dut.biases.as_value(), dut.batch.as_value(), dut.spikes,
                dut.buffers_freed, dut.output_tile_drained, dut.layer_done, dut.done,
            )
        )  # fmt: skip
        while not end or cycle < end + latency + 2:
            start = started < len(self.stimuli) and done and cycle >= next_start
            if start:
                ctx.set(dut.descriptor, self.stimuli[started].fields)
                seen.starts.append(cycle)
                started += 1
            # Sums of a tile come when its parameters are there, even before the start of its layer.
            fill = bool(halves) and filled < freed + DRAIN_BUFFERS and cycle >= next_fill
            fill = fill and self.loaded > first_output_tiles[halves[0][0].layer] + halves[0][0].place[0]
            inputs.drive(start, fill)
            if fill:
                tile, half = halves.popleft()
                buffer = filled % DRAIN_BUFFERS
                self.buffers[buffer] = self.stimuli[tile.layer].sums[tile.place][half]
                tile.done = cycle
                filled += 1
                next_fill = cycle + 1 + self.rng.randint(0, self.wait)
            sampled = await anext(ticks)
            sums_batch, sums, biases, batch, spikes, buffers_freed, output_tile, layer, done = sampled[2:]
            members = members_of(layout, sums_batch)
            if members["valid"]:
                biases = [biases >> 32 * n & 0xFFFFFFFF for n in range(config.neurons)]
                seen.sums.append((cycle, members, sums, biases))
            members = members_of(layout, batch)
            if members["valid"]:
                seen.spikes.append((cycle, members, spikes))
            if buffers_freed:
                # The next read must not see these buffers any more.
                for buffer in range(freed, freed + buffers_freed):
                    self.buffers[buffer % DRAIN_BUFFERS] = []
                freed += buffers_freed
                seen.freed.append((cycle, buffers_freed))
            if output_tile:
                seen.output_tiles.append(cycle)
            if layer:
                seen.layers.append(cycle)
                next_start = cycle + 1 + self.rng.randint(0, self.wait)
                end = cycle if len(seen.layers) == len(self.stimuli) else 0
            cycle += 1
            assert cycle < 20000, "the neurons hang"

    def check(self) -> None:
        config, seen = self.config, self.seen
        sums_latency, latency = self.dut.sums_latency, self.dut.latency
        sums, spikes = iter(seen.sums), iter(seen.spikes)
        freed, output_tiles, layers = [], [], []
        earliest, layer = 0, -1
        for tile in self.tiles:
            one = self.stimuli[tile.layer]
            if tile.layer != layer:
                layer, earliest = tile.layer, seen.starts[tile.layer] + 3
            begin = max(earliest, tile.done + 2)
            earliest = begin + tile_cycles(config, one.fields, *tile.place)
            for batch in tile_batches(config, one.fields, *tile.place):
                cycle, members, values, biases = next(sums)
                assert (cycle, members) == (begin + batch.cycle + sums_latency, members | batch.members)
                rows = [value for row in one.read(batch) for value in row]
                assert values == pack(rows, config.sum_bits)
                bits = 1 << config.threshold_offset  # a wide threshold begins within the bias
                assert [bias % bits for bias in biases] == [bias % bits for bias in one.biases(batch)]
                cycle, members, fired = next(spikes)
                assert (cycle, members) == (begin + batch.cycle + latency, members | batch.members)
                assert fired == one.spikes(batch), batch
            freed.append((earliest - 1, 1 + one.wide))
            if tile.place[1] == one.fields["tiles"] - 1:
                output_tiles.append(earliest - 1)
                if tile.place[0] == one.fields["output_tiles"] - 1:
                    layers.append(earliest - 1)
        assert (list(sums), list(spikes)) == ([], [])
        assert (seen.freed, seen.output_tiles, seen.layers) == (freed, output_tiles, layers)


def run(config: HardwareConfig, *layers: Fields, wait: int = 0) -> Bench:
    stimuli = [Stimulus(config, fields, seed) for seed, fields in enumerate(layers)]
    bench = Bench(config, stimuli, wait=wait)
    simulate(bench.dut, bench.run, bench.array, bench.program_reader)
    bench.check()
    return bench
