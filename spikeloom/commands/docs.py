"""`spikeloom docs`: the generated part of the documentation, and the site."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from spikeloom.commands.common import console, shown
from spikeloom.commands.project import run_child
from sw.checkout import BUILD, ROOT
from sw.claims import claimed

REFERENCE = ROOT / "docs" / "registers.md"
"""The generated tables."""

MODELS = ROOT / "models"
"""Folder of the committed models, each with the log of its training and the curve drawn from that."""

SITE = BUILD / "docs"
"""The site."""


@click.command()
@click.option("--check", is_flag=True, help="Only say whether the files are up to date.")
@click.option("--site", is_flag=True, help="Build the site too, into build/docs; a warning is an error.")
def docs(check: bool, site: bool) -> int:
    """Write what is generated: reference tables (docs/registers.md), code in docs/tutorials, curves of models/."""
    from sw.files import write_atomically

    if check and site:
        raise click.UsageError("--check writes nothing, so no --site")
    outdated = 0
    for path, content in generated().items():
        if check:
            current = path.is_file() and path.read_bytes() == content
            console.print(f"{shown(path)} is {'up to date' if current else 'out of date: run spikeloom docs'}")
            outdated += not current
        else:
            write_atomically(path, content)
            console.print(shown(path))
    return build_site() if site else int(outdated > 0)


def build_site() -> int:
    """Build the site of docs/ into `SITE`; 0, or 1 if Sphinx found something."""
    options = ["--quiet", "--fail-on-warning", "--conf-dir", "docs/site"]
    with claimed(SITE):
        code = run_child([sys.executable, "-m", "sphinx", *options, "docs", str(SITE)], extra="docs")
    if not code:
        console.print(shown(SITE / "index.html"))
    return int(code > 0)


def generated() -> dict[Path, bytes]:
    """Every generated file and what it should hold."""
    from spikeloom.commands.excerpts import PAGES, renewed
    from spikeloom.commands.reference import reference
    from sw.artifact.file import SUFFIX, load
    from sw.files import picture
    from sw.training.run.log import curve, read_log

    files = {REFERENCE: reference().encode()}
    files |= {page: renewed(page).encode() for page in sorted(PAGES.glob("*.md"))}
    for log in sorted(MODELS.glob("*.csv")):
        title = f"{log.stem}, {load(log.with_suffix(SUFFIX)).weight_bits}-bit weights"
        files[log.with_suffix(".png")] = picture(curve(read_log(log), title))
    return files
