"""The report as one HTML file: sections in the reader's order, with everything they need inside."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Picture, Plot, Section, Table
from spikeloom.report.style import SERIES
from spikeloom.report.summary import Summary, summary

SECTIONS = (
    "verdict", "mismatch", "accuracies", "timeline", "cycles", "energy", "stem", "attention_maps", "rasters", "firing",
    "resources", "models", "training", "bench",
    "provenance",
)  # fmt: skip
"""Modules of `spikeloom.report.sections`, in the order of the page."""

TEMPLATES = Path(__file__).parent / "templates"

PICTURE_SIDE, SMALL_SIDE = 224, 150
"""Pixels on the page that the longer side of a picture is enlarged to, by a whole factor: of few, and of many."""

FEW_PICTURES = 4

NAME = re.compile(r"[a-z][a-z0-9-]*")

NUMBER = re.compile(r"[-+]?[\d.,]+ ?%?|-")
"""Cells that end at the right."""


def page(inputs: Inputs) -> str:
    """Make the page of one comparison.

    Parameters
    ----------
    inputs : Inputs

    Returns
    -------
    str
        HTML that refers to nothing outside itself.
    """
    return render(summary(inputs.compare), sections_of(inputs))


def sections_of(inputs: Inputs) -> list[Section]:
    """Every section of one comparison, in the order of the page."""
    return [import_module(f"spikeloom.report.sections.{name}").section(inputs) for name in SECTIONS]


def render(head: Summary, sections: Sequence[Section]) -> str:
    """Write sections as HTML; those with nothing to show and nothing missing are left out.

    Parameters
    ----------
    head : Summary
    sections : sequence of Section
    """
    from plotly.offline import get_plotlyjs

    shown = [section for section in sections if section.exhibits or section.missing]
    names = [name for section in shown for name in (section.name, *(exhibit.name for exhibit in section.exhibits))]
    assert len(set(names)) == len(names) and all(NAME.fullmatch(name) for name in names), names
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(cell=cell, png=png, scale=scale, plot=plot)
    environment.tests.update(
        plot=lambda content: isinstance(content, Plot), table=lambda content: isinstance(content, Table)
    )
    environment.globals.update(numeric=numeric_columns, text=_text)
    plots = any(isinstance(exhibit.content, Plot) for section in shown for exhibit in section.exhibits)
    return environment.get_template("page.html.j2").render(
        head=head, sections=shown, series=SERIES, plotly=Markup(get_plotlyjs()) if plots else ""
    )


def _text(name: str) -> Markup:
    """A file beside the template, our own, as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def cell(value: str | int | float | None) -> str:
    """A table's cell: thousands separators, three significant digits of a fraction, a dash for None."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"
    return value


def numeric_columns(table: Table) -> list[bool]:
    """Which columns hold nothing but numbers."""
    columns = zip(*table.rows, strict=True) if table.rows else ((),) * len(table.columns)
    return [all(NUMBER.fullmatch(cell(value)) for value in column) for column in columns]


def png(picture: Picture) -> str:
    """The pixels as a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture.pixels)).save(buffer, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def scale(picture: Picture, together: int) -> int:
    """How many times larger a picture is drawn that stands among so many."""
    height, width = picture.pixels.shape[:2]
    return max(1, (PICTURE_SIDE if together <= FEW_PICTURES else SMALL_SIDE) // int(max(height, width)))


def plot(exhibit: Exhibit) -> Markup:
    """Data and layout of a plot as JSON that may stand in a script element."""
    assert isinstance(exhibit.content, Plot)
    figure = json.loads(exhibit.content.figure.to_json())
    figure["layout"].pop("template", None)  # plotly's own colours
    text = json.dumps({"data": figure["data"], "layout": figure["layout"]}, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))
