"""The record of a training run: one CSV row per epoch, and the learning curve as a picture."""

from __future__ import annotations

import csv
import io
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sw.files import write_atomically, write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "phase", "epoch", "timesteps", "learning_rate", "train_loss", "train_accuracy", "train_images", "test_accuracy",
    "test_images", "images_per_s", "seed", "device", "torch",
)  # fmt: skip
"""Columns of the log: accuracies in percent, each with the images it is of, the learning rate as it was at the end of
the epoch, what trained."""


def write_log(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write the CSV log of all finished epochs."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows of a log, as `write_log` was given them, as far as a curve needs."""
    numbers = ("timesteps", "train_loss", "train_accuracy", "train_images", "test_accuracy", "test_images")
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            {"phase": row["phase"], **{name: float(row[name]) if row[name] else None for name in numbers}}
            for row in csv.DictReader(stream)
        ]


def write_curve(path: Path, rows: list[dict[str, Any]], title: str) -> None:
    """Write the `curve` of a run."""
    write_picture(path, curve(rows, title))


def curve(rows: list[dict[str, Any]], title: str) -> Figure:
    """Draw accuracy over epochs; shaded: the teacher's, those of one time step of several, and the quantised ones.

    Curves break where another network begins: behind the teacher, and where time steps or weights change.
    """
    from matplotlib.figure import Figure  # slow to import, and only needed here

    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for colour, part, label in (("C0", "train", "training (augmented)"), ("C1", "test", "test")):
        # Rows of a run that an older version began do not say it.
        images = next((row[f"{part}_images"] for row in reversed(rows) if row.get(f"{part}_images")), None)
        axes.plot([], [], color=colour, marker=".", label=label + (f", {images:,.0f} images" if images else ""))
        for _, stretch in groupby(enumerate(rows, 1), key=lambda entry: (entry[1]["phase"], entry[1]["timesteps"])):
            known = [(epoch, row[f"{part}_accuracy"]) for epoch, row in stretch]
            known = [(epoch, accuracy) for epoch, accuracy in known if accuracy is not None]
            axes.plot(*np.reshape(known, (-1, 2)).T, color=colour, marker=".")
    shades = {
        ("teacher", "grey"): [row["phase"] == "teacher" for row in rows],
        ("one time step", "C2"): [row["timesteps"] == 1 < rows[-1]["timesteps"] for row in rows],
        ("quantised weights", "C0"): [row["phase"] == "quantised" for row in rows],
    }
    for (label, colour), shaded in shades.items():
        spans = [(epoch - 0.5, 1) for epoch, shade in enumerate(shaded, 1) if shade]
        if spans:
            bars = axes.broken_barh(spans, (0, 1), transform=axes.get_xaxis_transform(), color=colour, label=label)
            bars.set(alpha=0.12, linewidth=0, antialiased=False)  # spans join without seams
    axes.set(xlabel="epoch", ylabel="accuracy, %", title=title)
    axes.set_ylim(top=min(100, axes.get_ylim()[1]))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
