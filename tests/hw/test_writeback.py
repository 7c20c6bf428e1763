"""Every destination of the neurons' spikes: what is written where, and until when."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from benches import Batch, layer_batches, simulate, tile_duration, tile_fields, word_cycles
from numpy.typing import NDArray

from hw.config import TINY, HardwareConfig
from hw.isa import Destination, ResidualMode
from hw.writeback import Writeback, writeback_latency

DESTINATION_BASE, RESIDUAL_BASE, PLANE_STRIDE = 1000, 2000, 300

Spikes = NDArray[np.int64]
"""``[channels][positions][timesteps]``, all output tiles and whole position groups."""
Write = tuple[int, int, int, int]
"""Cycle, address, banks, data."""


def config_of(**changes: int) -> HardwareConfig:
    return dataclasses.replace(TINY, **changes)


def layer(
    config: HardwareConfig, destination: Destination, *, height: int, width: int, pool: int = 0, **fields: int
) -> dict[str, Any]:
    words = config.outputs // config.inputs
    written = height * width // 4 if pool else height * width
    return {
        "destination": destination,
        "pool": pool,
        "height": height,
        "width": width,
        "output_tiles": 2,
        "tile_words": words,
        "last_tile_words": words,
        "destination_base": DESTINATION_BASE,
        "destination_slice_stride": -(-written // config.positions),
        "residual_base": RESIDUAL_BASE,
        "residual_plane_stride": PLANE_STRIDE,
        "timesteps": config.timesteps,
        **tile_fields(config, height * width, fields.pop("tile_groups", 8)),
        **fields,
    }


def random_spikes(config: HardwareConfig, fields: dict[str, Any], seed: int, rate: float = 0.3) -> Spikes:
    channels, positions = fields["output_tiles"] * config.outputs, fields["groups"] * config.positions
    spikes = np.random.default_rng(seed).random((channels, positions, config.timesteps)) < rate
    spikes[:, fields["positions"] :] = False
    return spikes.astype(np.int64)


def pack(bits: NDArray[np.int64]) -> int:
    """Bits to an integer, the last axis fastest."""
    return int("".join(map(str, bits.reshape(-1)[::-1])), 2)


def batch_spikes(config: HardwareConfig, spikes: Spikes, batch: Batch) -> int:
    channels = slice(batch.first_channel, batch.first_channel + config.neurons)
    positions = slice(batch.first_position, batch.first_position + config.positions)
    return pack(spikes[channels, positions])


class Bench:
    """Sends layers as the neurons would, records writes by port."""

    def __init__(self, config: HardwareConfig):
        self.config, self.dut = config, Writeback(config)
        self.spike_writes: list[Write] = []
        self.residual_writes: list[Write] = []
        self.token_writes: list[tuple[int, int, int, int, int]] = []
        """Cycle, is_value, channel, chunk, data."""
        self.words: list[int] = []
        self.residual: dict[int, int] = {}
        self.last_batches: list[int] = []
        """Cycles of the last batch of every layer."""
        self.cycle = 0

    async def memory(self, ctx: Any) -> None:
        """Residual memory, one cycle of latency."""
        dut = self.dut
        while True:
            _, _, address, valid, at, data = await ctx.tick().sample(
                dut.residual_read_address,
                dut.residual_write.valid, dut.residual_write.address, dut.residual_write.data,
            )  # fmt: skip
            ctx.set(dut.residual_read_data, self.residual.get(address, 0))
            if valid:
                self.residual[at] = data

    async def tick(self, ctx: Any) -> None:
        dut = self.dut
        ports = [
            member
            for write in (dut.spike_write, dut.residual_write)
            for member in (write.valid, write.address, write.banks, write.data)
        ]
        token = dut.token_write
        sampled = await ctx.tick().sample(
            *ports, token.valid, token.is_value, token.channel, token.chunk, token.data, dut.word_valid, dut.word
        )
        spike, residual, tokens, (word_valid, word) = sampled[2:6], sampled[6:10], sampled[10:15], sampled[15:]
        for write, seen in ((spike, self.spike_writes), (residual, self.residual_writes), (tokens, self.token_writes)):
            if write[0]:
                seen.append((self.cycle, *write[1:]))
        if word_valid:
            self.words.append(word)
        self.cycle += 1

    async def layer(self, ctx: Any, fields: dict[str, Any], spikes: Spikes) -> None:
        dut = self.dut
        ctx.set(dut.descriptor, fields)
        ctx.set(dut.start, 1)
        await self.tick(ctx)
        ctx.set(dut.start, 0)
        tile_start, place = self.cycle + 2, (0, 0)
        for batch in layer_batches(self.config, fields):
            if (batch.output_tile, batch.tile) != place:
                tile_start += tile_duration(self.config, fields, *place)
                place = batch.output_tile, batch.tile
            while self.cycle < tile_start + batch.cycle:
                ctx.set(dut.batch, {})
                await self.tick(ctx)
            ctx.set(dut.batch, batch.members)
            ctx.set(dut.spikes, batch_spikes(self.config, spikes, batch))
            last_batch = self.cycle
            await self.tick(ctx)
        ctx.set(dut.batch, {})
        self.last_batches.append(last_batch)
        for _ in range(writeback_latency(self.config) + 3):
            await self.tick(ctx)

    def run(self, *layers: tuple[dict[str, Any], Spikes]) -> None:
        async def process(ctx: Any) -> None:
            for fields, spikes in layers:
                await self.layer(ctx, fields, spikes)

        simulate(self.dut, process, self.memory)

    @property
    def writes(self) -> list[int]:
        """Cycles of all writes."""
        return sorted(w[0] for w in (*self.spike_writes, *self.residual_writes, *self.token_writes))


def place(config: HardwareConfig, fields: dict[str, Any], spikes: Spikes) -> dict[tuple[int, int], int]:
    """Where the layout of `SpikeMemory` puts spikes: word of a bank by (address, bank)."""
    words = (fields["output_tiles"] - 1) * fields["tile_words"] + fields["last_tile_words"]
    memory = {}
    for word in range(words):
        channels = spikes[word * config.inputs : (word + 1) * config.inputs]
        for position in range(spikes.shape[1]):
            address = word * fields["destination_slice_stride"] + position // config.positions
            memory[address, position % config.positions] = pack(channels[:, position].T)
    return memory


def replay(config: HardwareConfig, writes: list[Write], base: int) -> dict[tuple[int, int], int]:
    """Memory by (address less `base`, bank) behind `writes`; no word may be written twice."""
    memory: dict[tuple[int, int], int] = {}
    width = config.group_bits // config.positions
    for _, address, banks, data in writes:
        for bank in range(config.positions):
            if banks >> bank & 1:
                assert (address - base, bank) not in memory
                memory[address - base, bank] = data >> bank * width & (1 << width) - 1
    return memory


def pooled(spikes: Spikes, height: int, width: int) -> Spikes:
    """3x3/2 pad 1 maximum."""
    channels, _, timesteps = spikes.shape
    image = spikes[:, : height * width].reshape(channels, height, width, timesteps)
    padded = np.pad(image, ((0, 0), (1, 0), (1, 0), (0, 0)))
    taps = [padded[:, y : y + height : 2, x : x + width : 2] for y in range(3) for x in range(3)]
    taps = [tap[:, : height // 2, : width // 2] for tap in taps]
    return np.max(taps, axis=0).reshape(channels, -1, timesteps)


FLAT = {
    "two_lanes": (config_of(), {"height": 3, "width": 5}),
    "one_lane": (config_of(positions=1), {"height": 3, "width": 3, "output_tiles": 3, "last_tile_words": 1}),
    "one_batch_per_word": (config_of(neurons=4, positions=1), {"height": 2, "width": 5}),
    "four_lanes": (config_of(outputs=16, inputs=8, positions=4), {"height": 3, "width": 7, "tile_groups": 2}),
}


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize("destination", [Destination.SPIKES, Destination.SPIKES_AND_RESIDUAL])
def test_writes_words_as_they_are(name, destination):
    config, shape = FLAT[name]
    fields = layer(config, destination, **shape)
    spikes = random_spikes(config, fields, seed=1)
    bench = Bench(config)
    bench.run((fields, spikes))
    expected = place(config, fields, spikes)
    assert replay(config, bench.spike_writes, DESTINATION_BASE) == expected
    residual = replay(config, bench.residual_writes, RESIDUAL_BASE)
    assert residual == (expected if destination == Destination.SPIKES_AND_RESIDUAL else {})
    assert bench.token_writes == []
    assert bench.words == [data for _, _, _, data in bench.spike_writes]
    assert bench.writes[-1] <= bench.last_batches[0] + writeback_latency(config)


POOLED = {
    "one_lane": (config_of(positions=1), {"height": 4, "width": 6}),
    "two_lanes": (config_of(), {"height": 4, "width": 6, "tile_groups": 5}),
    "two_lanes_one_row": (config_of(), {"height": 2, "width": 2, "output_tiles": 3}),
    "four_lanes": (config_of(outputs=16, inputs=8, positions=4, neurons=2), {"height": 4, "width": 4}),
    "three_words": (config_of(outputs=12), {"height": 4, "width": 4, "tile_groups": 3}),
    "one_word_of_two": (
        config_of(),
        {"height": 4, "width": 4, "tile_words": 1, "last_tile_words": 1, "output_tiles": 1},
    ),
}


@pytest.mark.parametrize("name", POOLED)
@pytest.mark.parametrize("destination", [Destination.SPIKES, Destination.SPIKES_AND_RESIDUAL])
def test_pools_on_the_way(name, destination):
    config, shape = POOLED[name]
    fields = layer(config, destination, pool=1, **shape)
    spikes = random_spikes(config, fields, seed=2, rate=0.1)
    bench = Bench(config)
    bench.run((fields, spikes))
    expected = place(config, fields, pooled(spikes, fields["height"], fields["width"]))
    # Where lanes exceed the pooled positions, the last group stays partly unwritten.
    assert replay(config, bench.spike_writes, DESTINATION_BASE) == expected
    residual = replay(config, bench.residual_writes, RESIDUAL_BASE)
    assert residual == (expected if destination == Destination.SPIKES_AND_RESIDUAL else {})
    assert bench.writes[-1] <= bench.last_batches[0] + writeback_latency(config)


@pytest.mark.parametrize("name", FLAT)
@pytest.mark.parametrize(
    ("mode", "planes_in", "planes_out"),
    [
        (ResidualMode.ADD, 1, 2),
        (ResidualMode.ADD, 2, 2),
        (ResidualMode.ADD, 3, 4),
        (ResidualMode.ADD, 5, 5),
        (ResidualMode.CLAMP, 2, 2),
        (ResidualMode.IAND, 1, 1),
    ],
)
def test_joins_the_residual(name, mode, planes_in, planes_out):
    config, shape = FLAT[name]
    fields = layer(
        config, Destination.RESIDUAL, **shape, residual_planes_in=planes_in, residual_planes_out=planes_out,
        residual_mode=mode,
    )  # fmt: skip
    spikes = random_spikes(config, fields, seed=3)
    top = (1 << planes_in) - 1
    if mode == ResidualMode.ADD and planes_out == planes_in:
        top -= 1  # nothing may carry out
    integers = np.random.default_rng(4).integers(0, top + 1, spikes.shape)

    def planes(values: NDArray[np.int64], count: int) -> dict[tuple[int, int], int]:
        return {
            (address + plane * PLANE_STRIDE, bank): word
            for plane in range(count)
            for (address, bank), word in place(config, fields, values >> plane & 1).items()
        }

    bench = Bench(config)
    width = config.group_bits // config.positions
    for (address, bank), word in planes(integers, planes_in).items():
        bench.residual[RESIDUAL_BASE + address] = bench.residual.get(RESIDUAL_BASE + address, 0) | word << bank * width
    bench.run((fields, spikes))
    joined = {
        ResidualMode.ADD: integers + spikes,
        ResidualMode.CLAMP: np.minimum(integers + spikes, 3),
        ResidualMode.IAND: integers & ~spikes,
    }[mode]
    assert replay(config, bench.residual_writes, RESIDUAL_BASE) == planes(joined, planes_out)
    assert bench.spike_writes == bench.token_writes == []
    assert bench.writes[-1] <= bench.last_batches[0] + writeback_latency(config)
    assert word_cycles(config, fields) >= planes_out


@pytest.mark.parametrize("destination", [Destination.KEYS, Destination.VALUES])
@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (config_of(), {"height": 3, "width": 5, "tile_groups": 3}),
        (config_of(positions=1, neurons=1), {"height": 5, "width": 5, "tile_groups": 16}),
        (config_of(timesteps=1, positions=1, neurons=4), {"height": 1, "width": 1, "tile_groups": 1}),
        (config_of(), {"height": 8, "width": 8, "tile_groups": 16}),
    ],
)
def test_gathers_tokens_of_a_channel(destination, config, shape):
    fields = layer(config, destination, **shape)
    spikes = random_spikes(config, fields, seed=5)
    bench = Bench(config)
    bench.run((fields, spikes))
    expected = {}
    for chunk in range(fields["tiles"]):
        last = chunk == fields["tiles"] - 1
        tokens = fields["last_tile_groups" if last else "tile_groups"] * config.positions
        first = chunk * fields["tile_groups"] * config.positions
        for channel in range(spikes.shape[0]):
            vectors = np.zeros((config.timesteps, config.chunk_tokens), np.int64)
            vectors[:, config.chunk_tokens - tokens :] = spikes[channel, first : first + tokens].T
            expected[channel, chunk] = pack(vectors)
    writes = [write[1:] for write in bench.token_writes]
    assert len(writes) == len(expected)
    assert {(channel, chunk): data for _, channel, chunk, data in writes} == expected
    assert {is_value for is_value, *_ in writes} == {int(destination == Destination.VALUES)}
    assert bench.spike_writes == bench.residual_writes == []
    assert bench.writes[-1] <= bench.last_batches[0] + writeback_latency(config)


def test_writes_nothing_for_logits():
    fields = layer(TINY, Destination.LOGITS, height=3, width=3)
    bench = Bench(TINY)
    bench.run((fields, random_spikes(TINY, fields, seed=6)))
    assert bench.writes == []


def test_layers_follow_each_other():
    """Nothing of a layer (open pool windows, half a word) reaches the next one."""
    config = TINY
    layers = [
        layer(config, Destination.SPIKES, pool=1, height=2, width=6),
        layer(config, Destination.KEYS, height=2, width=3),
        layer(config, Destination.SPIKES, height=3, width=3),
        layer(config, Destination.SPIKES, pool=1, height=4, width=4),
    ]
    spikes = [random_spikes(config, fields, seed, 0.1) for seed, fields in enumerate(layers)]
    together = Bench(config)
    together.run(*zip(layers, spikes, strict=True))
    alone = []
    for fields, some in zip(layers, spikes, strict=True):
        bench = Bench(config)
        bench.run((fields, some))
        alone += [write[1:] for write in bench.spike_writes]
    assert [write[1:] for write in together.spike_writes] == alone
