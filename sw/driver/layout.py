"""Where a host puts program, images and result records in the memory of an accelerator."""

from __future__ import annotations

from dataclasses import dataclass

from hw.host.registers import RECORD_LINE_WORDS
from hw.integers import ceil_div
from sw.errors import UserError

PAGE_BYTES = 4096
"""Program and images begin at multiples of it: so their reads are cut into bursts as the cycle model has it."""

BUFFERS = 2
"""Images at a time: the accelerator reads one, the host writes the next."""


@dataclass(frozen=True)
class MemoryLayout:
    """Byte addresses, as the accelerator sees them.

    Attributes
    ----------
    program : int
    images, records : tuple of int
        Buffers that are used in turn: of packed images, and of the result records of their jobs.
    """

    program: int
    images: tuple[int, ...]
    records: tuple[int, ...]


def lay_out(
    memory_address: int, memory_bytes: int, *, program_bytes: int, image_bytes: int, record_bytes: int
) -> MemoryLayout:
    """Lay out a memory: two buffers, or one where there is no room for two.

    Parameters
    ----------
    memory_address, memory_bytes : int
        Where the memory is, as the accelerator sees it, and how large.
    program_bytes, image_bytes, record_bytes : int
        Sizes of the program, of a packed image and of a result record.

    Raises
    ------
    UserError
        If they do not fit; names what they need and what there is.
    """
    program, image = (ceil_div(size, PAGE_BYTES) * PAGE_BYTES for size in (program_bytes, image_bytes))
    record = ceil_div(record_bytes, 4 * RECORD_LINE_WORDS) * 4 * RECORD_LINE_WORDS
    first = ceil_div(memory_address, PAGE_BYTES) * PAGE_BYTES
    there = memory_address + memory_bytes - first
    buffers = next((count for count in range(BUFFERS, 0, -1) if program + count * (image + record) <= there), None)
    if buffers is None:
        raise UserError(
            f"the network needs {program + image + record:,} bytes of memory (program {program_bytes:,}, an image "
            f"{image_bytes:,}, a result {record_bytes:,}), there are {max(there, 0):,} behind 0x{first:X}: "
            "use a smaller network or a board with more memory"
        )
    behind = first + program + buffers * image
    return MemoryLayout(
        program=first,
        images=tuple(first + program + number * image for number in range(buffers)),
        records=tuple(behind + number * record for number in range(buffers)),
    )
