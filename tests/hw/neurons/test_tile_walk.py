"""Tiles in order, begun as soon as their sums are complete, against plain loops."""

from __future__ import annotations

import random

import pytest

from hw.array.step import DRAIN_BUFFERS
from hw.named_configs import TINY
from hw.neurons.tile_walk import TileWalk
from tests.hw.benches import simulate

PLAN_LATENCY = 3


@pytest.mark.parametrize("wide", [0, 1])
@pytest.mark.parametrize("pause", [0, 9])
def test_tiles_of_layers_that_follow_each_other(wide, pause):
    dut, rng = TileWalk(TINY, PLAN_LATENCY), random.Random(wide)
    layers = [(1, 1), (3, 2), (1, 3), (2, 1), (4, 2)]  # position tiles, output tiles
    tiles = [
        (layer, output_tile, tile)
        for layer, counts in enumerate(layers)
        for output_tile in range(counts[1])
        for tile in range(counts[0])
    ]
    per_tile = 1 + wide
    complete: list[int] = []  # cycle in which each tile's last buffer was full
    filled = freed = 0

    async def bench(ctx):
        nonlocal filled, freed
        cycle, next_fill, start, earliest = 0, 0, -1, 0
        number, length, ends = 0, 0, -1
        ctx.set(dut.wide, wide)
        while number < len(tiles):
            layer, output_tile, tile = tiles[number]
            of_layer = layers[layer]
            begins_layer = output_tile == tile == 0
            starting = begins_layer and start < 0
            ctx.set(dut.start, starting)
            if starting:
                assert not ctx.get(dut.done)  # in the cycle of the start
                ctx.set(dut.descriptor, {"tiles": of_layer[0], "output_tiles": of_layer[1]})
                start = cycle
            fill = filled < len(tiles) * per_tile and filled < freed + DRAIN_BUFFERS and cycle >= next_fill
            ctx.set(dut.tile_done, fill)
            if fill:
                filled += 1
                next_fill = cycle + 1 + rng.randint(0, pause)
                if filled % per_tile == 0:
                    complete.append(cycle)
            known = len(complete) > number
            reads = known and cycle >= max(complete[number] + 2, start + PLAN_LATENCY + 1, earliest)
            if reads and ends < cycle:
                length = rng.randint(per_tile, 5)
                ends = cycle + length - 1
            last = reads and cycle == ends
            ctx.set(dut.tile_end, last)
            assert ctx.get(dut.reading) == reads
            if reads:
                seen = {field: ctx.get(dut.tile[field]) for field, _ in dut.tile.shape()}
                assert seen == {
                    "first": tile == 0,
                    "last": tile == of_layer[0] - 1,
                    "next_last": (tile + 1) % of_layer[0] == of_layer[0] - 1,
                    "last_output_tile": output_tile == of_layer[1] - 1,
                    "chunk": tile,
                    "buffer": number * per_tile % DRAIN_BUFFERS,
                    "parity": sum(counts[1] for counts in layers[:layer]) + output_tile & 1,
                }
            drained = last and tile == of_layer[0] - 1
            done = drained and output_tile == of_layer[1] - 1
            pulses = (ctx.get(dut.output_tile_drained), ctx.get(dut.layer_done), ctx.get(dut.buffers_freed))
            assert pulses == (drained, done, per_tile if last else 0)
            await ctx.tick()
            cycle += 1
            if last:
                freed += per_tile
                number, earliest = number + 1, cycle
                if done:
                    ctx.set(dut.start, 0)
                    assert ctx.get(dut.done)
                    start = -1

    simulate(dut, bench)
