"""Drain buffers: completed sums are kept until they are overwritten, and read batch by batch."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import pytest

from hw.array.drain_buffers import DrainBuffers
from hw.array.step import DRAIN_BUFFERS
from tests.hw.array.slices import CONFIGS
from tests.hw.benches import simulate

CYCLES = 400


@pytest.mark.parametrize("name", ["padded_rows", "two_tables", "eight_tables"])
def test_keeps_final_sums_and_reads_them_with_the_stated_latency(name):
    """Any group of one buffer is written while any batch of another one is read, each in every cycle."""
    config, rng = CONFIGS[name], random.Random(4)
    dut, batches = DrainBuffers(config), config.outputs // config.neurons
    batch_sums, bits = config.neurons * config.lanes, config.accumulator_bits
    kept: dict[tuple[int, int], list[int]] = {}
    asked: deque[list[int] | None] = deque([None] * dut.latency)
    dones: deque[bool] = deque([False] * dut.done_latency)

    async def bench(ctx: Any) -> None:
        for cycle in range(CYCLES):
            # From time to time the buffer that is written becomes one that is read.
            written_buffer = cycle // 20 % DRAIN_BUFFERS
            group, valid, final, last = rng.randrange(config.tile_groups), *(rng.getrandbits(1) for _ in range(3))
            sums = [rng.randrange(-1 << bits - 1, 1 << bits - 1) for _ in range(config.outputs * config.lanes)]
            step = {"valid": valid, "group": group, "buffer": written_buffer, "final": final, "last_of_tile": last}
            ctx.set(dut.step, step)
            ctx.set(dut.sums, sums)
            readable = [place for place in kept if place[0] != written_buffer and cycle % 20 > dut.done_latency]
            asked.append(None)
            ctx.set(dut.read, bool(readable))
            if readable:
                buffer, read_group = rng.choice(readable)
                batch = rng.randrange(batches)
                ctx.set(dut.buffer, buffer)
                ctx.set(dut.group, read_group)
                ctx.set(dut.batch, batch)
                asked[-1] = kept[buffer, read_group][batch * batch_sums : (batch + 1) * batch_sums]
            else:
                # Where nothing is read any address may stand, that of a write too.
                ctx.set(dut.buffer, written_buffer)
                ctx.set(dut.group, group)
            if valid and final:
                kept[written_buffer, group] = sums
            dones.append(bool(valid and final and last))
            _, _, done, read = await ctx.tick().sample(dut.tile_done, dut.batch_sums)
            assert bool(done) == dones.popleft()
            expected = asked.popleft()
            assert expected is None or list(read) == expected

    simulate(dut, bench)
    assert len(kept) > DRAIN_BUFFERS
