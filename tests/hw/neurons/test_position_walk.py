"""Position groups and lanes of a layer's reads in both orders, against plain loops."""

from __future__ import annotations

from typing import Any

import pytest

from hw.neurons.position_walk import PositionWalk
from tests.hw.batches import CHANNEL_ORDER, layer_tiles, tile_batches
from tests.hw.benches import simulate
from tests.hw.neurons.layer_cases import CASES, case

# Of an image the groups that are no positions are read as well: see the neurons' tests.
WITHOUT_IMAGES = [name for name, (_, _, sizes) in CASES.items() if not sizes.get("image")]


@pytest.mark.parametrize("name", WITHOUT_IMAGES)
def test_every_read_has_its_positions(name):
    config, fields = case(name)
    dut, chunks = PositionWalk(config), fields["time_chunks"]
    in_channel_order = fields["destination"] in CHANNEL_ORDER

    async def bench(ctx: Any) -> None:
        ctx.set(dut.positions, fields["positions"])
        ctx.set(dut.channel_order, in_channel_order)
        ctx.set(dut.time_chunks, chunks)
        for place in layer_tiles(fields):
            batches = list(tile_batches(config, fields, *place))
            for batch, following in zip(batches, [*batches[1:], None], strict=True):
                end = following is None
                word_end = not in_channel_order and (following is None or following.group != batch.group)
                ctx.set(dut.read, {
                    "valid": 1, "beat_end": batch.members["last"], "word_end": word_end, "tile_end": end,
                    "time_chunk": batch.time_chunk, "next_time_chunk": (batch.time_chunk + 1) % chunks,
                    "last_time_chunk": batch.time_chunk == chunks - 1,
                })  # fmt: skip
                ctx.set(dut.output_tile_drained, end and place[1] == fields["tiles"] - 1)
                assert ctx.get(dut.lanes) == batch.members["lanes"]
                if not in_channel_order:
                    assert ctx.get(dut.position_group) == batch.members["position_group"]
                await ctx.tick()

    simulate(dut, bench)
