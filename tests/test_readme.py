"""What README.md shows is so: its lines of Python run as they stand, from the checkout."""

from __future__ import annotations

from sw.checkout import ROOT
from tests.documented import blocks_of, run_page

README = ROOT / "README.md"


def test_the_lines_of_python_run():
    (program,) = (block for block in blocks_of(README) if block.language == "python")
    assert len(program.text.splitlines()) <= 15
    run_page(README, ROOT, languages=("python",))


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 130
