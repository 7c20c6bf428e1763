"""`spikeloom split` and `join`: checkpoints for places that take small files only."""

from __future__ import annotations

from pathlib import Path

import click

from spikeloom.commands.common import console, shown
from sw.outputs import OUTPUT_FILE, OUTPUT_FOLDER


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=OUTPUT_FOLDER, help="Folder.  [default: beside the file]")
def split(file: Path, out: Path | None) -> None:
    """Cut FILE, such as a checkpoint, into parts below 16 MB and an index FILE.parts with its checksum."""
    from sw.training import parts

    for path in parts.split(file, out):
        console.print(shown(path))


@click.command()
@click.argument("index", type=click.Path(path_type=Path))
@click.option("--out", type=OUTPUT_FILE, help="File.  [default: beside the index]")
def join(index: Path, out: Path | None) -> None:
    """Put the file together whose parts INDEX (FILE.parts) lists, and verify its checksum."""
    from sw.training import parts

    console.print(shown(parts.join(index, out)))
