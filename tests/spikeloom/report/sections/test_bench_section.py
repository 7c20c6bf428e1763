"""Figures of merit beside their targets."""

from __future__ import annotations

import json
from types import SimpleNamespace

from spikeloom.report.sections import bench


def test_figures_are_shown_as_multiples_of_their_targets(tmp_path):
    figures = {
        "fast": {"value": 300.0, "unit": "MHz", "at_least": 100, "aim": 150},
        "small": {"value": 8.0, "unit": "LUT", "at_most": 4, "aim": 3},
        "none": {"value": 0, "unit": "bit", "at_most": 0, "aim": 0},
        "later": {"value": None, "unit": "s", "at_most": 9, "aim": 1},
    }
    (tmp_path / "bench.json").write_text(json.dumps(figures))
    (exhibit,) = bench.section(SimpleNamespace(build=tmp_path)).exhibits
    (bars,) = exhibit.content.figure.data
    assert dict(zip(bars.y, bars.x, strict=True)) == {"fast": 3, "small": 0.5, "none": 3}
    assert exhibit.see.endswith("beyond the line is better: small misses it.")
    assert [(row[0], row[3], row[4]) for row in exhibit.table.rows] == [
        ("fast", "met", "≥ 100"), ("small", "missed", "≤ 4"), ("none", "met", "≤ 0"), ("later", "not measured", "≤ 9"),
    ]  # fmt: skip


def test_without_measurements_it_says_what_to_run(tmp_path):
    section = bench.section(SimpleNamespace(build=tmp_path))
    assert section.missing == "make bench" and not section.exhibits
