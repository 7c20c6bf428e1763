"""Where a command is told to write: checked before its work, which may take hours, and remembered for a full disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from sw.errors import UserError

PLACES: list[Path] = []
"""Folders that this process was told to write to."""

RESERVED = 16
"""Bytes of a file name that its temporary needs beside the name itself."""


class OutputType(click.ParamType[Path]):
    """A file or a folder to write.

    Parameters
    ----------
    folder : bool
        Whether it is a folder.
    """

    def __init__(self, *, folder: bool = False):
        self._folder = folder
        self.name = "directory" if folder else "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Check the place, see `check_output`."""
        return check_output(Path(value), folder=self._folder)


OUTPUT_FILE = OutputType()
OUTPUT_FOLDER = OutputType(folder=True)


def check_output(path: Path, *, folder: bool = False) -> Path:
    """Refuse a place that cannot be written to, before anything is done for it.

    Parameters
    ----------
    path : Path
        It need not exist, nor its folder.
    folder : bool
        Whether it shall be a folder.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    UserError
        If something else is there, or a folder on the way is none or protected.
    """
    try:
        problem = _problem(path, folder)
    except OSError as error:
        problem = f"{(error.strerror or 'not possible').lower()}; choose another place"
    if problem is not None:
        raise UserError(f"{path} cannot be written: {problem}")
    PLACES.append(path if folder else path.parent)
    return path


def _problem(path: Path, folder: bool) -> str | None:
    if path.is_dir() and not folder:
        return "it is a folder; name a file"
    if path.is_file() and folder:
        return "it is a file; name a folder"
    if path.exists() and not path.is_file() and not path.is_dir():
        return "it is a device or pipe; name a file"  # it would be replaced, not written to
    candidates = (path, *path.absolute().parents) if folder else path.absolute().parents
    place = next(candidate for candidate in candidates if candidate.exists())
    if not place.is_dir():
        return f"{place} is a file; choose a path below a folder"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{place} is not writable for you; choose another place"
    if len(os.fsencode(path.name)) > (limit := os.pathconf(place, "PC_NAME_MAX") - RESERVED):
        return f"its name has more than {limit} bytes; choose a shorter one"
    return None
