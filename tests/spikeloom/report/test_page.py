"""The report's page: one file, whose every text is text, in colours that can be seen."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from plotly.graph_objects import Bar, Figure

from spikeloom import cli
from spikeloom.report.page import cell, page, render
from spikeloom.report.section import Exhibit, Picture, Plot, Section, Table
from spikeloom.report.style import COLOURS, ON_COLOURS, ON_SCALE, SCALE, SERIES
from spikeloom.report.summary import summary

HOSTILE = """<img src=x onerror=alert(1)></script><script>alert("2")</script> {{ 7 * 7 }} &amp; 'x' ü"""


class Texts(HTMLParser):
    """Texts of a page, and its elements with their attributes."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_names_of_users_are_text_and_never_markup(inputs):
    rows = ((HOSTILE, 1), ("x", 2))
    exhibits = (
        Exhibit("a", HOSTILE, HOSTILE, Table((HOSTILE, "n"), rows), table=Table(("h",), ((HOSTILE,),))),
        Exhibit("b", "b", "b", Plot(Figure(Bar(x=[1, 2], y=[HOSTILE, "</script>"], name=HOSTILE))), HOSTILE),
        Exhibit("c", "c", "c", (Picture(np.zeros((2, 3), np.uint8), HOSTILE, HOSTILE),)),
    )
    head = replace(summary(inputs.compare), title=HOSTILE, verdict=HOSTILE, first=HOSTILE)
    html = render(head, [Section("s", HOSTILE, exhibits), Section("m", "m", (), HOSTILE)])
    found = Texts(html)
    (image,) = (attributes for tag, attributes in found.elements if tag == "img")
    assert image["alt"] == HOSTILE and (image["width"], image["height"]) == ("222", "148")
    scripts = [attributes for tag, attributes in found.elements if tag == "script"]
    assert scripts == [{"type": "application/json"}, {}, {}]
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert found.texts.count(HOSTILE) >= 8
    drawn = json.loads(next(text for text in found.texts if text.startswith('{"data"')))
    assert drawn["data"][0]["y"] == [HOSTILE, "</script>"] and drawn["data"][0]["name"] == HOSTILE


def test_a_section_without_inputs_says_what_to_run(inputs):
    html = render(summary(inputs.compare), [Section("resources", "Resources", (), "make synth CONFIG=base")])
    assert "make synth CONFIG=base" in Texts(html).texts
    assert "Plotly.newPlot" not in html, "no plots, no script"


def test_a_section_with_nothing_to_show_is_left_out(inputs):
    html = render(summary(inputs.compare), [Section("difference", "Difference", ())])
    assert "Difference" not in Texts(html).texts


def test_the_page_refers_to_nothing_outside_itself(inputs):
    html = page(inputs)
    found = Texts(html)
    named = [value for _, attributes in found.elements for key, value in attributes.items() if key in ("src", "href")]
    assert named and all(value.startswith(("#", "data:")) for value in named)
    assert [tag for tag, _ in found.elements if tag in ("link", "iframe", "object", "base")] == []
    anchors = {attributes["id"] for _, attributes in found.elements if "id" in attributes}
    assert {value[1:] for value in named if value.startswith("#")} <= anchors


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (1234567, "1,234,567"), (1234.5, "1,234"), (0.12345, "0.123"), (3.0, "3"), ("x", "x")],
)
def test_cells_are_written_as_elsewhere(value, text):
    assert cell(value) == text


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_of_data_can_be_seen_on_light_and_dark():
    css = (Path(cli.__file__).parent / "report" / "templates" / "style.css").read_text()
    cards = [line.split("--card: ")[1][:7] for line in css.splitlines() if "--card: " in line]
    assert len(cards) == 2
    for colour in {*SERIES, *COLOURS.values()}:
        assert all(contrast(colour, card) >= 3 for card in cards), colour
    assert all(contrast(ON_SCALE, colour) >= 4.5 for _, colour in SCALE)
    assert all(contrast(ON_COLOURS, colour) >= 4.5 for colour in (*SERIES, *COLOURS.values()))
