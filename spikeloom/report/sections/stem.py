"""The input of the recorded image beside what the stem's layers make of it."""

from __future__ import annotations

import numpy as np

from sim.comparison.recorded_image import RecordedImage
from spikeloom.report.inputs import Inputs
from spikeloom.report.pixels import grey, input_tiles, sheet
from spikeloom.report.recorded import image_name, recorded_section
from spikeloom.report.section import Exhibit, Picture, Section, Table
from spikeloom.report.words import percent
from sw.artifact.artifact import Artifact
from sw.network import STEM_PARTS

CHANNELS = 16
"""Most channels of a layer that are shown."""

COLUMNS = 4


def section(inputs: Inputs) -> Section:
    """Make the section."""
    return recorded_section("stem", "From the image to features", inputs, _exhibits)


def _exhibits(image: RecordedImage, artifact: Artifact) -> tuple[Exhibit, ...]:
    pictures = [_input(image, artifact)]
    rows: list[tuple[str | int | float, ...]] = []
    for layer in STEM_PARTS:
        picture, row = _feature_maps(layer, image)
        pictures.append(picture)
        rows.append(row)
    columns = ("layer", "channels", "rows", "columns", "neurons that fire at a time step", "channels shown")
    exhibit = Exhibit(
        name="stem-features",
        title="Feature maps of the stem",
        see=f"What each convolution's neurons answer to, layer by layer from the image on: a square is a channel, and "
        f"the brighter a pixel, the more often its neuron fires in {artifact.network.timesteps} time steps.",
        content=tuple(pictures),
        table=Table(columns, tuple(rows)),
    )
    return (exhibit,)


def _input(image: RecordedImage, artifact: Artifact) -> Picture:
    network = artifact.network
    tiles = input_tiles(image.pixels, network)
    pixels = sheet(tiles, COLUMNS) if len(tiles) > 1 else tiles[0]
    name = image_name(image, artifact)
    if not network.events:
        return Picture(pixels, name, f"The input: {name}.")
    kinds = ", blue where pixels became darker, orange where brighter" if network.image_channels == 2 else ""
    return Picture(
        pixels,
        f"{name}: event frames, time step by time step{kinds}",
        f"The input: {name}, {int(image.pixels.sum()):,} events in {network.timesteps} frames.",
    )


def _feature_maps(layer: str, image: RecordedImage) -> tuple[Picture, tuple[str | int | float, ...]]:
    """The most varied channels of a layer, and the layer's row of the table."""
    spikes = image.golden.spikes[layer]
    steps, channels, height, width = spikes.shape
    counts = spikes.sum(axis=0, dtype=np.int64)
    chosen = np.argsort(-counts.var(axis=(1, 2)), kind="stable")[:CHANNELS]
    rate = percent(float(spikes.mean()))
    shown = ", ".join(map(str, chosen))
    which = (
        f"the {len(chosen)} of {channels} channels that vary most from place to place"
        if channels > len(chosen)
        else f"all {channels} channels, those that vary most first"
    )
    picture = Picture(
        sheet(grey(counts[chosen], steps), COLUMNS),
        f"{layer}: {which}; {rate} of all neurons fire at a time step",
        f"Feature maps of {layer}, {height} by {width} pixels each, of channels {shown}; {rate} of the layer's "
        "neurons fire at a time step.",
    )
    return picture, (layer, channels, height, width, rate, shown)
