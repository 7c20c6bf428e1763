"""Accuracy of every model on the way from training to hardware."""

from __future__ import annotations

from math import sqrt

from plotly.graph_objects import Figure, Scatter

from sim.comparison.report import MODELS
from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Plot, Section, Table
from spikeloom.report.style import COLOURS
from spikeloom.report.words import percent, plain

QUANTILE = 1.96
"""Of the normal distribution, for intervals of 95 %."""

SHORT = {"float": "float", "brevitas": "Brevitas", "golden": "golden", "golden_on_rtl_images": "golden, RTL's images"}
"""Names beside the plot, where a phone has little room."""

SEE = (
    "How many images each model classifies correctly. The whiskers are 95 % confidence intervals: where few images "
    "ran, a difference means little."
)


def interval(correct: int, images: int) -> tuple[float, float]:
    """Wilson's interval of 95 % for the accuracy behind a count.

    Parameters
    ----------
    correct, images : int

    Returns
    -------
    tuple of float
        Bounds, 0 to 1.
    """
    share, weight = correct / images, QUANTILE**2 / images
    centre = (share + weight / 2) / (1 + weight)
    half = QUANTILE * sqrt(share * (1 - share) / images + weight / (4 * images)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)


def section(inputs: Inputs) -> Section:
    """Accuracies with the number of images they are of."""
    entries = inputs.compare["accuracy"]
    known = {SHORT.get(name, MODELS[name]): entries[name] for name in MODELS if entries[name] is not None}
    table = Table(
        ("model", "measured on", "images", "correct", "accuracy", "95 % from", "to"),
        tuple(
            (title, *(None,) * 6)
            if (entry := entries[name]) is None
            else (
                title, entry["image_set"], entry["images"], entry["correct"], f"{entry['accuracy']:.2%}",
                *(percent(bound) for bound in interval(entry["correct"], entry["images"])),
            )
            for name, title in MODELS.items()
        ),
    )  # fmt: skip
    if not known:
        see = "The images have no labels and the artifact records no accuracy."
        return Section("accuracies", "Accuracy", (Exhibit("accuracy", "Accuracy of each model", see, table),))
    bounds = [interval(entry["correct"], entry["images"]) for entry in known.values()]
    accuracies = [entry["accuracy"] for entry in known.values()]
    figure = Figure(
        Scatter(
            x=accuracies, y=list(known), mode="markers", marker={"size": 13, "color": COLOURS["array"]},
            error_x={
                "array": [high - share for (_, high), share in zip(bounds, accuracies, strict=True)],
                "arrayminus": [share - low for (low, _), share in zip(bounds, accuracies, strict=True)],
                "symmetric": False, "color": COLOURS["array"], "thickness": 2, "width": 6,
            },
            customdata=[(entry["correct"], entry["images"], plain(entry["image_set"])) for entry in known.values()],
            hovertemplate="%{y}<br>%{x:.2%}: %{customdata[0]:,} of %{customdata[1]:,}, %{customdata[2]}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(tickformat=".0%", title="accuracy")
    figure.update_yaxes(autorange="reversed")
    words = "; ".join(
        f"{title} {entry['accuracy']:.2%} of {entry['images']:,} images" for title, entry in known.items()
    )
    exhibit = Exhibit(
        "accuracy", "Accuracy of each model", SEE, Plot(figure, 90 + 46 * len(known)), f"Accuracies: {words}.", table
    )
    return Section("accuracies", "Accuracy", (exhibit,))
