"""The order in which the array works through a layer."""

from __future__ import annotations

import pytest

from golden.cycles.array import position_tiles, weight_slices

LAYER = {"tiles": 3, "tile_groups": 8, "last_tile_groups": 5, "slices": 2, "passes": 3, "wide": 0, "kernel3": 0}


def test_position_tiles_follow_one_another_and_the_last_may_be_shorter():
    assert list(position_tiles(LAYER)) == [range(0, 8), range(8, 16), range(16, 21)]
    assert list(position_tiles({**LAYER, "tiles": 1})) == [range(0, 5)]


@pytest.mark.parametrize("wide", [0, 1])
@pytest.mark.parametrize(("kernel3", "taps"), [(0, 1), (1, 9)])
def test_every_half_meets_every_plane_slice_and_tap_and_then_completes_a_buffer(wide, kernel3, taps):
    found = list(weight_slices({**LAYER, "wide": wide, "kernel3": kernel3}, 5))
    half = ([0] * taps + [1] * taps) * LAYER["passes"]
    assert [weights.input_slice for weights in found] == half * (1 + wide)
    assert {weights.groups for weights in found} == {5}
    completing = [number for number, weights in enumerate(found) if weights.completes]
    assert completing == [(part + 1) * len(half) - 1 for part in range(1 + wide)]


def test_a_layer_of_one_slice_completes_with_it():
    (weights,) = weight_slices({**LAYER, "slices": 1, "passes": 1}, 2)
    assert weights.completes
