"""The picture of `spikeloom statistics`: firing rates, residual integers, words that are zero."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sw.files import write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from golden.accounting.firing import LayerFiring
    from golden.accounting.words import TensorWords

ROW_INCHES = 0.24
"""Height of a row: a layer, a tensor's plane."""

INTEGERS = "viridis"
"""Colours of residual integers: in their order, and apart in grey too."""


def write_statistics(path: Path, layers: Sequence[LayerFiring], tensors: Sequence[TensorWords], title: str) -> None:
    """Draw three panels: rates by layer and time step, residual integers by layer, zero words by tensor and plane.

    Parameters
    ----------
    path : Path
        The PNG.
    layers : sequence of LayerFiring
    tensors : sequence of TensorWords
    title : str
        Names artifact, images and configuration.
    """
    from matplotlib.figure import Figure  # slow to import, and only needed here

    rows = max(len(layers), sum(len(tensor.planes) for tensor in tensors))
    figure = Figure(figsize=(15, 1.8 + ROW_INCHES * rows), layout="constrained")
    rates, residual, zero = figure.subplots(1, 3)
    figure.suptitle(title)
    _rates(rates, layers)
    _residual(residual, [layer for layer in layers if layer.residual_counts is not None])
    _zero_words(zero, tensors)
    write_picture(path, figure)


def _rates(axes: Axes, layers: Sequence[LayerFiring]) -> None:
    values = np.array([layer.rates for layer in layers]) * 100
    picture = axes.imshow(values, aspect="auto", cmap="magma", vmin=0)
    for row, column in np.ndindex(values.shape):
        dark = values[row, column] < values.max() / 2
        text = f"{values[row, column]:.1f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    axes.set_yticks(range(len(layers)), [layer.name for layer in layers], fontsize=8)
    axes.set_xticks(range(values.shape[1]), [str(step + 1) for step in range(values.shape[1])])
    axes.set(xlabel="time step", title="neurons that fire, %")
    axes.figure.colorbar(picture, ax=axes, shrink=0.6)


def _residual(axes: Axes, layers: Sequence[LayerFiring]) -> None:
    from matplotlib import colormaps

    largest = max(len(layer.residual_counts or ()) for layer in layers)
    left = np.zeros(len(layers))
    for integer in range(largest):
        counts = [(layer.residual_counts or ())[integer : integer + 1] for layer in layers]
        shares = np.array([
            100 * sum(count) / sum(layer.residual_counts or ()) for count, layer in zip(counts, layers, strict=True)
        ])  # fmt: skip
        colour = colormaps[INTEGERS](integer / max(largest - 1, 1))
        axes.barh(range(len(layers)), shares, left=left, color=colour, label=str(integer))
        left += shares
    axes.set_yticks(range(len(layers)), [f"after {layer.name}" for layer in layers], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="share, %", xlim=(0, 100), title="integers in the residual stream")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=8, fontsize=8)


def _zero_words(axes: Axes, tensors: Sequence[TensorWords]) -> None:
    planes = [(tensor, plane) for tensor in tensors for plane in tensor.planes]
    names = [tensor.title + f", plane {plane.plane}" * (len(tensor.planes) > 1) for tensor, plane in planes]
    rows = np.arange(len(planes))
    stored = [100 * plane.zero_words / plane.words for _, plane in planes]
    read = [100 * plane.zero_reads / plane.reads for _, plane in planes]
    axes.barh(rows - 0.2, stored, 0.4, label="words in memory")
    axes.barh(rows + 0.2, read, 0.4, label="words the array takes")
    axes.set_yticks(rows, names, fontsize=8)
    axes.set_ylim(len(planes) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    axes.set(xlabel="share that is zero, %", xlim=(0, 100), title="words without a spike")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=2, fontsize=8)
