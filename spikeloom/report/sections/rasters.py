"""Every neuron's spikes of the recorded image, layer by layer and time step by time step."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sim.comparison.recorded_image import RecordedImage
from spikeloom.report.inputs import Inputs
from spikeloom.report.pixels import Pixels, grey, sheet
from spikeloom.report.recorded import image_name, recorded_section
from spikeloom.report.section import Exhibit, Picture, Plot, Section, Table
from sw.artifact.artifact import Artifact
from sw.layer import Layer, block_name

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

CELLS = 64
"""Most rows and columns of a time step's picture; of more channels or positions several share one."""

COLUMNS = 4
"""Time steps side by side."""

ROW = 20
"""Height of a layer in the plot of rates, in pixels."""


def section(inputs: Inputs) -> Section:
    """Make the section."""
    return recorded_section("rasters", "Spikes, neuron by neuron", inputs, _exhibits)


def _exhibits(image: RecordedImage, artifact: Artifact) -> tuple[Exhibit, ...]:
    layers = [layer for layer in artifact.network.layers() if layer.kind != "head"]
    parts = groupby(layers, key=lambda layer: layer.block)
    return _rates(image, artifact, layers), *(_rasters(block, part, image) for block, part in parts)


def _rates(image: RecordedImage, artifact: Artifact, layers: list[Layer]) -> Exhibit:
    """The plot of all layers."""
    steps = range(1, artifact.network.timesteps + 1)
    names = [layer.name for layer in layers]
    rates = np.array([100 * image.golden.spikes[name].mean(axis=(1, 2, 3)) for name in names])
    mean = rates.mean(axis=1)
    most, least = int(mean.argmax()), int(mean.argmin())
    rows = tuple(
        (layer.name, int(image.golden.spikes[layer.name][0].size), *row.tolist())
        for layer, row in zip(layers, rates, strict=True)
    )
    return Exhibit(
        name="raster-rates",
        title="Firing rate of every layer, time step by time step",
        see=f"Which layers fire much for {image_name(image, artifact)}, and how that changes over the time steps; "
        "membranes start at zero, which often makes the first step the quietest.",
        content=Plot(_heatmap(names, rates), height=110 + ROW * len(names)),
        alternative=f"Share of the neurons that fire, for {len(names)} layers and {len(steps)} time steps: from "
        f"{mean[least]:.1f} % in {names[least]} to {mean[most]:.1f} % in {names[most]} on average over the time steps.",
        table=Table(("layer", "neurons", *(f"t = {step}, %" for step in steps)), rows),
    )


def _heatmap(names: list[str], rates: NDArray[Any]) -> Figure:
    from plotly.graph_objects import Figure, Heatmap  # slow to import

    trace = Heatmap(
        z=rates, x=[f"t = {step + 1}" for step in range(rates.shape[1])], y=names, colorscale="Viridis", zmin=0,
        texttemplate="%{z:.1f}", hovertemplate="%{y}, %{x}: %{z:.2f} % of the neurons fire<extra></extra>",
        colorbar={"title": "%", "thickness": 12},
    )  # fmt: skip
    figure = Figure(trace)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(side="top")
    return figure


def _rasters(block: int | None, layers: Iterable[Layer], image: RecordedImage) -> Exhibit:
    """The pictures of the stem, or of a block."""
    name, title = ("stem", "the stem") if block is None else (block_name(block), block_name(block))
    return Exhibit(
        name=f"raster-{name}",
        title=f"Spikes of {title}",
        see="A square is a time step, a row in it a channel, a column a position, and white is a spike, or grey where "
        "some of the neurons that share a pixel fire: bright rows are channels that fire everywhere, bright columns "
        "positions at which many channels answer.",
        content=tuple(_picture(layer.name, image) for layer in layers),
    )


def _picture(layer: str, image: RecordedImage) -> Picture:
    spikes = image.golden.spikes[layer]
    steps, channels, height, width = spikes.shape
    pixels, (of_channels, of_positions) = raster(spikes)
    shared = "" if of_channels == of_positions == 1 else f"; a pixel is {of_channels} x {of_positions} of them"
    rates = ", ".join(f"{100 * rate:.1f}" for rate in spikes.mean(axis=(1, 2, 3)))
    return Picture(
        pixels,
        f"{layer}: {channels} channels x {height * width} positions{shared}",
        f"Spike raster of {layer}: {steps} time steps of {channels} channels at {height * width} positions, in which "
        f"{rates} % of the neurons fire.",
    )


def raster(spikes: Pixels) -> tuple[Pixels, tuple[int, int]]:
    """Spikes [T, C, H, W] as a sheet of time steps, channels by positions.

    Returns
    -------
    uint8 array [rows, columns]
    tuple of int
        How many channels, and how many positions, a pixel stands for.
    """
    steps, channels = spikes.shape[:2]
    cells = spikes.reshape(steps, channels, -1).astype(np.float64)
    sharing = -(-channels // CELLS), -(-cells.shape[2] // CELLS)
    for axis, count in zip((1, 2), sharing, strict=True):
        cells = _means(cells, axis, count)
    tiles = grey(np.sqrt(cells), 1)  # so that one of many shows
    for axis in (1, 2):
        tiles = tiles.repeat(max(1, CELLS // tiles.shape[axis]), axis=axis)
    return sheet(tiles, COLUMNS), sharing


def _means(values: NDArray[Any], axis: int, count: int) -> NDArray[Any]:
    """Means of so many neighbours along an axis; the last ones may be fewer."""
    starts = np.arange(0, values.shape[axis], count)
    sizes = np.diff([*starts, values.shape[axis]])
    return np.add.reduceat(values, starts, axis=axis) / sizes.reshape(-1, *[1] * (values.ndim - 1 - axis))
