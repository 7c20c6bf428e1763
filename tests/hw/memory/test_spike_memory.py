"""Banks of the spike memory: any run of neighbouring positions in one read, writes only where enabled."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from hw.memory.spike_memory import WRITE_LATENCY, SpikeMemory, address_bits
from hw.named_configs import TINY
from tests.hw.benches import simulate


@pytest.mark.parametrize("positions", [1, 2, 4])
@pytest.mark.parametrize("depth", [1, 16, 21])
@pytest.mark.parametrize("outputs", [4, 8, 16])
def test_reads_what_was_written(positions, depth, outputs):
    """Random writes and reads, an address of its own for every bank; never both of one word in a cycle."""
    config = dataclasses.replace(TINY, outputs=outputs, inputs=8, positions=positions, neurons=1)
    width = config.group_bits // positions
    dut, rng = SpikeMemory(config, depth), random.Random(depth)
    model = [[0] * depth for _ in range(positions)]
    waiting = [(0, 0, 0, 0)] * WRITE_LATENCY  # banks, address, mask and word of writes not yet in the memory

    async def bench(ctx: Any) -> None:
        for _ in range(300):
            valid, at, banks = rng.random() < 0.7, rng.randrange(depth), rng.getrandbits(positions)
            word, pieces = rng.getrandbits(config.group_bits), rng.getrandbits(config.word_pieces)
            ones = (1 << config.piece) - 1
            in_lane = sum(ones << config.piece * i for i in range(config.word_pieces) if pieces >> i & 1)
            mask = sum(in_lane << config.inputs * t for t in range(config.timesteps))
            ctx.set(dut.write.valid, valid)
            ctx.set(dut.write.address, at)
            ctx.set(dut.write.banks, banks)
            ctx.set(dut.write.pieces, pieces)
            ctx.set(dut.write.data, word)
            writing = waiting[0]
            addresses = [rng.randrange(depth) for _ in range(positions)]
            reads = [not (writing[0] >> bank & 1 and writing[1] == at) for bank, at in enumerate(addresses)]
            ctx.set(dut.read_addresses, addresses)
            ctx.set(dut.reads, sum(read << bank for bank, read in enumerate(reads)))
            await ctx.tick()
            data = ctx.get(dut.read_data)
            waiting.append((banks if valid else 0, at, mask, word))
            banks, at, mask, word = waiting.pop(0)
            for bank, address in enumerate(addresses):
                if reads[bank]:
                    assert data >> bank * width & (1 << width) - 1 == model[bank][address]
            for bank in range(positions):
                if banks >> bank & 1:
                    written = word >> bank * width & (1 << width) - 1
                    model[bank][at] = model[bank][at] & ~mask | written & mask

    simulate(dut, bench)


@pytest.mark.parametrize(("depth", "bits"), [(1, 1), (2, 1), (3, 2), (16, 4), (17, 5), (1 << 20, 20)])
def test_address_bits(depth, bits):
    assert address_bits(depth) == bits
