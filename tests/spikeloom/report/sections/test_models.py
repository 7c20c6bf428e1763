"""Models side by side: accuracy against what it costs."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest

from golden.cycles.cycle_model import predict_cycles
from hw.named_configs import BASE
from sim.rtl import MEMORY_LATENCY
from spikeloom.report.sections import models
from sw.artifact.file import load
from sw.checkout import ROOT
from sw.compiler.compiler import compile_artifact

MODEL = ROOT / "models" / "fashion-2-64.spikeloom"


@pytest.fixture
def inputs():
    return SimpleNamespace(compare={"hardware": {"config": "base"}, "provenance": {"model": str(MODEL)}})


def test_a_model_stands_at_its_recorded_accuracy_and_its_costs(inputs, tmp_path):
    (exhibit,) = models.section(inputs, tmp_path).exhibits
    artifact = load(MODEL)
    golden = artifact.accuracy["golden"]
    cycles = predict_cycles(compile_artifact(artifact, BASE), MEMORY_LATENCY).total
    points = [trace for trace in exhibit.content.figure.data if trace.text]
    assert [list(trace.y) for trace in points] == 2 * [[golden["correct"] / golden["images"]]]
    assert list(points[0].x) == [cycles / 1000] and 5 < points[1].x[0] < 10
    (row,) = exhibit.table.rows
    assert row[:4] == ("fashion-2-64", "91.16%", "10,000 images of fashion-mnist test set", cycles)
    assert exhibit.title == "Accuracy against cycles and energy on base"


def test_the_committed_models_stand_beside_the_one_that_was_compared(inputs, tmp_path):
    shutil.copy(MODEL, tmp_path / "another.spikeloom")
    inputs.compare["hardware"]["config"] = "mini"
    (exhibit,) = models.section(inputs, tmp_path).exhibits
    assert [row[0] for row in exhibit.table.rows] == ["another", "fashion-2-64"]
    assert all(row[3] is None and "use a larger configuration" in row[-1] for row in exhibit.table.rows)
    assert "fashion-2-64 91.16%, does not fit" in exhibit.alternative


def test_models_without_a_recorded_accuracy_are_left_out(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "recorded", lambda artifact: {})
    section = models.section(inputs, tmp_path)
    assert not section.exhibits and not section.missing
