"""How often neurons fire, and which integers the residual stream holds."""

from __future__ import annotations

from typing import Any

from plotly.graph_objects import Bar, Figure

from spikeloom.report.inputs import Inputs
from spikeloom.report.rates import rates_plot, step_names
from spikeloom.report.section import Exhibit, Plot, Section, Table
from spikeloom.report.style import COLOURS, SERIES
from spikeloom.report.words import percent, plural


def section(inputs: Inputs) -> Section:
    """Firing rates by layer and time step, and shares of the residual integers."""
    layers, images = inputs.compare["firing"], inputs.compare["images"]["rtl"]
    exhibits = (_rates(layers, images), _residuals([layer for layer in layers if layer["residual_counts"]]))
    return Section("firing", "Spikes and residual integers", exhibits)


def _rates(layers: list[dict[str, Any]], images: int) -> Exhibit:
    names, rates = [layer["name"] for layer in layers], [layer["rates"] for layer in layers]
    steps = step_names(len(rates[0]))
    means = {name: sum(values) / len(values) for name, values in zip(names, rates, strict=True)}
    most, least = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
    rows = tuple(
        (
            layer["name"],
            layer["neurons"],
            f"{layer['spikes']:,.0f}",
            percent(means[layer["name"]]),
            *map(percent, values),
        )
        for layer, values in zip(layers, rates, strict=True)
    )
    return Exhibit(
        "firing-rates",
        "Share of the neurons that fire",
        f"Each row is a layer, from image to head; each column a time step. Over {plural(images, 'image')}, {most} "
        f"fires most ({percent(means[most])}) and {least} least ({percent(means[least])}).",
        rates_plot(names, rates),
        "Mean firing rates: " + ", ".join(f"{name} {percent(mean)}" for name, mean in means.items()) + ".",
        Table(("layer", "neurons", "spikes per image", "mean rate", *steps), rows),
    )


def _residuals(layers: list[dict[str, Any]]) -> Exhibit:
    names = [layer["name"] for layer in layers]
    shares = [[count / sum(layer["residual_counts"]) for count in layer["residual_counts"]] for layer in layers]
    integers = range(max(map(len, shares)))
    padded = [[*values, *[0.0] * (len(integers) - len(values))] for values in shares]
    figure = Figure()
    for integer in integers:
        figure.add_trace(
            Bar(
                x=[values[integer] for values in padded], y=names, name=str(integer), orientation="h",
                marker_color=COLOURS["wait"] if not integer else SERIES[(integer - 1) % (len(SERIES) - 1)],
                hovertemplate=f"after %{{y}}: {integer} in %{{x:.2%}}<extra></extra>",
            )
        )  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.3, legend={"traceorder": "normal"})
    figure.update_xaxes(tickformat=".0%", title="share of the stream", range=[0, 1])
    figure.update_yaxes(autorange="reversed", dtick=1)
    means = [sum(integer * share for integer, share in enumerate(values)) for values in shares]
    largest = [max(integer for integer, share in enumerate(values) if share) for values in shares]
    rows = tuple(
        (name, mean, most, *map(percent, values))
        for name, mean, most, values in zip(names, means, largest, padded, strict=True)
    )
    return Exhibit(
        "residual-integers",
        "Integers in the residual stream",
        "What stands in the residual stream after each layer that joins it. The last one leaves integers up to "
        f"{largest[-1]}, {percent(shares[-1][0])} of them zero; every further bit is another pass of the layers "
        "that read it.",
        Plot(figure, 120 + 40 * len(names)),
        "Mean integer after each layer: "
        + ", ".join(f"{name} {mean:.3f}" for name, mean in zip(names, means, strict=True))
        + ".",
        Table(("after", "mean", "largest", *(f"share of {integer}" for integer in integers)), rows),
    )
