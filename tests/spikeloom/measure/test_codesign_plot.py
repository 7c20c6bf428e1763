"""Names in the picture of `spikeloom codesign` cover neither points nor each other."""

from __future__ import annotations

import random

import pytest

from spikeloom.measure.codesign_plot import TOUCH, shifts


def moved(boxes, found):
    return [
        (left, bottom + shift, right, top + shift)
        for (left, bottom, right, top), shift in zip(boxes, found, strict=True)
    ]


def covers(one, other):
    return all(min(one[i + 2], other[i + 2]) - max(one[i], other[i]) > 2 * TOUCH for i in (0, 1))


@pytest.mark.parametrize("crowd", [2, 12, 40])
def test_boxes_end_beside_each_other_and_beside_fixed_ones(crowd):
    rng = random.Random(crowd)

    def box(width, height):
        left, bottom = rng.uniform(0, 100), rng.uniform(0, 100)
        return (left, bottom, left + width, bottom + height)

    boxes, fixed = [box(rng.uniform(10, 40), 8) for _ in range(crowd)], [box(6, 6) for _ in range(crowd)]
    there = moved(boxes, shifts(boxes, fixed))
    assert not any(covers(one, other) for one in there for other in fixed)
    assert not any(covers(one, other) for place, one in enumerate(there) for other in there[:place])


def test_boxes_move_no_farther_than_they_must():
    """A free box stays; of two that meet, the lower one goes below the other; off a mark by the shorter way."""
    assert shifts([(0, 0, 10, 8), (20, 0, 30, 8)], [(40, 0, 50, 8)]) == [0, 0]
    assert shifts([(0, 0, 10, 8), (5, 3, 15, 11)], []) == [-5, 0]
    assert shifts([(0, 0, 10, 8)], [(4, 5, 6, 20)]) == [-3]
    assert shifts([(0, 0, 10, 8)], [(4, -20, 6, 2)]) == [2]
