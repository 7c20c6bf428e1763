"""`spikeloom docs`: the generated part of the documentation."""

from __future__ import annotations

from pathlib import Path

import click

from spikeloom.commands.common import console, shown
from sw.checkout import ROOT

REFERENCE = ROOT / "docs" / "registers.md"
"""The generated tables."""

MODELS = ROOT / "models"
"""Folder of the committed models, each with the log of its training and the curve drawn from that."""


@click.command()
@click.option("--check", is_flag=True, help="Only say whether the files are up to date.")
def docs(check: bool) -> int:
    """Write what is generated: the reference tables (docs/registers.md) and the learning curves of models/."""
    from sw.files import write_atomically

    outdated = 0
    for path, content in generated().items():
        if check:
            current = path.is_file() and path.read_bytes() == content
            console.print(f"{shown(path)} is {'up to date' if current else 'out of date: run spikeloom docs'}")
            outdated += not current
        else:
            write_atomically(path, content)
            console.print(shown(path))
    return int(outdated > 0)


def generated() -> dict[Path, bytes]:
    """Every generated file and what it should hold."""
    from spikeloom.commands.reference import reference
    from sw.artifact.file import SUFFIX, load
    from sw.files import picture
    from sw.training.run.log import curve, read_log

    files = {REFERENCE: reference().encode()}
    for log in sorted(MODELS.glob("*.csv")):
        title = f"{log.stem}, {load(log.with_suffix(SUFFIX)).weight_bits}-bit weights"
        files[log.with_suffix(".png")] = picture(curve(read_log(log), title))
    return files
