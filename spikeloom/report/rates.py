"""The plot of firing rates: layers by time steps."""

from __future__ import annotations

from collections.abc import Sequence

from plotly.graph_objects import Figure, Heatmap

from spikeloom.report.section import Plot
from spikeloom.report.style import ON_SCALE, SCALE


def rates_plot(names: Sequence[str], rates: Sequence[Sequence[float]]) -> Plot:
    """Share of the neurons that fire, as a heat map with figures.

    Parameters
    ----------
    names : sequence of str
        Of the layers.
    rates : sequence of sequences of float
        Of each layer, for each time step: 0 to 1.
    """
    figure = Figure(
        Heatmap(
            z=rates, x=step_names(len(rates[0])), y=names, colorscale=SCALE, zmin=0, showscale=False, xgap=2, ygap=2,
            texttemplate="%{z:.1%}", textfont_color=ON_SCALE,
            hovertemplate="%{y}, %{x}: %{z:.2%} of the neurons fire<extra></extra>",
        )
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", dtick=1, showgrid=False)
    figure.update_xaxes(side="top", showgrid=False)
    return Plot(figure, 70 + 28 * len(names))


def step_names(count: int) -> list[str]:
    """Headings of time steps."""
    return [f"t = {step + 1}" for step in range(count)]
