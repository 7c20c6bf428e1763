"""Where every piece of a layer belongs, against plain loops."""

from __future__ import annotations

import dataclasses

import pytest

from hw.named_configs import TINY
from hw.neurons.slice_walk import SliceWalk
from tests.hw.benches import simulate

PIECES = dataclasses.replace(TINY, outputs=4, inputs=16, attention_columns=4, head_channels=32)
"""An output tile is a quarter of a word."""

BASE_ADDRESS, STRIDE = 100, 7


@pytest.mark.parametrize("config", [TINY, PIECES], ids=["slices_of_a_tile", "tiles_of_a_slice"])
def test_places_of_two_layers(config):
    dut = SliceWalk(config)
    output_tiles, words = 5, 3

    async def bench(ctx):
        ctx.set(dut.descriptor, {"destination_base": BASE_ADDRESS, "destination_slice_stride": STRIDE})
        for _ in range(2):
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await ctx.tick()
            expected, seen = [], []
            for output_tile in range(output_tiles):
                for word in range(words):
                    for piece in range(config.tile_pieces):
                        word_end = piece == config.tile_pieces - 1
                        ctx.set(dut.read, {"beat_end": 1, "word_end": word_end})
                        ctx.set(dut.output_tile_drained, word_end and word == words - 1)
                        number, in_word = divmod(output_tile * config.tile_pieces + piece, config.word_pieces)
                        expected.append((BASE_ADDRESS + number * STRIDE, in_word))
                        await ctx.tick().repeat(dut.latency)
                        seen.append((ctx.get(dut.address), ctx.get(dut.piece)))
            ctx.set(dut.read, {})
            ctx.set(dut.output_tile_drained, 0)
            assert seen == expected

    simulate(dut, bench)
