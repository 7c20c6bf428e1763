"""`spikeloom training-speed`: models take turns, and a disturbed round does not count."""

from __future__ import annotations

import json

import pytest

from spikeloom import cli
from spikeloom.measure import training_speed
from sw.network import NetworkConfig

TINY = NetworkConfig(image_size=32, image_channels=3, classes=10, embed_dim=16, depth=1, heads=2, timesteps=2)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(training_speed, "SPIKFORMER_4_256", TINY)
    monkeypatch.setattr(training_speed, "compile_neurons", lambda: False)
    monkeypatch.setattr(training_speed, "spikingjelly_step", lambda *_: None)
    monkeypatch.setitem(training_speed.PEAK_SIZE, "cpu", 64)


def test_every_model_has_a_line(capsys, tmp_path, tiny):
    out = tmp_path / "speed.json"
    options = ["--batch", "4", "--steps", "1", "--rounds", "2", "--device", "cpu", "--out", str(out)]
    assert cli.run(["training-speed", *options]) == 0
    assert "SpikingJelly is not installed" in capsys.readouterr().out
    figures = json.loads(out.read_text())
    assert (figures["batch"], figures["steps"], figures["rounds"]) == (4, 1, 2)
    assert [speed["name"] for speed in figures["speeds"]] == ["ours, float", "ours, 4-bit weights"]
    assert all(speed["images_per_s"] > 0 and speed["of_peak"] > 0 for speed in figures["speeds"])


def test_models_take_turns_and_the_median_round_counts(monkeypatch, tiny):
    """Of three rounds the second is slow, for all alike."""
    seconds = iter([9.0, 9.0, 9.0, *[1.0, 2.0, 4.0], *[70.0, 80.0, 90.0], *[1.0, 2.0, 4.0]])
    monkeypatch.setattr(training_speed, "timed", lambda *_: next(seconds))
    speeds = training_speed.training_speeds(training_speed.Processes.start("cpu"), batch=8, steps=1, rounds=3)
    assert next(seconds, None) is None
    assert [speed.images_per_s for speed in speeds] == [8 / 2, 8 / 4]
    assert speeds[0].of_peak == 2 * speeds[1].of_peak
