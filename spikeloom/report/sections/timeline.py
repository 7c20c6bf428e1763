"""What the engines do over the cycles of one image, and who waits for whom."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from plotly.graph_objects import Bar, Figure, Scatter

from sim.comparison.timeline import TIMELINE_FILE, WORKS, Interval, joined, layer_sums
from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Plot, Section, Table
from spikeloom.report.style import COLOURS

LANES = {
    "memory": "external memory",
    "load": "image load",
    "tables": "weight tables",
    "array": "array",
    "neurons": "neurons",
    "writeback": "writeback",
    "attention": "attention",
}
"""Engines in the order in which data passes them, and what they are called."""

CAUSES: dict[str, Mapping[str, str]] = {
    "load": {"memory": "memory", "neurons": "neurons"},
    "tables": {"weights": "memory", "array": "array"},
    "array": {
        "weights": "tables", "drain": "neurons", "data": "writeback", "attention": "attention", "load": "load",
        "other": "other",
    },
    "neurons": {"array": "array"},
    "attention": {"layers": "writeback"},
}  # fmt: skip
"""For every state of waiting, the engine that is waited for."""

COLOUR = {
    "memory": "drain", "load": "load", "tables": "weights", "array": "array", "neurons": "neurons", "writeback": "data",
    "attention": "attention", "other": "wait",
}  # fmt: skip
"""Colour of an engine, by its name in `COLOURS`."""

DRAWN = 8000
"""Intervals drawn of an engine's state, at most: beyond that, short gaps are closed."""

SHADES = (1.0, 0.75, 0.5)
"""Opacity of the work on layers in turn: three, for from v of a head the array goes back two, to q of the next one."""

RIBBON = ("#aeb6c1", "#bfc6cf", "#d3d8df")
RIBBON_TEXT = "#1c2128"
"""Layers in turn in the ribbon above the lanes, and their names: a contrast of 7:1 on all, light or dark the page."""

WORK_SPAN = (-0.15, 0.25)
"""Where work is drawn in a lane of height 1, below the lane's name; waiting is a thinner bar below it."""
WAIT_SPAN = (-0.4, -0.2)


def section(inputs: Inputs) -> Section:
    """The timeline of the first image, or how to record one."""
    path = inputs.folder / TIMELINE_FILE
    if not path.exists():
        return Section("timeline", "Timeline", (), "make compare")
    content = json.loads(path.read_text(encoding="utf-8"))
    exhibit = Exhibit(
        "engines", "Engines over one image", _see(content), Plot(_figure(content), height=130 + 62 * len(LANES)),
        _words(content), Table(("engine", "state", "cycles", "of the image"), tuple(_rows(content))),
    )  # fmt: skip
    return Section("timeline", "Timeline", (exhibit,))


def _figure(content: Mapping[str, Any]) -> Figure:
    """A lane for every engine: above, its work, in a shade for each layer; below, its waiting."""
    figure = Figure()
    names = list(LANES)
    for engine in names:
        middle = len(names) - 1 - names.index(engine)
        for state, of_state in _by_state(content, engine):
            intervals, _ = drawable(of_state)
            if state == WORKS:
                for turn, shade in enumerate(SHADES):
                    chosen = [one for one in intervals if one[2] % len(SHADES) == turn]
                    figure.add_trace(_bars(chosen, middle, WORK_SPAN, engine, f"{LANES[engine]} works", shade))
            else:
                cause = CAUSES[engine][state]
                name = f"{LANES[engine]} waits for {LANES.get(cause, 'a layer to begin or end')}"
                figure.add_trace(_bars(intervals, middle, WAIT_SPAN, cause, name, 1.0))
        figure.add_trace(_labels(content, engine, middle))
        mark = f"<span style='color:{COLOURS[COLOUR[engine]]}'>\u25a0</span>"
        figure.add_annotation(
            text=f"{mark} {LANES[engine]}", showarrow=False,
            x=0, xref="paper", xanchor="left", y=middle + WORK_SPAN[1], yanchor="bottom",
        )  # fmt: skip
    figure.add_trace(_ribbon(content, len(names)))
    figure.update_layout(
        showlegend=False, barmode="overlay", dragmode="zoom", hovermode="closest",
        uniformtext={"minsize": 10, "mode": "hide"},
    )  # fmt: skip
    figure.update_xaxes(title="cycle", range=[0, content["cycles"]], tickformat=",d")
    figure.update_yaxes(range=[-0.5, len(names) + 0.3], visible=False, fixedrange=True)
    return figure


def _by_state(content: Mapping[str, Any], engine: str) -> Iterator[tuple[str, list[Interval]]]:
    found = content["engines"][engine]
    for number, state in enumerate(found["states"]):
        if intervals := [(begin, end, layer, of) for begin, end, layer, of in found["intervals"] if of == number]:
            yield state, intervals


def drawable(intervals: Sequence[Interval]) -> tuple[list[Interval], int]:
    """At most `DRAWN` intervals of one state, and from which length on the gaps between those of one layer are left."""
    found, gap = list(intervals), 1
    while len(found) > DRAWN and gap < intervals[-1][1]:
        gap *= 2
        found = joined(found, gap)
    return found, gap


def _bars(
    intervals: Iterable[Interval], middle: int, span: tuple[float, float], colour: str, name: str, opacity: float
) -> Scatter:
    """Rectangles as one filled path: thousands of them stay quick to draw and to zoom into, at any width."""
    edges = np.array([(begin, end) for begin, end, *_ in intervals], np.float64).reshape(-1, 2)
    x = np.column_stack([edges[:, [0, 1, 1, 0, 0]], np.full(len(edges), np.nan)]).astype(np.float32)
    low, high = middle + span[0], middle + span[1]
    y = np.tile(np.array([low, low, high, high, low, np.nan], np.float32), len(edges))
    return Scatter(
        x=x.ravel(), y=y, name=name, mode="none", fill="toself", fillcolor=COLOURS[COLOUR[colour]], opacity=opacity,
        line={"simplify": False}, hoverinfo="skip",
    )  # fmt: skip


def _ribbon(content: Mapping[str, Any], middle: int) -> Bar:
    """The layers that the array is in, with their names where they fit."""
    spans = list(_stretches(content, "array"))
    return Bar(
        base=[begin for begin, *_ in spans], x=[end - begin for begin, end, *_ in spans], y=[middle] * len(spans),
        orientation="h", width=0.5, marker={"color": [RIBBON[layer % len(RIBBON)] for _, _, layer, _ in spans]},
        text=[content["layers"][layer] for _, _, layer, _ in spans], textposition="inside", textangle=0,
        insidetextanchor="middle", insidetextfont={"color": RIBBON_TEXT}, name="layers",
        hovertemplate="%{text}<extra></extra>",
    )  # fmt: skip


def _labels(content: Mapping[str, Any], engine: str, middle: int) -> Bar:
    """An unseen bar over each stretch of a layer, which says under the pointer what it is."""
    spans = list(_stretches(content, engine))
    return Bar(
        base=[begin for begin, *_ in spans], x=[end - begin for begin, end, *_ in spans], y=[middle] * len(spans),
        orientation="h", width=0.8, marker={"opacity": 0}, customdata=[text for *_, text in spans],
        hovertemplate="%{customdata}<extra></extra>", name=LANES[engine],
    )  # fmt: skip


def _stretches(content: Mapping[str, Any], engine: str) -> Iterator[tuple[int, int, int, str]]:
    """First cycle, cycle behind the last, layer and words of every stretch in which an engine is in one layer."""
    found = content["engines"][engine]
    for layer, stretch in groupby(found["intervals"], key=lambda one: one[2]):
        intervals = list(stretch)
        begin, end = intervals[0][0], intervals[-1][1]
        cycles: Counter[str] = Counter()
        for first, last, _, state in intervals:
            cycles[found["states"][state]] += last - first
        of_layer = "" if engine in ("memory", "tables") else f" in {content['layers'][layer]}"
        parts = (f"{LANES[engine]}{of_layer}", f"cycles {begin:,} to {end:,}", *_spent(engine, cycles))
        yield begin, end, layer, "<br>".join(parts)


def _spent(engine: str, cycles: Counter[str]) -> Iterator[str]:
    for state, count in cycles.items():
        yield f"{_state(engine, state)}: {count:,}"


def _state(engine: str, state: str) -> str:
    """What a state is called."""
    if state == WORKS:
        return "works"
    cause = CAUSES[engine][state]
    return "begins or ends a layer" if cause == "other" else f"waits for {LANES[cause]}"


def _sums(content: Mapping[str, Any], engine: str) -> Counter[str]:
    """Cycles of an engine by state, over all layers."""
    return sum(layer_sums(content, engine).values(), Counter())


def _rows(content: Mapping[str, Any]) -> Iterator[tuple[str, str, int, str]]:
    for engine, name in LANES.items():
        for state, cycles in _sums(content, engine).items():
            yield name, _state(engine, state), cycles, f"{cycles / content['cycles']:.1%}"


def _see(content: Mapping[str, Any]) -> str:
    array = _sums(content, "array")
    waits = {state: cycles for state, cycles in array.items() if state not in (WORKS, "other")}
    longest = max(waits, key=lambda state: waits[state], default="")
    closed = max((drawable(found)[1] for engine in LANES for _, found in _by_state(content, engine)), default=1)
    coarse = f" Gaps of fewer than {closed} cycles are not drawn." if closed > 1 else ""
    most = f", and waits longest for {LANES[CAUSES['array'][longest]]}: {waits[longest]:,}" if waits else ""
    return (
        f"The array works in {array[WORKS]:,} of {content['cycles']:,} cycles{most}. Upper bars are work, in another "
        "shade from layer to layer; lower bars are waiting, in the colour of the engine that is waited for. Drag over "
        f"cycles to see them larger, double-click for all.{coarse}"
    )


def _words(content: Mapping[str, Any]) -> str:
    engines = []
    for engine, name in LANES.items():
        sums = ", ".join(f"{_state(engine, state)} {cycles:,}" for state, cycles in _sums(content, engine).items())
        engines.append(f"{name}: {sums or 'does nothing'}")
    return f"Lanes of the engines over {content['cycles']:,} cycles of one image. {'; '.join(engines)}."
