"""What is read in every cycle of a tile, against plain loops."""

from __future__ import annotations

from typing import Any

import pytest

from hw.neurons.read_plan import ReadPlan
from hw.neurons.read_walk import ReadWalk
from tests.hw.batches import layer_tiles, tile_batches, tile_cycles
from tests.hw.benches import simulate
from tests.hw.neurons.layer_cases import CASES, case


@pytest.mark.parametrize("name", CASES)
def test_reads_of_a_layer_whose_tiles_follow_each_other(name):
    config, fields = case(name)
    plan, dut = ReadPlan(config), ReadWalk(config)
    seen: dict[str, Any] = {}

    async def make_plan(ctx):
        ctx.set(plan.descriptor, fields)
        await ctx.tick().repeat(plan.latency)
        for member in ("wide", "channel_order", "time_chunks"):
            seen[member] = ctx.get(getattr(plan, member))
        for member in ("lengths", "last_lengths"):
            seen[member] = ctx.get(getattr(plan, member).as_value())

    async def bench(ctx):
        ctx.set(dut.descriptor, fields)
        for member, value in seen.items():
            port = getattr(dut, member)
            ctx.set(port.as_value() if member.endswith("lengths") else port, value)
        places = layer_tiles(fields)
        await set_tile(ctx, places[0], reading=0)
        await ctx.tick()
        for place in places:
            await set_tile(ctx, place, reading=1)
            expected = {batch.cycle: batch for batch in tile_batches(config, fields, *place)}
            cycles = tile_cycles(config, fields, *place)
            for cycle in range(cycles):
                batch = expected.get(cycle)
                if batch is not None:
                    read = {field: ctx.get(dut.read[field]) for field in ("valid", "group", "lane", "select")}
                    assert read == {"valid": 1, "group": batch.group, "lane": batch.lane, "select": batch.select}
                    assert ctx.get(dut.read.time_chunk) == batch.time_chunk
                    frame = (ctx.get(dut.read.first), ctx.get(dut.read.beat_end))
                    assert frame == (batch.members["first"], batch.members["last"])
                assert ctx.get(dut.read.tile_end) == (cycle == cycles - 1)
                await ctx.tick()

    async def set_tile(ctx, place, *, reading):
        output_tile, tile = place
        ctx.set(dut.reading, reading)
        ctx.set(dut.tile.last, tile == fields["tiles"] - 1)
        ctx.set(dut.tile.next_last, (tile + 1) % fields["tiles"] == fields["tiles"] - 1)
        ctx.set(dut.tile.last_output_tile, output_tile == fields["output_tiles"] - 1)

    simulate(plan, make_plan)
    simulate(dut, bench)
