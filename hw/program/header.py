"""What a program begins and ends with: a header beat, and the CRC-32 of all before it."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import data

from hw.host.registers import VERSION

PROGRAM_MAGIC = int.from_bytes(b"SPK", "little")
"""First three bytes of a program."""

PROGRAM_HEADER = data.StructLayout({"magic": unsigned(24), "version": unsigned(8), "length": unsigned(32)})
"""Lowest bits of a program's first beat; those above are 0. `length` counts the bytes of all of the program, header and
CRC included."""

HEADER_BEATS = 1
"""Beats in front of the first descriptor."""

CRC_BYTES = 4
"""The last bytes of a program: the CRC-32 (IEEE, ``zlib.crc32``) of all before them, little-endian."""


def encode_header(length: int) -> int:
    """The header of a program of so many bytes.

    Raises
    ------
    ValueError
        If `length` does not fit.
    """
    if not 0 < length < 1 << 32:
        raise ValueError(f"a program has 1 to {(1 << 32) - 1} bytes, not {length}")
    return PROGRAM_MAGIC | VERSION << PROGRAM_HEADER["version"].offset | length << PROGRAM_HEADER["length"].offset
