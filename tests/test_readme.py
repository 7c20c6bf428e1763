"""What README.md shows is so: its lines of Python run as they stand, from the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from sw.checkout import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_lines_of_python_run():
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(program.splitlines()) <= 15
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    (shown,) = re.findall(r"```python\n.*?```\n\nprints\n\n```text\n(.*?)```", README, re.DOTALL)
    assert result.stdout == shown


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 130
