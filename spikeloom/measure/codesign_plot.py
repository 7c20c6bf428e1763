"""The picture of `spikeloom codesign`: accuracy against cycles, weight bytes and energy, with the Pareto fronts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikeloom.measure.codesign import Variant, fronts
from sw.files import write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

PANELS = (
    ("cycles", 1e-3, "thousand cycles per image ({config}, cycle model)"),
    ("weight_bytes", 1e-3, "thousand bytes of weights"),
    ("counted_j", 1e6, "energy per image at 45 nm, uJ"),
)
"""Cost, factor and label of the axes."""

ROOM_FOR_NAMES = 1.3
"""Length of a cost's axis over what its points take: names stand to the right of them."""

NAME_OFFSET = 12
"""Points from a variant to its name."""

POINT_ROOM = 5
"""Points, either way, that a variant's own mark takes."""

TOUCH = 1e-6
"""By how much boxes side by side may cover each other: rounding."""

Box = tuple[float, float, float, float]
"""Left, bottom, right and top."""


def write_codesign(path: Path, variants: Sequence[Variant]) -> None:
    """Draw a panel for every cost: a point per variant, a line through those that none beats.

    Energy has two points for a variant, full by counted operations, hollow by the paper's formula.

    Parameters
    ----------
    path : Path
        The PNG.
    variants : sequence of Variant
        Of one configuration, at least one; those without an accuracy are left out.
    """
    from matplotlib.figure import Figure  # slow to import, and only needed here

    figure = Figure(figsize=(15, 5), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    names = [_draw(axes, variants, cost, factor) for axes, (cost, factor, _) in zip(panels, PANELS, strict=True)]
    for axes, of_panel, (_, _, label) in zip(panels, names, PANELS, strict=True):  # they share the axis of accuracy
        axes.set(xlabel=label.format(config=variants[0].config))
        if not of_panel:
            axes.text(0.5, 0.5, f"none fits {variants[0].config}", transform=axes.transAxes, ha="center", va="center")
        axes.margins(y=0.15)
        axes.set_xlim(0, ROOM_FOR_NAMES * axes.get_xlim()[1])
        axes.set_ylim(top=min(100, axes.get_ylim()[1]))
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="accuracy of the golden model, %")
    for image_set, front in fronts(variants, PANELS[-1][0]).items():
        label = f"{front[0].images:,} images of {image_set}"
        panels[-1].plot([], [], "o", color=_colours(variants)[image_set], label=label)
    panels[-1].plot([], [], "o", color="grey", label="from counted operations")
    panels[-1].plot([], [], "o", color="grey", markerfacecolor="none", label="by the paper's formula")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    figure.draw_without_rendering()  # only then do names have a size
    for axes, of_panel in zip(panels, names, strict=True):
        _move_apart(axes, of_panel)
    write_picture(path, figure)


def shifts(boxes: Sequence[Box], fixed: Sequence[Box]) -> list[float]:
    """How far to move boxes up or down so that they cover neither each other nor fixed ones.

    The highest moves first, each to the nearest place that is free.
    """
    taken = list(fixed)
    found = [0.0] * len(boxes)
    for index in sorted(range(len(boxes)), key=lambda index: -boxes[index][1]):
        left, bottom, right, top = boxes[index]
        spans = [(box[1], box[3]) for box in taken if left < box[2] and box[0] < right]
        places = [0.0, *(high - bottom for _, high in spans), *(low - top for low, _ in spans)]
        found[index] = min(
            (
                place for place in places
                if all(bottom + place >= high - TOUCH or top + place <= low + TOUCH for low, high in spans)
            ),
            key=abs,
        )  # fmt: skip
        taken.append((left, bottom + found[index], right, top + found[index]))
    return found


def _move_apart(axes: Axes, names: Sequence[Annotation]) -> None:
    """Move the names of a panel off its marks and each other."""
    from matplotlib.text import Text

    pixels = axes.figure.dpi / 72
    room = POINT_ROOM * pixels
    lines = [line for line in axes.lines if line.get_marker() == "o"]
    marks = [axes.transData.transform(point) for line in lines for point in np.asarray(line.get_xydata())]
    fixed = [(x - room, y - room, x + room, y + room) for x, y in marks]
    boxes = [Text.get_window_extent(name).extents for name in names]  # without the line to the point
    for name, shift in zip(names, shifts(boxes, fixed), strict=True):
        name.set_position((NAME_OFFSET, shift / pixels))


def _draw(axes: Axes, variants: Sequence[Variant], cost: str, factor: float) -> list[Annotation]:
    """Draw a panel; the names in it."""
    colours = _colours(variants)
    for image_set, front in fronts(variants, cost).items():
        x = [getattr(variant, cost) * factor for variant in front]
        y = [100 * (variant.accuracy or 0) for variant in front]
        axes.step(x, y, where="post", color=colours[image_set], alpha=0.4)
    names = []
    for variant in variants:
        price = getattr(variant, cost)
        if price is None or variant.accuracy is None:
            continue
        point, colour = (price * factor, 100 * variant.accuracy), colours[variant.image_set]
        axes.plot(*point, "o", color=colour, clip_on=False)
        if cost == "counted_j":
            axes.plot(variant.paper_j * factor, point[1], "o", color=colour, markerfacecolor="none", clip_on=False)
        name = axes.annotate(
            variant.name, point, xytext=(NAME_OFFSET, 0), textcoords="offset points", fontsize=8, va="center",
            arrowprops={"arrowstyle": "-", "lw": 0.5, "alpha": 0.5, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)},
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0},
        )  # fmt: skip
        name.set_in_layout(False)
        names.append(name)
    return names


def _colours(variants: Sequence[Variant]) -> dict[str, str]:
    return {image_set: f"C{n}" for n, image_set in enumerate(dict.fromkeys(variant.image_set for variant in variants))}
