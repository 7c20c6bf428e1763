"""How the model was trained: accuracy and loss epoch by epoch, from the log beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Plot, Section, Table
from spikeloom.report.style import COLOURS, SERIES
from sw.checkout import ROOT
from sw.training.run.log import read_log

Stretch = tuple[str, float | None, Sequence[tuple[int, Mapping[str, Any]]]]
"""Phase, time steps, and number and row of every epoch in it: the curve of one network."""


def section(inputs: Inputs) -> Section:
    """The curve of the model's training, or how to train one."""
    model = ROOT / inputs.compare["provenance"]["model"]
    log = find_log(model, inputs.build)
    if log is None:
        return Section("training", "Training", (), "make train RECIPE=recipes/fashion-2-64.toml")
    rows = read_log(log)
    stretches = [
        (phase, timesteps, list(epochs))
        for (phase, timesteps), epochs in groupby(
            enumerate(rows, 1), key=lambda entry: (entry[1]["phase"], entry[1]["timesteps"])
        )
    ]
    ends = ", ".join(f"{_name(stretch)} {_last(stretch, 'test_accuracy')}" for stretch in stretches)
    exhibit = Exhibit(
        "training-curve",
        f"Training of {model.stem}",
        "Accuracy and loss after every epoch; a curve begins anew where another network does: behind the teacher, and "
        "where time steps or weights change.",
        Plot(_figure(stretches), height=520),
        f"Accuracy and loss over {len(rows)} epochs; on the test set in the end: {ends}.",
        _table(stretches),
    )
    return Section("training", "Training", (exhibit,))


def find_log(model: Path, build: Path) -> Path | None:
    """The log beside a model, or of a run in ``build/train`` of its name; None if there is none."""
    places = (model.with_suffix(".csv"), model.with_name("log.csv"), build / "train" / model.stem / "log.csv")
    return next((place for place in places if place.exists()), None)


def _figure(stretches: Sequence[Stretch]) -> Figure:
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.65, 0.35])
    curves = ((1, "test_accuracy", "test", SERIES[1]), (1, "train_accuracy", "training", SERIES[0]),
              (2, "train_loss", "training", SERIES[0]))  # fmt: skip
    for row, column, name, colour in curves:
        for number, stretch in enumerate(stretches):
            known = [(epoch, entry[column]) for epoch, entry in stretch[2] if entry[column] is not None]
            figure.add_trace(
                Scatter(
                    x=[epoch for epoch, _ in known], y=[value for _, value in known], name=name, legendgroup=name,
                    showlegend=row == 1 and number == 0, mode="lines+markers", marker={"size": 4},
                    line={"color": colour}, hovertemplate=f"{_name(stretch)}, epoch %{{x}}: %{{y}}",
                ),
                row=row, col=1,
            )  # fmt: skip
    for number, stretch in enumerate(stretches):
        first, last = stretch[2][0][0], stretch[2][-1][0]
        figure.add_vrect(
            x0=first - 0.5, x1=last + 0.5, fillcolor=COLOURS["wait"], opacity=(0.06, 0.18)[number % 2], line_width=0,
        )  # fmt: skip
        figure.add_annotation(
            x=(first + last) / 2, y=0, yref="y domain", yanchor="bottom", text=_name(stretch).replace(", ", "<br>"),
            showarrow=False,
        )  # fmt: skip
    figure.update_yaxes(title="accuracy, %", row=1)
    figure.update_yaxes(title="loss", row=2)
    figure.update_xaxes(title="epoch", row=2)
    figure.update_layout(hovermode="x unified")
    return figure


def _name(stretch: Stretch) -> str:
    phase, timesteps, _ = stretch
    return phase if timesteps is None else f"{phase}, T = {timesteps:.0f}"


def _last(stretch: Stretch, column: str) -> str | None:
    """The last accuracy of a stretch in a column, or None."""
    values = [entry[column] for _, entry in stretch[2] if entry[column] is not None]
    return f"{values[-1]:.2f} %" if values else None


def _table(stretches: Sequence[Stretch]) -> Table:
    columns = ("phase", "epochs", "last training loss", "training accuracy", "test accuracy", "test images")
    rows = []
    for stretch in stretches:
        last = stretch[2][-1][1]
        tested = last["test_images"]
        rows.append(
            (
                _name(stretch), len(stretch[2]), last["train_loss"], _last(stretch, "train_accuracy"),
                _last(stretch, "test_accuracy"), None if tested is None else int(tested),
            )
        )  # fmt: skip
    return Table(columns, tuple(rows))
