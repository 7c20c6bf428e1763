"""Arrays of an ``.npz`` file, checked before any memory is taken for them.

Such a file is a zip archive with an array in each member, and both claim sizes: the archive what a member unpacks to,
the array's header its shape. NumPy believes the header and allocates; here neither is believed before they agree with
each other and with the size of the file.
"""

from __future__ import annotations

import math
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hw.user_text import listed, quoted
from sw.errors import UserError

ALWAYS_ALLOWED = 1 << 28
"""Bytes that an array may have however small it is packed."""

LARGEST_RATIO = 100
"""Times its packed size that a larger array may have: images pack to a half, sparse event frames to a thirtieth."""


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Read arrays by name, of numbers only: nothing in the file is run.

    Parameters
    ----------
    path : Path
        As ``numpy.savez`` or ``numpy.savez_compressed`` writes it.
    names : sequence of str
        Arrays wanted; others in the file are not read.

    Raises
    ------
    UserError
        If the file cannot be read, is damaged, lacks an array, or an array claims more than the file can hold.
    """
    remedy = f"it must hold the arrays {' and '.join(names)} (numpy.savez)"
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read(archive, name) for name in names}
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"{path}: cannot be read ({reason}); check the path") from error
    except UserError as error:
        raise UserError(f"{path}: {error}; {remedy}") from error
    except zipfile.BadZipFile as error:
        raise UserError(f"{path}: not a whole .npz file; {remedy}") from error
    except (ValueError, TypeError, EOFError, NotImplementedError, RuntimeError, OverflowError, zlib.error) as error:
        # A damaged archive or header; NumPy's own words would advise to load unsafely.
        raise UserError(f"{path}: damaged ({type(error).__name__}); {remedy}") from error


def holds_array(path: Path, name: str) -> bool:
    """Whether a file is an archive with an array of that name; what else is wrong with it, `read_arrays` says."""
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{name}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _read(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    try:
        member = archive.getinfo(f"{name}.npy")
    except KeyError:
        found = listed(entry.removesuffix(".npy") for entry in archive.namelist()) or "nothing"
        raise UserError(f"no array {name}, it holds {found}") from None
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{name} is packed by method {member.compress_type}, not stored or deflated")
    most = max(ALWAYS_ALLOWED, LARGEST_RATIO * member.compress_size)
    if member.file_size > most:
        raise UserError(
            f"{name} unpacks to {member.file_size:,} bytes, of {member.compress_size:,} in the file at most {most:,}"
        )
    with archive.open(member) as stream:
        shape, dtype = _header(stream, name)
        if dtype.kind not in "biufc":
            raise UserError(f"{name} holds {'Python objects' if dtype.hasobject else quoted(str(dtype))}, not numbers")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != member.file_size - stream.tell():
            raise UserError(
                f"{name} claims shape {quoted(list(shape))} of {quoted(str(dtype))}, but "
                f"{member.file_size - stream.tell():,} bytes follow"
            )
    with archive.open(member) as stream:
        return npy.read_array(stream, allow_pickle=False)


def _header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and type that an array claims to have; the stream is at its first byte then."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise UserError(f"{name} has version {version[0]}.{version[1]} of NumPy's format, not 1.0 or 2.0")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, _, dtype = read(stream)
    except Exception as error:  # NumPy gives the header to Python's parser, which fails in ways of its own
        raise UserError(f"{name} has a damaged header") from error
    return shape, dtype
