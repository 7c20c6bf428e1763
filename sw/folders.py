"""Folders of generated files that appear whole or not at all, and never take another's files with them."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from sw.claims import scratch
from sw.errors import UserError
from sw.files import write_atomically

MANIFEST = "MANIFEST"
"""Lists what was written, a path a line: anything else in the folder is somebody else's."""


def check_replaceable(folder: Path) -> None:
    """Refuse a folder that holds more than an earlier `write_folder` has put there.

    Raises
    ------
    UserError
        Naming a file.
    """
    if not folder.exists():
        return
    manifest = folder / MANIFEST
    listed = manifest.read_text(encoding="utf-8", errors="replace").splitlines() if manifest.is_file() else []
    known = {MANIFEST, *listed}
    for path in sorted(folder.rglob("*")):
        if not path.is_dir() and path.relative_to(folder).as_posix() not in known:
            raise UserError(
                f"{folder} holds {path.relative_to(folder)}, which was not written by this command: "
                "move or delete it, or choose another place"
            )


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write a folder: whole under another name, then renamed; an earlier one goes.

    Parameters
    ----------
    folder : Path
        Refused as by `check_replaceable`.
    files : mapping of str to str
        Text by path in the folder.

    Raises
    ------
    UserError
        If there is something else, or another process has just written it.
    """
    folder = folder.resolve()  # neither a link nor the current folder is renamed
    with scratch(folder.parent, f".{folder.name}-") as temporary:
        new = temporary / "new"
        for path, text in {**files, MANIFEST: "".join(f"{path}\n" for path in files)}.items():
            write_atomically(new / path, text)
        check_replaceable(folder)
        if folder.exists():
            folder.rename(temporary / "old")
        try:
            new.rename(folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise UserError(f"{folder} has been written by another process meanwhile: run this again") from error
            raise
