"""Names in the picture of `spikeloom codesign` cover neither points nor each other."""

from __future__ import annotations

import random

import pytest

from spikeloom.measure.codesign import Variant
from spikeloom.measure.codesign_plot import TOUCH, shifts, write_codesign

DOES_NOT_FIT = Variant(
    name="one", image_set="mnist sample", embed_dim=16, depth=1, heads=2, timesteps=2, weight_bits=8,
    residual_mode="add", neuron="lif", config="tiny", images=50, correct=9, weights=7000, weight_bytes=7000,
    program_bytes=None, cycles=None, refusal="it does not fit", spikes=100.0, dense_sops=100_000,
    executed_sops=60_000.0, paper_j=6e-8, counted_j=6.5e-8,
)  # fmt: skip


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


def test_points_are_in_view_where_a_panel_has_none(monkeypatch, tmp_path):
    """No variant fits the configuration, so that none has cycles; the panels share the axis of accuracy."""
    drawn = []
    monkeypatch.setattr("spikeloom.measure.codesign_plot.write_picture", lambda path, figure: drawn.append(figure))
    write_codesign(tmp_path / "codesign.png", [DOES_NOT_FIT])
    cycles, weights, energy = drawn[0].axes
    assert not cycles.lines and "none fits tiny" in [text.get_text() for text in cycles.texts]
    for axes in (weights, energy):
        low, high = axes.get_ylim()
        assert low < 18 < high <= 100
