"""Seals of cached files: a file that was cut short, by a full disk or a lost machine, is not taken for whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sw.files import write_atomically


def _seal(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(path: Path) -> None:
    """Say beside a finished file what its SHA-256 is."""
    write_atomically(_seal(path), _digest(path))


def is_whole(path: Path) -> bool:
    """Whether a file is there as it was when it was sealed."""
    try:
        return _seal(path).read_text() == _digest(path)
    except (OSError, UnicodeDecodeError):
        return False
