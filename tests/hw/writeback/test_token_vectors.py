"""Spikes of K and V become words of all tokens of a channel."""

from __future__ import annotations

import pytest

from hw.descriptor import Destination
from hw.named_configs import TINY
from tests.hw.writeback.writeback_bench import FOUR, HALF, Bench, config_of, layer, random_spikes, tokens_of

TOKENS = {
    "two_lanes": (TINY, {"height": 3, "width": 5, "tile_groups": 3}),
    "one_lane": (config_of(positions=1, neurons=1), {"height": 5, "width": 5, "tile_groups": 16}),
    "one_token": (config_of(timesteps=1, positions=1, neurons=4), {"height": 1, "width": 1, "tile_groups": 1}),
    "one_group_behind_a_full_tile": (TINY, {"height": 1, "width": 10, "tile_groups": 2}),
    "two_groups_behind_a_full_tile": (config_of(neurons=4, positions=1), {"height": 1, "width": 10, "tile_groups": 8}),
    "short_output_tile": (TINY, {"height": 8, "width": 8, "tile_groups": 16, "last_pieces": 1}),
    "four_lanes": (FOUR, {"height": 3, "width": 7, "tile_groups": 4, "token_buffer": 1}),
    "wide": (HALF, {"height": 3, "width": 5, "tile_groups": 3, "wide": 1}),
}


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("destination", [Destination.KEYS, Destination.VALUES])
def test_gathers_tokens_of_a_channel(name, destination):
    config, shape = TOKENS[name]
    fields = layer(config, destination, layer=9, **shape)
    spikes = random_spikes(config, fields, seed=5)
    bench = Bench(config)
    bench.run((fields, spikes))
    expected = tokens_of(config, fields, spikes)
    assert len(bench.token_writes) == len(expected)
    assert {tuple(about): data for _, *about, data in bench.token_writes} == expected
    assert bench.spike_writes == bench.residual_writes == bench.pieces == []
    bench.check_written_in_time()
