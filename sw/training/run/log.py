"""The record of a training run: one CSV row per epoch, and the learning curve as a picture."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from sw.files import write_atomically, write_picture

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


def write_curve(path: Path, rows: list[dict[str, Any]], title: str) -> None:
    """Draw accuracy over epochs; shaded: the teacher's, those of one time step of several, and the quantised ones."""
    from matplotlib.figure import Figure  # slow to import, and only needed here

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for part, label in (("train", "training (augmented)"), ("test", "test")):
        accuracy = f"{part}_accuracy"
        known = [(epoch, row[accuracy]) for epoch, row in enumerate(rows, 1) if row[accuracy] is not None]
        # Rows of a run that an older version began do not say it.
        images = next((row[f"{part}_images"] for row in reversed(rows) if row.get(f"{part}_images")), None)
        axes.plot(*zip(*known, strict=True), marker=".", label=label + (f", {images:,} images" if images else ""))
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
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    write_picture(path, figure)
