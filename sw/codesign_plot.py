"""The picture of `spikeloom codesign`: accuracy against cycles, weight bytes and energy, with the Pareto fronts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sw.codesign import Variant, fronts
from sw.pictures import write_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = (
    ("cycles", 1e-3, "thousand cycles per image ({config}, cycle model)"),
    ("weight_bytes", 1e-3, "thousand bytes of weights"),
    ("sop_j", 1e6, "energy per image at 45 nm, uJ"),
)
"""Cost, factor and label of the axes."""

ROOM_FOR_NAMES = 1.3
"""Length of a cost's axis over what its points take: names stand to the right of them."""


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
    for axes, (cost, factor, label) in zip(panels, PANELS, strict=True):
        _draw(axes, variants, cost, factor)
        axes.set(xlabel=label.format(config=variants[0].config))
        axes.margins(y=0.15)
        axes.set_xlim(0, ROOM_FOR_NAMES * axes.get_xlim()[1])
        axes.grid(alpha=0.3)
    panels[0].set(ylabel="accuracy of the golden model, %")
    for dataset in fronts(variants, PANELS[-1][0]):
        panels[-1].plot([], [], "o", color=_colours(variants)[dataset], label=dataset)
    panels[-1].plot([], [], "o", color="grey", label="from counted operations")
    panels[-1].plot([], [], "o", color="grey", markerfacecolor="none", label="by the paper's formula")
    panels[-1].legend(loc="best", fontsize=8)
    write_picture(path, figure)


def _draw(axes: Axes, variants: Sequence[Variant], cost: str, factor: float) -> None:
    colours = _colours(variants)
    for dataset, front in fronts(variants, cost).items():
        x = [getattr(variant, cost) * factor for variant in front]
        y = [100 * (variant.accuracy or 0) for variant in front]
        axes.step(x, y, where="post", color=colours[dataset], alpha=0.4)
    for variant in variants:
        price = getattr(variant, cost)
        if price is None or variant.accuracy is None:
            continue
        point, colour = (price * factor, 100 * variant.accuracy), colours[variant.dataset]
        axes.plot(*point, "o", color=colour)
        if cost == "sop_j":
            axes.plot(variant.paper_j * factor, point[1], "o", color=colour, markerfacecolor="none")
        axes.annotate(variant.name, point, xytext=(5, 5), textcoords="offset points", fontsize=8)


def _colours(variants: Sequence[Variant]) -> dict[str, str]:
    return {dataset: f"C{n}" for n, dataset in enumerate(dict.fromkeys(variant.dataset for variant in variants))}
