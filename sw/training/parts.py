"""A large file in parts small enough for where large files do not go, and whole again."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

from hw.user_text import listed, quoted
from sw.errors import UserError
from sw.files import write_atomically
from sw.strict_json import read_json

PART_BYTES = 15 * 2**20
"""Largest part: below 16 MB."""


def split(path: Path, folder: Path | None = None) -> list[Path]:
    """Cut a file into parts.

    Parameters
    ----------
    path : Path
        The file; it stays.
    folder : Path, optional
        Where the parts go; by default beside it.

    Returns
    -------
    list of Path
        ``<name>.parts``, a JSON index with the parts' names and the file's SHA-256, then ``<name>.000`` and so on.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    folder = folder or path.parent
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a file") from error
    names = [f"{path.name}.{number:03d}" for number in range(max(1, math.ceil(len(content) / PART_BYTES)))]
    for number, name in enumerate(names):
        write_atomically(folder / name, content[number * PART_BYTES : (number + 1) * PART_BYTES])
    index = folder / f"{path.name}.parts"
    write_atomically(
        index, json.dumps({"sha256": hashlib.sha256(content).hexdigest(), "parts": names}, indent=2) + "\n"
    )
    return [index, *(folder / name for name in names)]


def join(index: Path, out: Path | None = None) -> Path:
    """Put a file together again.

    Parameters
    ----------
    index : Path
        ``<name>.parts``; the parts lie beside it.
    out : Path, optional
        The file to write; by default ``<name>`` beside the index.

    Returns
    -------
    Path
        The file, the same bytes as before.

    Raises
    ------
    UserError
        If the index or a part is missing or damaged; then nothing is written.
    """
    try:
        described = read_json(index)
        names, expected = [str(name) for name in described["parts"]], described["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = type(error).__name__
        raise UserError(f"{index} is not an index of parts ({reason}); name the file ending in .parts") from error
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        raise UserError(
            f"{len(missing)} of {len(names)} parts are missing beside {index}, first {listed(missing[:1])}; copy them"
        )
    content = b"".join((index.parent / name).read_bytes() for name in names)
    if (found := hashlib.sha256(content).hexdigest()) != expected:
        raise UserError(f"the parts of {index} have SHA-256 {found}, not {quoted(expected, 70)}; copy them again")
    out = out or index.with_suffix("")
    write_atomically(out, content)
    return out
