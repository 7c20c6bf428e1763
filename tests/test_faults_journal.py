"""The tests that docs/faults.md names as what holds a fault mended are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
JOURNAL = TESTS.parent / "docs" / "faults.md"


def test_every_test_that_the_journal_names_is_there():
    files = {path.stem for path in TESTS.rglob("test_*.py")}
    text = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    known = files | set(re.findall(r"^def (test_\w+)", text, re.MULTILINE))
    # A name may be cut, `test_a_full_disk_...`, and stands for those that begin so.
    named = set(re.findall(r"test_\w+", re.sub(r"test_\{[^}]*\}", "", JOURNAL.read_text())))
    assert len(named) > 50
    assert {name for name in named if not any(each.startswith(name) for each in known)} == set()
