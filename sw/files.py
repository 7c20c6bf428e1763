"""Writing files whole or not at all, and reading small ones."""

from __future__ import annotations

import errno
import io
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from sw.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_FREE = 1 << 20
"""Bytes; with less than that a disk is full for the purposes of this program."""


def is_full(place: Path) -> bool:
    """Whether the disk of a folder, if that exists, is full."""
    try:
        return shutil.disk_usage(place).free < LEAST_FREE
    except OSError:
        return False


def check_room(folder: Path) -> None:
    """Raise the OSError of a full disk if that of `folder` is: for work of programs that do not say so."""
    if is_full(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(folder))


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that it is either there whole or not there at all, also after a power cut.

    Parameters
    ----------
    path : Path
        Its folder is made if it is missing.
    content : bytes or str
        A string is written as UTF-8.

    Raises
    ------
    OSError
        If it cannot be written; what was at `path` before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename is None:  # of a write: the disk is full
            error.filename = os.fspath(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def picture(figure: Figure) -> bytes:
    """A figure as PNG without a date; dollar signs in its texts are those of names, and begin no formula."""
    from matplotlib.text import Text  # slow to import

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def write_picture(path: Path, figure: Figure) -> None:
    """Write a figure, as `picture` gives it."""
    write_atomically(path, picture(figure))


def read_small_text(path: Path, most: int) -> str:
    """Text of a file of settings, in UTF-8.

    Raises
    ------
    ValueError
        If it has more than `most` bytes, or is no UTF-8.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise ValueError(f"larger than {most:,} bytes")
    return content.decode()


def write_asked_for(path: Path, content: bytes | str) -> None:
    """As `write_atomically`, for a file that a user has asked for.

    Raises
    ------
    UserError
        In a line of file, reason and remedy, if it cannot be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot write ({error.strerror}); free space or choose a writable folder") from error
