"""Runs a page of the documentation as its reader would, and compares what it shows with what is printed.

Blocks run in order. Those of ``python`` share their names; a ``text`` block below one, with nothing or "prints" between
them, is what it prints. In those of ``console`` a line behind ``$ `` is run by bash, and the lines below it, up to the
next such line, are what it prints, on either stream; where nothing is shown anything may be printed. A block below a
line that ends with a file's name, as in "`mine.json`:", is written to that file. In what is shown ``...`` stands for
anything, as in doctest.
"""

from __future__ import annotations

import difflib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sw.checkout import BUILD, ROOT

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"`([\w/-]+\.\w+)`:\n\n\Z")
EXCERPT = re.compile(r"<!-- excerpt .* -->\n\Z")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes
    ----------
    where : str
        Page and line.
    language, text : str
    before : str
        What stands between the block before and this one.
    """

    where: str
    language: str
    text: str
    before: str

    def commands(self) -> Iterator[tuple[str, str]]:
        """Commands of a console, each with what is shown below it."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            yield command, shown


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page."""
    text, end, blocks = page.read_text(encoding="utf-8"), 0, []
    for match in BLOCK.finditer(text):
        where = f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}"
        blocks.append(Block(where=where, language=match[1], text=match[2], before=text[end : match.start()]))
        end = match.end()
    return blocks


def run_page(page: Path, folder: Path, *, languages: Collection[str] = ("python", "console")) -> None:
    """Run the blocks of a page in a folder, those of some languages.

    Raises
    ------
    AssertionError
        Naming page and line, if something else is printed than shown, or a command fails.
    """
    blocks, names = blocks_of(page), dict[str, Any](__name__="__main__")
    for number, block in enumerate(blocks):
        if EXCERPT.search(block.before):
            continue
        if name := FILE_NAME.search(block.before):
            (folder / name[1]).write_text(block.text, encoding="utf-8")
        elif block.language not in languages:
            continue
        elif block.language == "python":
            printed = _run_python(block, names, folder)
            below = blocks[number + 1] if number + 1 < len(blocks) else None
            if below and below.language == "text" and below.before.strip() in ("", "prints"):
                _compare(block.where, below.text, printed)
        elif block.language == "console":
            for command, shown in block.commands():
                printed = _run_command(block, command, folder)
                if shown:
                    _compare(f"{block.where}: {command}", shown, printed)


def copy_of_checkout(folder: Path) -> Path:
    """Make a checkout like this one, with its environment and its simulators; the folder.

    What is changed there is changed nowhere else, and nothing built there stays, but for simulators, which are kept by
    what they are made of.
    """
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "build", "cache", "__pycache__", "*.egg-info"))
    (folder / ".venv").symlink_to(sys.prefix)
    (BUILD / "sim").mkdir(parents=True, exist_ok=True)
    (folder / "build").mkdir()
    (folder / "build" / "sim").symlink_to(BUILD / "sim")
    return folder


def _run_python(block: Block, names: dict[str, Any], folder: Path) -> str:
    """What a block prints."""
    printed = io.StringIO()
    with chdir(folder), redirect_stdout(printed):
        exec(compile(block.text, block.where, "exec"), names)
    return printed.getvalue()


def _run_command(block: Block, command: str, folder: Path) -> str:
    """What a command prints."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "80", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=folder, env=environment, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert result.returncode == 0, f"{block.where}: {command}: exit code {result.returncode}\n{result.stdout}"
    return result.stdout


def _compare(where: str, shown: str, printed: str) -> None:
    """Let ``...`` match anything, and blanks at the end of lines."""
    shown, printed = ("".join(f"{line.rstrip()}\n" for line in text.splitlines()) for text in (shown, printed))
    if not doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS):
        lines = difflib.ndiff(shown.splitlines(), printed.splitlines())
        raise AssertionError(f"{where}: the page shows (-) what is not printed (+)\n" + "\n".join(lines))
