"""Where the heads of every block look in the recorded image.

Without a softmax the neuron after attention reads ``Q (K^T V) = (Q K^T) V``, so ``A = Q K^T`` is what elsewhere is an
attention map: entry ``[n, m]`` is the weight of token m for token n. Q and K are spikes, and so it is a count: of the
channels of the head in which query n and key m both fire. It follows exactly from what was recorded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.comparison.recorded_image import RecordedImage
from spikeloom.report.inputs import Inputs
from spikeloom.report.pixels import Pixels, colour, input_overview, sheet
from spikeloom.report.recorded import recorded_section
from spikeloom.report.section import Exhibit, Picture, Section, Table
from spikeloom.report.style import COLOURS
from sw.artifact.artifact import Artifact
from sw.layer import block_name, layer_name
from sw.network import NetworkConfig

COLUMNS = 4
"""Heads side by side."""

DIMMED = 0.75
"""Brightness of the image beneath."""

STRONGEST = 0.85
"""Share of the colour at the token that a head looks at most."""


def section(inputs: Inputs) -> Section:
    """Make the section."""
    return recorded_section("attention-maps", "What the attention heads look at", inputs, _exhibits)


def _exhibits(image: RecordedImage, artifact: Artifact) -> tuple[Exhibit, ...]:
    return tuple(_exhibit(block, image, artifact.network) for block in range(artifact.network.depth))


def _exhibit(block: int, image: RecordedImage, network: NetworkConfig) -> Exhibit:
    maps = attention_map(image, network, block)
    name = block_name(block)
    rows = []
    for head, values in enumerate(maps):
        row, column = (int(place) for place in np.unravel_index(int(values.argmax()), values.shape))
        rows.append((f"head {head}", float(values.mean()), float(values.max()), f"row {row}, column {column}"))
    strongest = max(range(len(maps)), key=lambda head: float(maps[head].max()))
    picture = Picture(
        sheet(over_image(maps, input_overview(image.pixels, network)), COLUMNS),
        f"{name}: heads 0 to {len(maps) - 1}, row by row",
        f"Attention of the {len(maps)} heads of {name} over {network.grid} by {network.grid} tokens; the strongest is "
        f"that of head {strongest} at {rows[strongest][3]}.",
    )
    columns = ("head", "mean", "at the token looked at most", "which is at")
    return Exhibit(
        name=f"attention-{name}",
        title=f"Attention of {name}",
        see="A square is a head. "
        + (
            "The more colour a part of the image has, the more the head's queries look there, on average over all "
            f"queries and time steps: in how many of its {network.head_dim} channels query and key both fire, most "
            "colour for each head's largest."
            if block == 0
            else f"The strongest look goes to {rows[strongest][3]}, by head {strongest}."
        ),
        content=(picture,),
        table=Table(columns, tuple(rows)),
    )


def attention_map(image: RecordedImage, network: NetworkConfig, block: int) -> NDArray[Any]:
    """Mean of ``A = Q K^T`` of each head over queries and time steps.

    Returns
    -------
    float64 array [heads, rows, columns]
        For each token as a key, 0 to the channels of a head.
    """
    shape = (network.timesteps, network.heads, network.head_dim, network.tokens)
    q, k = (image.golden.spikes[layer_name(part, block)].reshape(shape).astype(np.int64) for part in ("q", "k"))
    sums: NDArray[Any] = np.einsum("thd,thdm->hm", q.sum(axis=3), k)  # of all queries at once
    return sums.reshape(-1, network.grid, network.grid) / (network.tokens * network.timesteps)


def over_image(maps: NDArray[Any], overview: Pixels) -> Pixels:
    """Maps [heads, rows, columns] in colour over a dimmed image [H, W], each with its largest value as the brightest.

    Returns
    -------
    uint8 array [heads, H, W, 3]
    """
    most = maps.max(axis=(1, 2), keepdims=True)
    shares = np.divide(maps, most, out=np.zeros_like(maps), where=most > 0)
    side = len(overview) // maps.shape[1]
    strength = STRONGEST * shares.repeat(side, axis=1).repeat(side, axis=2)[..., None]
    beneath = DIMMED * overview[None, :, :, None].astype(np.float64)
    mixed: Pixels = np.rint((1 - strength) * beneath + strength * colour(COLOURS["attention"])).astype(np.uint8)
    return mixed
