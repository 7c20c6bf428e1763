"""The engines' timeline as a section: nothing of what was recorded is lost or made up in drawing."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from sim.comparison.timeline import ENGINES, TIMELINE_FILE, WORKS
from spikeloom.report.sections import timeline
from spikeloom.report.style import COLOURS


def content(**intervals):
    """A timeline of 1,000 cycles in which engines do this."""
    engines = {
        name: {"states": [WORKS, *states], "gap": 1, "intervals": intervals.get(name, [])}
        for name, states in ENGINES.items()
    }
    return {"config": "tiny", "cycles": 1000, "layers": ["load", "conv0", "conv1"], "engines": engines}


@pytest.fixture
def shown(tmp_path):
    """Return a function from a timeline to the exhibit that shows it."""

    def show(written):
        (tmp_path / TIMELINE_FILE).write_text(json.dumps(written))
        (exhibit,) = timeline.section(SimpleNamespace(folder=tmp_path)).exhibits
        return exhibit

    return show


def drawn(exhibit):
    """Rectangles by name of their trace: first cycle, cycle behind the last, lower and upper edge."""
    found = {}
    for trace in exhibit.content.figure.data:
        if trace.type == "scatter" and trace.x.size:
            x, y = (np.asarray(axis).reshape(-1, 6) for axis in (trace.x, trace.y))
            assert np.isnan(x[:, 5]).all() and np.isnan(y[:, 5]).all(), "every rectangle is closed by itself"
            boxes = zip(x[:, 0], x[:, 1], y[:, 0], y[:, 2], strict=True)
            found.setdefault(trace.name, []).extend(tuple(float(f"{edge:.4g}") for edge in box) for box in boxes)
    return found


def test_work_and_waiting_are_drawn_from_cycle_to_cycle(shown):
    exhibit = shown(content(array=[[0, 5, 0, 5], [5, 90, 1, 0], [90, 100, 2, 3]], neurons=[[40, 200, 1, 0]]))
    boxes = drawn(exhibit)
    assert {name: [box[:2] for box in of_name] for name, of_name in boxes.items()} == {
        "array waits for image load": [(0, 5)], "array works": [(5, 90)],
        "array waits for writeback": [(90, 100)], "neurons works": [(40, 200)],
    }  # fmt: skip
    (_, _, low, high), (_, _, *waiting) = boxes["array works"][0], boxes["array waits for writeback"][0]
    assert waiting[0] < waiting[1] < low < high, "waiting lies below work"
    assert boxes["neurons works"][0][3] < waiting[0], "engines have lanes of their own"


def test_waiting_has_the_colour_of_the_engine_that_is_waited_for(shown):
    exhibit = shown(content(array=[[0, 5, 0, 4], [5, 9, 1, 0]], attention=[[0, 9, 1, 0]], load=[[0, 3, 0, 1]]))
    colours = {trace.name: trace.fillcolor for trace in exhibit.content.figure.data if trace.type == "scatter"}
    assert colours["array waits for attention"] == colours["attention works"] == COLOURS["attention"]
    assert colours["array works"] == COLOURS["array"] != COLOURS["attention"]


def test_every_state_of_waiting_names_another_engine():
    for engine, states in ENGINES.items():
        causes = timeline.CAUSES.get(engine, {})
        assert tuple(causes) == states
        assert all(cause in ENGINES and cause != engine for state, cause in causes.items() if state != "other")


def test_the_table_holds_the_cycles_of_every_engine_and_state(shown):
    exhibit = shown(content(array=[[0, 5, 0, 5], [5, 90, 1, 0], [90, 100, 2, 3], [100, 110, 2, 0]]))
    assert exhibit.table.rows == (
        ("array", "waits for image load", 5, "0.5%"), ("array", "works", 95, "9.5%"),
        ("array", "waits for writeback", 10, "1.0%"),
    )  # fmt: skip
    assert exhibit.see.startswith("The array works in 95 of 1,000 cycles, and waits longest for writeback: 10.")
    assert "array: waits for image load 5, works 95, waits for writeback 10" in exhibit.alternative


def test_what_lies_under_the_pointer_is_named(shown):
    exhibit = shown(content(array=[[0, 5, 1, 1], [5, 90, 1, 0], [90, 100, 2, 0]], tables=[[0, 16, 0, 0]]))
    bars = {trace.name: trace for trace in exhibit.content.figure.data if trace.type == "bar"}
    assert list(bars["array"].customdata) == [
        "array in conv0<br>cycles 0 to 90<br>waits for weight tables: 5<br>works: 85",
        "array in conv1<br>cycles 90 to 100<br>works: 10",
    ]
    assert list(bars["weight tables"].customdata) == ["weight tables<br>cycles 0 to 16<br>works: 16"]


def test_too_many_intervals_are_drawn_as_fewer_and_counted_as_they_are(shown, monkeypatch):
    monkeypatch.setattr(timeline, "DRAWN", 10)
    exhibit = shown(content(array=[[at, at + 6, 1, 0] for at in range(0, 800, 8)] + [[900, 901, 1, 0]]))
    assert [box[:2] for box in drawn(exhibit)["array works"]] == [(0, 798), (900, 901)]
    assert exhibit.table.rows == (("array", "works", 601, "60.1%"),)
    assert exhibit.see.endswith("Gaps of fewer than 4 cycles are not drawn.")


def test_without_a_timeline_it_says_what_to_run(tmp_path):
    section = timeline.section(SimpleNamespace(folder=tmp_path))
    assert section.missing == "make compare" and not section.exhibits
