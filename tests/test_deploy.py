"""What docs/deploy.md shows of the simulated board is so."""

from __future__ import annotations

import re

from sw.checkout import ROOT

DEPLOY = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def test_the_lines_of_python_run_on_the_simulated_board(monkeypatch, capsys):
    section = DEPLOY.partition("## The host's driver\n")[2]
    program, shown = re.search(r"```python\n(.*?)```\n\nprints\n\n```text\n(.*?)```", section, re.DOTALL).groups()
    monkeypatch.chdir(ROOT)
    exec(compile(program, "docs/deploy.md", "exec"), {})
    assert capsys.readouterr().out == shown
