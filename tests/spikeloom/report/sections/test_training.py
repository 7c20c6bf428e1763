"""The training curve of the model that was compared, from the log beside it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from spikeloom.report.sections import training
from sw.training.run.log import COLUMNS, write_log


def epoch(phase, timesteps, loss, train, test):
    return {
        **dict.fromkeys(COLUMNS), "phase": phase, "timesteps": timesteps, "train_loss": loss, "train_accuracy": train,
        "train_images": 1000, "test_accuracy": test, "test_images": 100 if test else None,
    }  # fmt: skip


RUN = [
    epoch("teacher", 4, 1.5, 50, None), epoch("teacher", 4, 0.5, 90, 91.5), epoch("float", 1, 0.9, 60, 61),
    epoch("float", 4, 0.8, 70, 71), epoch("quantised", 4, 0.7, 75, 76.25),
]  # fmt: skip


@pytest.fixture
def inputs(tmp_path):
    return SimpleNamespace(
        compare={"provenance": {"model": str(tmp_path / "mine.spikeloom")}}, build=tmp_path / "build"
    )


def test_curves_break_where_another_network_begins(inputs, tmp_path):
    write_log(tmp_path / "mine.csv", RUN)
    (exhibit,) = training.section(inputs).exhibits
    curves = {}
    for trace in exhibit.content.figure.data:
        curves.setdefault((trace.name, trace.yaxis), []).append((list(trace.x), list(trace.y)))
    assert curves == {
        ("test", "y"): [([2], [91.5]), ([3], [61]), ([4], [71]), ([5], [76.25])],
        ("training", "y"): [([1, 2], [50, 90]), ([3], [60]), ([4], [70]), ([5], [75])],
        ("training", "y2"): [([1, 2], [1.5, 0.5]), ([3], [0.9]), ([4], [0.8]), ([5], [0.7])],
    }
    assert exhibit.table.rows[0] == ("teacher, T = 4", 2, 0.5, "90.00 %", "91.50 %", 100)
    assert "quantised, T = 4 76.25 %" in exhibit.alternative


def test_the_log_is_the_one_beside_the_model_or_of_its_run(inputs, tmp_path):
    model = tmp_path / "mine.spikeloom"
    places = [tmp_path / "build" / "train" / "mine" / "log.csv", tmp_path / "log.csv", tmp_path / "mine.csv"]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_log(place, RUN)
        assert training.find_log(model, inputs.build) == place


def test_without_a_log_it_says_what_to_run(inputs):
    section = training.section(inputs)
    assert section.missing.startswith("make train RECIPE=") and not section.exhibits
