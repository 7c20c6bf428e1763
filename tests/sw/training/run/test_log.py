"""The learning curve: which epochs are shaded as what."""

from __future__ import annotations

import pytest

from sw.training.run import log as training_log


@pytest.fixture
def shaded(tmp_path, monkeypatch):
    """Return a function from phase and time steps of each epoch to the epochs under every shade of the curve."""
    figures = []
    monkeypatch.setattr(training_log, "write_picture", lambda path, figure: figures.append(figure))

    def draw(*epochs):
        rows = [
            {"phase": phase, "timesteps": steps, "train_accuracy": 1, "test_accuracy": 2} for phase, steps in epochs
        ]
        training_log.write_curve(tmp_path / "curve.png", rows, "a run")
        axes = figures[-1].axes[0]
        return {
            bars.get_label(): [round(path.get_extents().x0 + 0.5) for path in bars.get_paths()]
            for bars in axes.collections
        }

    return draw


def test_phases_and_single_steps_are_shaded_epoch_by_epoch(shaded):
    run = [("teacher", None), ("float", 1), ("float", 4), ("quantised", 1), ("quantised", 4)]
    assert shaded(*run) == {"teacher": [1], "one time step": [2, 4], "quantised weights": [4, 5]}


def test_curves_say_of_how_many_images_they_are(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(training_log, "write_picture", lambda path, figure: figures.append(figure))
    row = {"phase": "float", "timesteps": 4, "train_accuracy": 1, "test_accuracy": 2}
    for rows in ([row], [row, {**row, "train_images": 60_000, "test_images": 10_000}, {**row, "test_accuracy": None}]):
        training_log.write_curve(tmp_path / "curve.png", rows, "a run")
    labels = [[text.get_text() for text in figure.legends[0].get_texts()] for figure in figures]
    assert labels == [
        ["training (augmented)", "test"], ["training (augmented), 60,000 images", "test, 10,000 images"],
    ]  # fmt: skip


def test_a_network_of_one_time_step_has_no_single_steps_to_tell_apart(shaded):
    assert shaded(("float", 1), ("quantised", 1)) == {"quantised weights": [2]}


def test_curves_break_where_another_network_begins(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(training_log, "write_picture", lambda path, figure: figures.append(figure))
    run = [("teacher", 4), ("teacher", 4), ("float", 1), ("float", 4), ("float", 4), ("quantised", 4)]
    rows = [{"phase": phase, "timesteps": steps, "train_accuracy": 99, "test_accuracy": 100} for phase, steps in run]
    training_log.write_curve(tmp_path / "curve.png", rows, "a run")
    axes = figures[0].axes[0]
    stretches = [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata())]
    assert stretches == 2 * [[1, 2], [3], [4, 5], [6]]
    assert axes.get_ylim()[1] == 100
