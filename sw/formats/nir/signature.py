"""What a file of NIR begins with: here alone, for who only asks needs none of its packages."""

from __future__ import annotations

from pathlib import Path

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""First bytes of every HDF5 file."""


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does, and NIR with it; no other file of weights that is read here does."""
    try:
        if not path.is_file():  # a pipe might never begin
            return False
        with path.open("rb") as stream:
            return stream.read(len(SIGNATURE)) == SIGNATURE
    except (OSError, ValueError):  # ValueError: a byte of 0 in the path
        return False
