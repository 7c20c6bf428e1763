"""Every neuron's spikes of the recorded image, layer by layer and time step by time step."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.comparison.recorded_image import RecordedImage
from spikeloom.report.inputs import Inputs
from spikeloom.report.pixels import Pixels, grey, sheet
from spikeloom.report.rates import rates_plot, step_names
from spikeloom.report.recorded import image_name, recorded_section
from spikeloom.report.section import Exhibit, Picture, Section, Table
from spikeloom.report.words import percent
from sw.artifact.artifact import Artifact
from sw.layer import Layer, block_name

CELLS = 64
"""Most rows and columns of a time step's picture; of more channels or positions several share one."""

COLUMNS = 4
"""Time steps side by side."""

READ = (
    "A square is a time step, a row in it a channel, a column a position, and white is a spike, or grey where some of "
    "the neurons that share a pixel fire: bright rows are channels that fire everywhere, bright columns positions at "
    "which many channels answer."
)


def section(inputs: Inputs) -> Section:
    """Make the section."""
    return recorded_section("rasters", "Spikes, neuron by neuron", inputs, _exhibits)


def _exhibits(image: RecordedImage, artifact: Artifact) -> tuple[Exhibit, ...]:
    layers = [layer for layer in artifact.network.layers() if layer.kind != "head"]
    parts = groupby(layers, key=lambda layer: layer.block)
    return _rates(image, artifact, layers), *(_rasters(block, part, image) for block, part in parts)


def _rates(image: RecordedImage, artifact: Artifact, layers: list[Layer]) -> Exhibit:
    """The plot of all layers."""
    names = [layer.name for layer in layers]
    rates = [image.golden.spikes[name].mean(axis=(1, 2, 3)).tolist() for name in names]
    means = {name: float(np.mean(values)) for name, values in zip(names, rates, strict=True)}
    most, least = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
    rows: tuple[tuple[str | int, ...], ...] = tuple(
        (name, int(image.golden.spikes[name][0].size), *map(percent, values))
        for name, values in zip(names, rates, strict=True)
    )
    return Exhibit(
        name="raster-rates",
        title="Share of the neurons that fire for this image",
        see=f"Which layers answer to {image_name(image, artifact)}: {most} fires most ({percent(means[most])}), "
        f"{least} least; membranes start at zero, which often makes the first time step the quietest.",
        content=rates_plot(names, rates),
        alternative="Mean firing rates: " + ", ".join(f"{name} {percent(mean)}" for name, mean in means.items()) + ".",
        table=Table(("layer", "neurons", *step_names(artifact.network.timesteps)), rows),
    )


def _rasters(block: int | None, layers: Iterable[Layer], image: RecordedImage) -> Exhibit:
    """The pictures of the stem, or of a block."""
    name, title = ("stem", "the stem") if block is None else (block_name(block), block_name(block))
    return Exhibit(
        name=f"raster-{name}",
        title=f"Spikes of {title}",
        see=READ if block is None else "The same for the layers of a block, whose positions are tokens.",
        content=tuple(_picture(layer.name, image) for layer in layers),
    )


def _picture(layer: str, image: RecordedImage) -> Picture:
    spikes = image.golden.spikes[layer]
    steps, channels, height, width = spikes.shape
    pixels, (of_channels, of_positions) = raster(spikes)
    shared = "" if of_channels == of_positions == 1 else f"; a pixel is {of_channels} x {of_positions} of them"
    rates = ", ".join(percent(float(rate)) for rate in spikes.mean(axis=(1, 2, 3)))
    return Picture(
        pixels,
        f"{layer}: {channels} channels x {height * width} positions{shared}",
        f"Spike raster of {layer}: {steps} time steps of {channels} channels at {height * width} positions, in which "
        f"{rates} of the neurons fire.",
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
