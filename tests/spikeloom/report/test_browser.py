"""The report in a real browser: opened from disk, on a desk and on a phone, light and dark, by keyboard."""

from __future__ import annotations

import os
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from plotly.graph_objects import Bar, Figure

from spikeloom.report.page import render, sections_of
from spikeloom.report.section import Exhibit, Plot, Section
from spikeloom.report.summary import summary
from spikeloom.report.words import plain

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH (Debian: apt install chromium)")

FLAGS = [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--disable-component-update",
]  # fmt: skip
"""Nothing that a fresh Chromium would fetch or draw on."""

SIZES = {"desk": (1280, 900), "phone": (390, 844)}

NAME = '<a href="x">x</a> & &lt; <b>y</b>'
"""Of a model or a file of images, say."""

TIMEOUT_MS = 120_000
"""For a machine that is busy with other tests: it only bounds a failure."""

AXE = (files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8")
"""Rules of accessibility that a program can check."""

MARKS = """
() => [...document.querySelectorAll(".plot")].map((plot) => [
    plot.closest("article").id,
    [...plot.querySelectorAll(".point, .heatmaplayer image, .treemaplayer .slice, .scatterlayer path")]
        .filter((mark) => mark.getBoundingClientRect().width > 0 || mark.getBoundingClientRect().height > 0).length,
])
"""

FOCUSABLE = "a[href], summary, button, [tabindex='0']"


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *sandbox])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def file(inputs, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    figure = Figure(Bar(x=[1, 2], y=[plain(NAME), "z"], orientation="h"))
    named = Exhibit("names-of-users", NAME, "Two bars.", Plot(figure), NAME)
    sections = [*sections_of(inputs), Section("names", NAME, (named,))]
    path.write_text(render(summary(inputs.compare), sections), encoding="utf-8")
    return path


class Opened:
    """A page with every plot drawn.

    Attributes
    ----------
    page : Page
    said : list of str
        What it wrote to the console.
    asked : list of str
        What it requested.
    """

    def __init__(self, browser: Browser, file: Path, size: str, scheme: str):
        (width, height), phone = SIZES[size], size == "phone"
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme, is_mobile=phone, has_touch=phone
        )
        self.page.set_default_timeout(TIMEOUT_MS)
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-drawn]")


@pytest.fixture(scope="module")
def desk(browser, file) -> Opened:
    return Opened(browser, file, "desk", "light")


@pytest.fixture(scope="module")
def phone(browser, file) -> Opened:
    return Opened(browser, file, "phone", "dark")


def ink(page: Page) -> set[str]:
    """Colours of the plots' figures, and of the page's text, which they should be."""
    return set(
        page.evaluate(
            "() => [getComputedStyle(document.body).color,"
            " ...[...document.querySelectorAll('.plot .ytick text')].map((text) => getComputedStyle(text).fill)]"
        )
    )


@pytest.mark.parametrize(("size", "other"), [("desk", "dark"), ("phone", "light")])
def test_the_page_is_whole_and_quiet_on_a_desk_and_on_a_phone(request, file, size, other):
    opened: Opened = request.getfixturevalue(size)
    page = opened.page
    marks = dict(page.evaluate(MARKS))
    assert len(marks) >= 6 and all(marks.values()), marks
    first = ink(page)
    assert len(first) == 1, "figures in the plots have the colour of the text"
    page.emulate_media(color_scheme=other)
    page.wait_for_function("() => getComputedStyle(document.querySelector('.plot .ytick text')).fill"
                           " === getComputedStyle(document.body).color")  # fmt: skip
    assert len(ink(page)) == 1 and ink(page) != first
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0], "the page scrolls sideways"
    page.evaluate(AXE)
    violations = page.evaluate("async () => (await axe.run()).violations")
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in violations] == []
    assert opened.said == [] and opened.asked == [file.as_uri()]


def test_the_keyboard_reaches_everything_and_opens_tables(desk):
    page = desk.page
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = false; })")
    page.evaluate(f"[...document.querySelectorAll({FOCUSABLE!r})].forEach((one, n) => {{ one.dataset.stop = n; }})")
    stops = page.locator("[data-stop]").count()
    page.locator(".skip").focus()
    reached = ["0"]
    for _ in range(1, stops):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.dataset.stop"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is seen"
    assert reached == [str(number) for number in range(stops)] and stops > 10
    page.locator("summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.evaluate("(details) => details.open")
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    assert desk.said == []


def test_a_users_name_is_text_in_plots_too(desk):
    names = desk.page.locator("#names-of-users .ytick text")
    assert names.all_text_contents() == [NAME, "z"]
    assert desk.page.locator(".plot a").count() == 0
