"""Where golden model and RTL differ in the recorded image, and how that spreads from layer to layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw.user_text import listed
from sim.comparison.decode import KINDS, UNWRITTEN
from sim.comparison.recorded_image import RecordedImage
from spikeloom.report.inputs import Inputs
from spikeloom.report.pixels import Pixels, colour, grey, sheet
from spikeloom.report.recorded import class_name, image_name, recorded_section
from spikeloom.report.section import Exhibit, Picture, Plot, Section, Table
from spikeloom.report.style import COLOURS, SERIES
from spikeloom.report.words import percent
from sw.artifact.artifact import Artifact

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

COLUMNS = 2
"""Time steps side by side."""

DIMMED = 0.4
"""Brightness of what is equal beside what differs."""

DIFFERS, NO_VALUE = colour(COLOURS["differs"]), colour(SERIES[0])

ROW = 20
"""Height of a layer in the plot, in pixels."""


@dataclass(frozen=True, eq=False)
class ComparedTensor:
    """A tensor of the recorded image, from golden model and RTL.

    Attributes
    ----------
    layer, kind : str
        As `Recorded.beside` gives them.
    golden, rtl : uint8 array [T, C, H, W]
    """

    layer: str
    kind: str
    golden: Pixels
    rtl: Pixels

    @property
    def name(self) -> str:
        """What differs, as ``compare`` calls it."""
        return f"{self.layer} {KINDS[self.kind]}"

    @property
    def count(self) -> int:
        """Values that differ."""
        return int((self.golden != self.rtl).sum())

    @property
    def first(self) -> tuple[int, ...]:
        """Time step, channel, row and column of the first value that differs."""
        return tuple(int(place) for place in np.argwhere(self.golden != self.rtl)[0])


def section(inputs: Inputs) -> Section:
    """Make the section."""
    return recorded_section("mismatch", "Where golden model and RTL differ", inputs, _exhibits)


def _exhibits(image: RecordedImage, artifact: Artifact) -> tuple[Exhibit, ...]:
    compared = [ComparedTensor(*parts) for parts in image.golden.beside(image.rtl)]
    if not image.differs:
        values = sum(one.golden.size for one in compared) + len(image.logits) + 1
        see = (
            "Nowhere: golden model and RTL give the same spikes, residual integers, logits and prediction for every "
            f"traced image; {values:,} values of {image_name(image, artifact)}."
        )
        return (Exhibit("mismatch-none", "No difference", see, ()),)
    first = next((one for one in compared if one.count), None)
    where = () if first is None else (_where(first), _spread(first, compared))
    before = (
        "Spikes and residual integers are equal, the result is not" if first is None else "What becomes of the result"
    )
    return *where, _logits(image, artifact, before)


def _where(first: ComparedTensor) -> Exhibit:
    """Pictures of the first tensor that differs."""
    step, channel, row, column = first.first
    golden, rtl = (int(side[first.first]) for side in (first.golden, first.rtl))
    found = "the RTL no value" if rtl == UNWRITTEN else f"the RTL {rtl}"
    differs = first.golden != first.rtl
    channels = np.flatnonzero(differs.any(axis=(0, 2, 3)))
    place = f"time step {step}, channel {channel}, row {row}, column {column}"
    unwritten = ", blue where it has no value" if (first.rtl[:, channel] == UNWRITTEN).any() else ""
    per_position = differs.sum(axis=1)
    most = int(per_position.max())
    steps = ", ".join(f"{count:,}" for count in differs.sum(axis=(1, 2, 3)))
    strength = (per_position / most)[..., None]
    pictures = (
        _steps(_values(first, first.golden, channel), "golden model", channel),
        _steps(_values(first, first.rtl, channel), f"RTL{unwritten}", channel),
        _steps(_marked(first, channel), "red where they differ", channel),
        Picture(
            sheet(np.rint(strength * DIFFERS).astype(np.uint8), COLUMNS),
            f"all {differs.shape[1]} channels: the redder, the more differ, up to {most}",
            f"Values that differ in {first.name}, by position: {steps} in the time steps.",
        ),
    )
    return Exhibit(
        name="mismatch-first",
        title=f"The first difference: {first.name}",
        see=f"A square is a time step. First at {place}, counted from 0: the golden model has {golden}, {found}; "
        f"{first.count:,} of {differs.size:,} values of {first.name} differ, in {len(channels)} of "
        f"{differs.shape[1]} channels: {listed(map(str, channels), 60)}.",
        content=pictures,
        table=Table(
            ("time step", "values that differ", "channels", "positions"),
            tuple(
                (f"step {number}", int(one.sum()), int(one.any(axis=(1, 2)).sum()), int(one.any(axis=0).sum()))
                for number, one in enumerate(differs)
            ),
        ),
    )


def _steps(tiles: Pixels, what: str, channel: int) -> Picture:
    """Time steps of one channel."""
    return Picture(
        sheet(tiles, COLUMNS),
        f"channel {channel}: {what}",
        f"Feature map of channel {channel} in {len(tiles)} time steps: {what}.",
    )


def _values(first: ComparedTensor, side: Pixels, channel: int) -> Pixels:
    """One side's values of a channel: grey, in a colour where there is none."""
    golden, values = first.golden[:, channel], side[:, channel]
    written = values != UNWRITTEN
    most = max(1, int(golden.max()), int(values[written].max(initial=0)))
    pixels = grey(np.where(written, values, 0), most)[..., None].repeat(3, axis=-1)
    pixels[~written] = NO_VALUE
    return pixels


def _marked(first: ComparedTensor, channel: int) -> Pixels:
    """The golden model's values of a channel, dimmed, and in a colour where the RTL has others."""
    pixels: Pixels = np.rint(DIMMED * _values(first, first.golden, channel)).astype(np.uint8)
    pixels[first.golden[:, channel] != first.rtl[:, channel]] = DIFFERS
    return pixels


def _spread(first: ComparedTensor, compared: list[ComparedTensor]) -> Exhibit:
    """How many values differ in every layer."""
    layers = list(dict.fromkeys(one.layer for one in compared))
    values, counts = dict.fromkeys(layers, 0), dict.fromkeys(layers, 0)
    for one in compared:
        values[one.layer] += one.golden.size
        counts[one.layer] += one.count
    behind = [layer for layer in counts if counts[layer]]
    worst = max(counts, key=lambda layer: counts[layer] / values[layer])
    rows = tuple(
        (layer, values[layer], counts[layer], percent(counts[layer] / values[layer]), *_by_kind(layer, compared))
        for layer in counts
    )
    columns = ("layer", "values", "that differ", "share", *(f"{kind} that differ" for kind in KINDS.values()))
    return Exhibit(
        name="mismatch-spread",
        title="How the difference spreads",
        see=f"From {first.layer} on {len(behind)} of {len(counts)} layers have values that differ; a bar is their "
        "share among the layer's spikes, pooled spikes and residual integers.",
        content=Plot(_bars(values, counts), height=110 + ROW * len(counts)),
        alternative=f"Share of values that differ in each layer: from {first.layer} on, most in {worst} with "
        f"{percent(counts[worst] / values[worst])}.",
        table=Table(columns, rows),
    )


def _by_kind(layer: str, compared: list[ComparedTensor]) -> tuple[int | None, ...]:
    found = {one.kind: one.count for one in compared if one.layer == layer}
    return tuple(found.get(kind) for kind in KINDS)


def _bars(values: dict[str, int], counts: dict[str, int]) -> Figure:
    from plotly.graph_objects import Bar, Figure  # slow to import

    bars = Bar(
        y=list(counts), x=[counts[layer] / values[layer] for layer in counts], orientation="h",
        marker={"color": COLOURS["differs"]}, text=[f"{count:,}" if count else "" for count in counts.values()],
        textposition="outside", cliponaxis=False, hovertemplate="%{y}: %{x:.3%} differ<extra></extra>",
    )  # fmt: skip
    figure = Figure(bars)
    figure.update_yaxes(autorange="reversed", dtick=1)
    figure.update_xaxes(title="values that differ", tickformat=".3~p", rangemode="tozero")
    return figure


def _logits(image: RecordedImage, artifact: Artifact, words: str) -> Exhibit:
    """The logits of both sides."""
    rtl = [None] * len(image.logits) if image.rtl_logits is None else image.rtl_logits.tolist()
    rows = tuple(
        (class_name(artifact, number), expected, found)
        for number, (expected, found) in enumerate(zip(image.logits.tolist(), rtl, strict=True))
    )
    return Exhibit(
        name="mismatch-logits",
        title="Logits",
        see=f"{words}: {image_name(image, artifact)}.",
        content=Table(("class", "golden model", "RTL"), rows),
    )
