"""The tutorials run as they stand, in a copy of the checkout, and print what they show."""

from __future__ import annotations

import pytest

from sw.checkout import ROOT
from tests.documented import copy_of_checkout, run_page

LONG = "<!-- long -->"
"""In a page that takes longer than the suite has."""

PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


def _marks(page):
    return [pytest.mark.long] if LONG in page.read_text(encoding="utf-8") else []


@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem, marks=_marks(page)) for page in PAGES])
def test_what_a_tutorial_shows_is_so(page, tmp_path):
    run_page(page, copy_of_checkout(tmp_path / "spikeloom"))
