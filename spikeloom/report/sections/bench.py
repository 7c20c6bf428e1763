"""The project's figures of merit beside their targets, as `spikeloom bench` measured them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plotly.graph_objects import Bar, Figure

from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Plot, Section, Table
from spikeloom.report.style import COLOURS
from sw.synthesis.report import read_entries

COLUMNS = ("figure", "value", "unit", "", "target", "aim")


def section(inputs: Inputs) -> Section:
    """Bars of the figures that were measured, or how to measure them."""
    figures = read_entries(inputs.build / "bench.json")
    standings = {name: standing(entry) for name, entry in figures.items() if entry["value"] is not None}
    if not standings:
        return Section("bench", "Figures of merit", (), "make bench")
    missed = [name for name, ratio in standings.items() if ratio < 1]
    verdict = f"{', '.join(missed)} miss{'es' if len(missed) == 1 else ''} it" if missed else "none misses it"
    exhibit = Exhibit(
        "bench-targets",
        "Figures of merit and their targets",
        f"How good each figure is as a multiple of its target, beyond the line is better: {verdict}.",
        Plot(_figure(standings), height=100 + 34 * len(standings)),
        "Bars by figure of merit, of its target: "
        + ", ".join(f"{name} {_share(ratio)}" for name, ratio in standings.items()),
        Table(COLUMNS, tuple(_row(name, entry) for name, entry in figures.items())),
    )
    return Section("bench", "Figures of merit", (exhibit,))


def standing(entry: Mapping[str, Any]) -> float:
    """How good a figure is as a multiple of its target: 1 meets it, more is better.

    Parameters
    ----------
    entry : mapping
        Of ``bench.json``, with a value.
    """
    value = entry["value"]
    if "at_least" in entry:
        return float(value / entry["at_least"])
    return float(entry["at_most"] / value) if value else float("inf")


def _figure(standings: Mapping[str, float]) -> Figure:
    longest = max((ratio for ratio in standings.values() if ratio != float("inf")), default=1)
    figure = Figure(
        Bar(
            x=[min(ratio, longest) for ratio in standings.values()], y=list(standings), orientation="h",
            marker={"color": [COLOURS["equal" if ratio >= 1 else "differs"] for ratio in standings.values()]},
            text=[_share(ratio) for ratio in standings.values()], hoverinfo="y+text",
        )
    )  # fmt: skip
    figure.add_vline(x=1, line={"dash": "dash", "color": COLOURS["wait"]})
    figure.update_xaxes(title="of the target", tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure


def _share(ratio: float) -> str:
    return "∞" if ratio == float("inf") else f"{ratio:.0%}"


def _row(name: str, entry: Mapping[str, Any]) -> tuple[str | int | float | None, ...]:
    bound, sign = (entry["at_least"], "≥") if "at_least" in entry else (entry["at_most"], "≤")
    met = "not measured" if entry["value"] is None else "met" if standing(entry) >= 1 else "missed"
    return name, entry["value"], entry["unit"], met, f"{sign} {bound:,}", entry["aim"]
