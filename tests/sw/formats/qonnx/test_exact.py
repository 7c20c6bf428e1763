"""Floating point says the integers exactly, or is not taken."""

from __future__ import annotations

import numpy as np
import pytest

from sw.artifact.ranges import LayerRange
from sw.errors import UserError
from sw.formats.qonnx.exact import result_type, scaled_up
from tests.sw.formats.qonnx.networks import IMAGE

(CONV, *_, HEAD) = IMAGE.layers()
COUNT = HEAD.positions * IMAGE.timesteps


def bounds(sums: int, results: int) -> LayerRange:
    return LayerRange(accumulator=(-sums, sums), result=(0, results), result_name="membrane")


@pytest.mark.parametrize(
    ("layer", "sums", "results", "kind"),
    [
        (CONV, 2**24, 2**24, np.float32),
        (CONV, 2**24, 2**24 + 1, np.float64),
        (CONV, 1, 2**53, np.float64),
        (HEAD, 2**24 // COUNT, 1, np.float32),
        (HEAD, 2**24 // COUNT + 1, 1, np.float64),
    ],
)
def test_the_smallest_exact_type_is_taken(layer, sums, results, kind):
    assert result_type(layer, bounds(sums, results), IMAGE.timesteps) is kind


def test_what_no_type_holds_is_refused_with_its_layer_and_limit():
    with pytest.raises(UserError, match=r"conv0: its sums reach 16,777,217, .* up to 16,777,216; train it with fewer"):
        result_type(CONV, bounds(2**24 + 1, 1), 4)
    with pytest.raises(UserError, match=r"conv0: its membrane reaches 9,007,199,254,740,993, .* 9,007,199,254,740,992"):
        result_type(CONV, bounds(1, 2**53 + 1), 4)


def test_thresholds_of_any_size_are_reached_by_the_same_membranes():
    thresholds = [1, 3, 2**24 - 1, 2**24 + 1, 2**30 + 5, 2**53 + 1, 2**63 - 1]
    for kind in (np.float32, np.float64):
        limits = scaled_up(np.array(thresholds, np.int64), 3, kind)
        assert limits.dtype == kind
        for threshold, limit in zip(thresholds, limits, strict=True):
            below, above = kind(threshold - 1), kind(threshold)  # each rounded to a number that the type holds
            for number in {np.nextafter(below, kind(0)), below, above, np.nextafter(above, kind(np.inf))}:
                assert (number / 8 >= limit) == (int(number) >= threshold), (kind, threshold, number)
