"""The time that reads take: the number that others count with, and the plan that the hardware follows."""

from __future__ import annotations

import pytest

from hw.neurons.read_plan import CHANNEL_ORDER, ReadPlan, drain_cycles
from tests.hw.batches import Fields, layer_tiles, tile_cycles
from tests.hw.benches import simulate
from tests.hw.neurons.layer_cases import CASES, case


def sizes_of(fields: Fields, place: tuple[int, int]) -> tuple[int, int]:
    """Words of sums and pieces of a tile."""
    groups = fields["last_tile_groups" if place[1] == fields["tiles"] - 1 else "tile_groups"]
    return groups, fields["last_tile_pieces" if place[0] == fields["output_tiles"] - 1 else "tile_pieces"]


@pytest.mark.parametrize("name", CASES)
def test_drain_cycles(name):
    config, fields = case(name)
    numbers = {key: value.value if key == "destination" else value for key, value in fields.items()}
    for place in layer_tiles(fields):
        assert drain_cycles(config, numbers, *sizes_of(fields, place)) == tile_cycles(config, fields, *place)


@pytest.mark.parametrize("name", CASES)
def test_beats_fill_the_time_of_a_tile_and_end_with_their_reads(name):
    config, fields = case(name)
    dut, chunks = ReadPlan(config), fields["time_chunks"]
    in_channel_order = fields["destination"] in CHANNEL_ORDER

    async def bench(ctx):
        ctx.set(dut.descriptor, fields)
        await ctx.tick().repeat(dut.latency)
        assert ctx.get(dut.channel_order) == in_channel_order
        assert (ctx.get(dut.wide), ctx.get(dut.time_chunks)) == (fields.get("wide", 0), chunks)
        for place in layer_tiles(fields):
            groups, pieces = sizes_of(fields, place)
            lengths = dut.last_lengths if place[1] == fields["tiles"] - 1 else dut.lengths
            seen = {field: ctx.get(lengths[field]) for field, _ in lengths.shape()}
            in_piece = config.piece // config.neurons
            reads, beats = in_piece, groups * pieces
            if in_channel_order:
                reads, beats = groups // chunks, pieces * in_piece * chunks
            elif fields["image"]:
                beats *= config.timesteps * chunks
            length = tile_cycles(config, fields, *place) // beats // (1 + fields.get("wide", 0))
            assert seen == {
                "last_beat": length - 1, "one_beat": length == 1, "lead": length - reads, "at_once": length == reads,
                "last_group": groups - 1, "one_group": groups == 1,
            }  # fmt: skip

    simulate(dut, bench)
