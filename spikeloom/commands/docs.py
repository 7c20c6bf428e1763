"""`spikeloom docs`: the generated part of the documentation."""

from __future__ import annotations

import click

from spikeloom.commands.common import console, shown
from sw.checkout import ROOT

REFERENCE = ROOT / "docs" / "registers.md"
"""The generated file."""


@click.command()
@click.option("--check", is_flag=True, help="Only say whether the tables are up to date.")
def docs(check: bool) -> int:
    """Write the generated reference tables: registers, descriptors, configurations (docs/registers.md)."""
    from spikeloom.commands.reference import reference
    from sw.files import write_atomically

    text = reference()
    current = REFERENCE.read_text(encoding="utf-8") if REFERENCE.is_file() else None
    if check:
        console.print(f"{shown(REFERENCE)} is {'up to date' if text == current else 'out of date: run spikeloom docs'}")
        return int(text != current)
    write_atomically(REFERENCE, text)
    console.print(shown(REFERENCE))
    return 0
