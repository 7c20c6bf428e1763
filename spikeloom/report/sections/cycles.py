"""Where the cycles of each layer go: work, padding, and waiting by cause."""

from __future__ import annotations

from typing import Any

from plotly.graph_objects import Bar, Figure

from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Plot, Section, Table
from spikeloom.report.style import COLOURS
from spikeloom.report.words import count, percent

WORK, PADDING, OTHER = "work", "padding", "begin and end"

ROW = 26
"""Height of a layer in pixels."""


def spending(layer: dict[str, Any]) -> dict[str, float]:
    """Cycles of a layer in which the array is the bottleneck, by what they are for; they add up to all of them.

    Parameters
    ----------
    layer : dict
        Measured, an entry of ``layers`` in ``compare.json``.

    Returns
    -------
    dict
        ``work``: an array without an empty lane would need them too. ``padding``: lanes without a channel or position.
        The causes of ``waits``. The rest: filling and emptying the pipeline.
    """
    work, waits = layer["ideal_cycles"], layer["waits"]
    padding = max(0.0, layer["engine_cycles"] - work) if work else 0.0
    rest = max(0.0, layer["cycles"] - work - padding - sum(waits.values()))
    if layer["name"] == "load":  # what of the image must be there before the first layer begins
        return {WORK: work, PADDING: padding, **waits, "load": rest, OTHER: 0.0}
    return {WORK: work, PADDING: padding, **waits, OTHER: rest}


def section(inputs: Inputs) -> Section:
    """Cycles and utilisation per layer."""
    layers = [layer for layer in inputs.compare["layers"] if layer["cycles"]]
    table = _table(inputs.compare["layers"])
    if not layers:
        see = "No image ended in RTL: only the cycle model knows how long the layers take."
        return Section("cycles", "Cycles", (Exhibit("cycles-by-layer", "Cycles of each layer", see, table),))
    spent = {layer["name"]: spending(layer) for layer in layers}
    totals = {layer["name"]: layer["cycles"] for layer in layers}
    slowest = max(totals, key=lambda name: totals[name])
    cycles = inputs.compare["cycles"]
    absolute = Exhibit(
        "cycles-by-layer",
        "Cycles of each layer",
        f"How long each layer takes, and what for: {slowest} is the longest with {count(totals[slowest])} of "
        f"{count(cycles['rtl_mean'])} cycles. Attention runs beside the array and costs only what the next layer waits "
        "for it.",
        Plot(_bars(spent, dict.fromkeys(totals, 1.0), "cycles", ","), _height(spent)),
        f"Stacked bars of cycles by layer: {_listed(totals)}.",
        table,
    )
    busy = [layer for layer in layers if layer["ideal_cycles"]]
    worst = min(busy, key=lambda layer: layer["utilisation"])
    relative = Exhibit(
        "utilisation-by-layer",
        "What each layer's cycles go to",
        f"The same in shares. The blue part is utilisation: {percent(cycles['utilisation'])} over the image, least in "
        f"{worst['name']} with {percent(worst['utilisation'])}. {_longest_wait(layers)}",
        Plot(_bars(spent, totals, "share of the layer's cycles", ".1%"), _height(spent)),
        "Utilisation by layer: "
        + ", ".join(f"{layer['name']} {percent(layer['utilisation'])}" for layer in busy)
        + ".",
    )
    return Section("cycles", "Cycles and utilisation", (absolute, relative))


def _bars(spent: dict[str, dict[str, float]], whole: dict[str, float], axis: str, form: str) -> Figure:
    """Stacked bars, a row for each layer, each of its parts divided by what is its whole."""
    figure = Figure()
    for part in next(iter(spent.values())):
        values = [parts[part] / whole[name] for name, parts in spent.items()]
        if not any(values):
            continue
        pattern = {"shape": "/", "size": 5, "solidity": 0.35} if part == PADDING else None
        colour = {WORK: "array", PADDING: "array", OTHER: "wait"}.get(part, part)
        title = part if part in (WORK, PADDING, OTHER) else f"waits for {part}"
        figure.add_trace(
            Bar(
                x=values, y=list(spent), name=title, orientation="h",
                marker={"color": COLOURS[colour], "pattern": pattern},
                hovertemplate=f"%{{y}}: {title} %{{x:{form}}}<extra></extra>",
            )
        )  # fmt: skip
    figure.update_layout(barmode="stack", bargap=0.25, legend={"traceorder": "normal"})
    shares = form.endswith("%")
    figure.update_xaxes(title=axis, tickformat=".0%" if shares else "~s", range=[0, 1] if shares else None)
    figure.update_yaxes(autorange="reversed", dtick=1)
    return figure


def _height(rows: dict[str, Any]) -> int:
    return 110 + ROW * len(rows)


def _listed(totals: dict[str, float]) -> str:
    return ", ".join(f"{name} {count(value)}" for name, value in totals.items())


def _longest_wait(layers: list[dict[str, Any]]) -> str:
    waits = {(layer["name"], cause): cycles for layer in layers for cause, cycles in layer["waits"].items()}
    (name, cause), cycles = max(waits.items(), key=lambda item: item[1])
    return f"The longest wait is that of {name} for {cause}: {count(cycles)} cycles." if cycles else "Nothing waits."


def _table(layers: list[dict[str, Any]]) -> Table:
    causes = tuple(layers[0]["waits"])
    columns = ("layer", "cycles in RTL", "cycle model", "ideal", "utilisation", "engine busy", *causes)
    rows = tuple(
        (
            layer["name"], count(layer["cycles"]), layer["model_cycles"], count(layer["ideal_cycles"]),
            percent(layer["utilisation"] or None), count(layer["engine_cycles"]),
            *(count(layer["waits"][cause]) for cause in causes),
        )
        for layer in layers
    )  # fmt: skip
    return Table(columns, rows)
