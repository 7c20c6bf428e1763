"""A bench around the writeback that sends layers as the neurons would, and what it must write."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.descriptor import Destination
from hw.named_configs import BASE, TINY
from hw.neurons.neurons import Neurons
from hw.writeback.writeback import Writeback, writeback_latency
from tests.hw.batches import (
    Batch,
    Fields,
    batch_bits,
    layer_batches,
    layer_cycles,
    layer_fields,
    position_count,
)
from tests.hw.benches import simulate

DESTINATION_BASE, PLANE_STRIDE = 1000, 300

Spikes = NDArray[np.int64]
"""``[channels][positions][timesteps]``, all output tiles, whole position groups and all time chunks."""

Memory = dict[tuple[int, int, int], int]
"""Spikes of a piece ``[timesteps][piece]`` by (address, bank, piece)."""


def config_of(**changes: int) -> HardwareConfig:
    return dataclasses.replace(TINY, **changes)


HALF = config_of(outputs=8, inputs=16, weight_bits=8, attention_columns=4, head_channels=32, memory_bits=128)
"""Two pieces in a word, as in LARGE."""

FOUR = config_of(outputs=16, inputs=8, positions=4)
QUARTER = dataclasses.replace(HALF, outputs=4, positions=1, weight_bits=4)


def layer(
    config: HardwareConfig, destination: Destination, *, height: int, width: int, pool: int = 0, **fields: Any
) -> Fields:
    written = height * width // 4 if pool else height * width
    return {
        **layer_fields(config, destination, positions=height * width, **fields),
        "pool": pool,
        "rows": height,
        "width": width,
        "destination_base": DESTINATION_BASE,
        "destination_slice_stride": -(-written // config.positions) * fields.get("time_chunks", 1),
        "residual_plane_stride": PLANE_STRIDE,
    }


def random_spikes(config: HardwareConfig, fields: Fields, seed: int, rate: float = 0.3) -> Spikes:
    channels, positions = fields["output_tiles"] * config.outputs, fields["groups"] * config.positions
    timesteps = config.timesteps * fields["time_chunks"]
    spikes = np.random.default_rng(seed).random((channels, positions, timesteps)) < rate
    spikes[:, position_count(config, fields) :] = False
    return spikes.astype(np.int64)


def pack(bits: NDArray[np.int64]) -> int:
    """Bits to an integer, the last axis fastest."""
    return int("".join(map(str, bits.reshape(-1)[::-1])), 2)


def batch_spikes(config: HardwareConfig, spikes: Spikes, batch: Batch) -> int:
    channels = slice(batch.first_channel, batch.first_channel + config.neurons)
    positions = slice(batch.first_position, batch.first_position + config.positions)
    steps = slice(batch.time_chunk * config.timesteps, (batch.time_chunk + 1) * config.timesteps)
    return pack(spikes[channels, positions, steps])


class Bench:
    """Sends layers as the neurons would, records writes by port."""

    def __init__(self, config: HardwareConfig, residual: Memory | None = None):
        self.config, self.dut = config, Writeback(config)
        self.spike_writes: list[tuple[int, int, Memory]] = []
        self.residual_writes: list[tuple[int, int, Memory]] = []
        """Cycle, layer, what is written."""
        self.token_writes: list[tuple[int, int, int, int, int, int, int]] = []
        """Cycle, layer, is_value, buffer, channel, chunk, data."""
        self.pieces: list[tuple[int, int]] = []
        """Layer and spikes of every complete piece."""
        self.residual: Memory = dict(residual or {})
        self.written_spikes: set[tuple[int, int, int]] = set()
        self.written_residual: set[tuple[int, int, int]] = set()
        """What holds a value, be it one that the pieces behind replace."""
        self.last_batches: list[int] = []
        """Cycles of the last batch of every layer."""

    def split(self, data: int) -> Memory:
        """Pieces of a word of all banks, address 0."""
        config, memory = self.config, {}
        for bank in range(config.positions):
            for piece in range(config.word_pieces):
                bits = 0
                for t in range(config.timesteps):
                    first = ((bank * config.timesteps + t) * config.word_pieces + piece) * config.piece
                    bits |= (data >> first & (1 << config.piece) - 1) << t * config.piece
                memory[0, bank, piece] = bits
        return memory

    def joined(self, address: int) -> int:
        """The word of all banks at an address of the residual memory."""
        config, data = self.config, 0
        for bank in range(config.positions):
            for piece in range(config.word_pieces):
                bits = self.residual.get((address, bank, piece), 0x5A5A5A5A)
                for t in range(config.timesteps):
                    first = ((bank * config.timesteps + t) * config.word_pieces + piece) * config.piece
                    data |= (bits >> t * config.piece & (1 << config.piece) - 1) << first
        return data

    def enabled(self, address: int, banks: int, pieces: int, data: int) -> Memory:
        return {
            (address, bank, piece): bits
            for (_, bank, piece), bits in self.split(data).items()
            if banks >> bank & 1 and pieces >> piece & 1
        }

    async def watch(self, ctx: Any) -> None:
        """Records, and plays the residual memory with its cycle of latency."""
        dut, token, cycle, rng = self.dut, self.dut.token_write, 0, random.Random(1)
        ports = [
            member
            for write in (dut.spike_write, dut.residual_write)
            for member in (write.valid, write.address, write.banks, write.pieces, write.data)
        ]
        ticks = ctx.tick().sample(
            *ports, token.valid, dut.token_layer, token.is_value, token.buffer, token.channel, token.chunk,
            token.data, dut.piece_valid, dut.layer, dut.piece_spikes, dut.spike_layer, dut.residual_layer,
            dut.residual_read, dut.residual_read_address,
        )  # fmt: skip
        async for sampled in ticks:
            spike, residual, tokens, piece = sampled[2:7], sampled[7:12], sampled[12:19], sampled[19:22]
            spike_layer, residual_layer, reads, address = sampled[22:]
            # A word read in the cycle of its write would be undefined in the block RAM.
            assert not (reads and residual[0] and residual[1] == address)
            word = self.joined(address) if reads else rng.getrandbits(self.config.group_bits)
            ctx.set(dut.residual_read_data, word)
            if spike[0]:
                written = self.enabled(*spike[1:])
                self.written_spikes |= written.keys()
                self.spike_writes.append((cycle, spike_layer, lowest_piece(written)))
            if residual[0]:
                written = self.enabled(*residual[1:])
                self.written_residual |= written.keys()
                self.residual_writes.append((cycle, residual_layer, lowest_piece(written)))
                if self.residual:
                    self.residual.update(written)
            if tokens[0]:
                self.token_writes.append((cycle, *tokens[1:]))
            if piece[0]:
                self.pieces.append(piece[1:])
            cycle += 1

    def run(self, *layers: tuple[Fields, Spikes], overlap: bool = False) -> None:
        """Send layers; if they overlap, each one's descriptor comes while the one before is still in the neurons."""
        config, dut, rng = self.config, self.dut, random.Random(0)

        async def process(ctx: Any) -> None:
            cycle, batches_free = 0, 0
            queue: list[tuple[int, Batch, Spikes]] = []

            async def advance(to: int) -> None:
                nonlocal cycle
                while cycle < to:
                    valid = bool(queue) and queue[0][0] == cycle
                    if valid:
                        _, batch, spikes = queue.pop(0)
                        ctx.set(dut.batch.as_value(), batch_bits(config, batch.members, rng))
                        ctx.set(dut.spikes, batch_spikes(config, spikes, batch))
                    else:
                        ctx.set(dut.batch.as_value(), batch_bits(config, {"valid": 0}, rng))
                        ctx.set(dut.spikes, rng.getrandbits(config.neurons * config.lanes))
                    await ctx.tick()
                    cycle += 1

            neurons_latency = Neurons(config).latency
            for fields, spikes in layers:
                ctx.set(dut.descriptor, fields)
                ctx.set(dut.start, 1)
                start = cycle
                await advance(cycle + 1)
                ctx.set(dut.start, 0)
                first = max(start + neurons_latency + 2, batches_free)
                queue += [(first + at, batch, spikes) for at, batch in layer_batches(config, fields)]
                self.last_batches.append(queue[-1][0])
                batches_free = first + layer_cycles(config, fields)
                if overlap:
                    await advance(batches_free - neurons_latency + 1)
                else:
                    await advance(queue[-1][0] + writeback_latency(config) + 1)
            await advance(batches_free + writeback_latency(config) + 3)

        simulate(dut, process, self.watch)

    def check_written_in_time(self, layer: int = 0) -> None:
        writes = (*self.spike_writes, *self.residual_writes, *self.token_writes)
        assert max(write[0] for write in writes) <= self.last_batches[layer] + writeback_latency(self.config)


def place(config: HardwareConfig, fields: Fields, spikes: Spikes, base: int) -> Memory:
    """Where the layout of `SpikeMemory` puts spikes."""
    pieces = (fields["output_tiles"] - 1) * config.tile_pieces + fields["last_tile_pieces"]
    memory, chunks = {}, fields["time_chunks"]
    for number in range(pieces):
        channels = spikes[number * config.piece : (number + 1) * config.piece]
        slice_number, piece = divmod(number, config.word_pieces)
        for position in range(spikes.shape[1]):
            address = base + slice_number * fields["destination_slice_stride"] + position // config.positions * chunks
            for chunk, steps in enumerate(np.split(channels[:, position], chunks, axis=1)):
                memory[address + chunk, position % config.positions, piece] = pack(steps.T)
    return memory


def lowest_piece(written: Memory) -> Memory:
    """What a write is for; the pieces above it take what the layer's later pieces replace, if it has any."""
    least = min(piece for *_, piece in written)
    return {key: bits for key, bits in written.items() if key[2] == least}


def replay(writes: list[tuple[int, int, Memory]]) -> Memory:
    """Memory behind `writes`; nothing may be written twice."""
    memory: Memory = {}
    for _, _, written in writes:
        assert not memory.keys() & written.keys()
        memory |= written
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
    "two_lanes": (TINY, {"height": 3, "width": 5}),
    "one_lane": (config_of(positions=1), {"height": 3, "width": 3, "output_tiles": 3, "last_pieces": 1}),
    "one_batch_per_piece": (config_of(neurons=4, positions=1), {"height": 2, "width": 5}),
    "four_lanes": (FOUR, {"height": 3, "width": 7, "tile_groups": 2}),
    "base": (BASE, {"height": 2, "width": 3}),
    "two_pieces": (HALF, {"height": 3, "width": 3, "output_tiles": 3}),
    "two_pieces_wide": (HALF, {"height": 3, "width": 3, "output_tiles": 3, "wide": 1}),
    "four_pieces": (QUARTER, {"height": 2, "width": 3, "output_tiles": 6}),
    "time_chunks": (config_of(time_chunks=4), {"height": 3, "width": 5, "time_chunks": 3, "tile_groups": 6}),
}


def tokens_of(config: HardwareConfig, fields: Fields, spikes: Spikes) -> dict[tuple[int, ...], int]:
    """Words of K or V by (layer, is_value, buffer, channel, chunk)."""
    expected = {}
    for chunk in range(fields["tiles"]):
        last = chunk == fields["tiles"] - 1
        tokens = fields["last_tile_groups" if last else "tile_groups"] * config.positions
        first = chunk * fields["tile_groups"] * config.positions
        for channel in range((fields["output_tiles"] - 1) * config.outputs + fields["last_tile_pieces"] * config.piece):
            vectors = np.zeros((config.timesteps, config.chunk_tokens), np.int64)
            vectors[:, config.chunk_tokens - tokens :] = spikes[channel, first : first + tokens].T
            is_value = int(fields["destination"] == Destination.VALUES)
            key = fields.get("layer", 0), is_value, fields.get("token_buffer", 0), channel, chunk
            expected[key] = pack(vectors)
    return expected
