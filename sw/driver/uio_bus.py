"""An accelerator behind Linux's userspace I/O, with a contiguous buffer of u-dma-buf as its memory."""

from __future__ import annotations

import mmap
import os
import select
import time
from pathlib import Path

import numpy as np

from hw.host.registers import REGISTER_ADDRESS_BITS
from sw.errors import UserError

BUFFER_CLASSES = ("u-dma-buf", "udmabuf")
"""Folders of sysfs in which the kernel module shows its buffers; the second one is of older versions."""


class UioBus:
    """A `sw.driver.bus.Bus` over mapped files; it blocks, and its clock counts seconds.

    Parameters
    ----------
    registers : mmap
        The accelerator's registers from the first byte on.
    interrupt : int
        File that a 32-bit 1 is written to to enable the interrupt, and a count of 32 bits read from when it came.
    memory : mmap
        The buffer, not cached.
    memory_address : int
        Where the accelerator sees it.
    """

    def __init__(self, registers: mmap.mmap, interrupt: int, memory: mmap.mmap, memory_address: int):
        self._mapped, self._interrupt, self._memory = registers, interrupt, memory
        self._registers = np.frombuffer(registers, np.uint32)  # whole words: the accelerator refuses parts of them
        self.memory_address, self.memory_bytes = memory_address, len(memory)

    async def read(self, address: int) -> int:
        """Value of a register."""
        return int(self._registers[address // 4])

    async def write(self, address: int, value: int) -> None:
        """Write a register."""
        self._registers[address // 4] = value

    async def read_memory(self, address: int, count: int) -> bytes:
        """Bytes of the memory from an address on."""
        first = address - self.memory_address
        return self._memory[first : first + count]

    async def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to the memory."""
        first = address - self.memory_address
        self._memory[first : first + len(data)] = data

    async def wait(self, timeout: float) -> None:
        """Until the interrupt, or so many seconds."""
        os.write(self._interrupt, (1).to_bytes(4, "little"))
        if select.select([self._interrupt], [], [], timeout)[0]:
            os.read(self._interrupt, 4)

    def clock(self) -> float:
        """Seconds."""
        return time.monotonic()

    def close(self) -> None:
        """Unmap everything and close the device."""
        del self._registers
        self._mapped.close()
        self._memory.close()
        os.close(self._interrupt)


def open_uio(
    name: str, buffer: str = "udmabuf0", *, devices: Path = Path("/dev"), classes: Path = Path("/sys/class")
) -> UioBus:
    """Reach an accelerator whose bitstream is loaded.

    Parameters
    ----------
    name : str
        Its UIO device: ``uio0``, or the name that the device tree gives it.
    buffer : str
        The u-dma-buf whose memory it uses.
    devices, classes : Path
        Where the kernel shows devices, and what it says of them.

    Raises
    ------
    UserError
        If one of them is missing, too small or not the user's to open.
    """
    device = _device_named(name, classes / "uio")
    size = _number(classes / "uio" / device / "maps" / "map0" / "size")
    if size < (least := 1 << REGISTER_ADDRESS_BITS):
        raise UserError(f"{device} maps {size:,} bytes, the registers take {least:,}: mend its device tree node")
    about = next((path for one in BUFFER_CLASSES if (path := classes / one / buffer).is_dir()), None)
    if about is None:
        raise UserError(f"no buffer {buffer} below {classes / BUFFER_CLASSES[0]}: load u-dma-buf, or name another one")
    address, length = _number(about / "phys_addr"), _number(about / "size")
    interrupt = _opened(devices / device, os.O_RDWR | os.O_SYNC)
    try:
        registers = mmap.mmap(interrupt, size)
        file = _opened(devices / buffer, os.O_RDWR | os.O_SYNC)  # not cached: nothing to flush
        try:
            return UioBus(registers, interrupt, mmap.mmap(file, length), address)
        finally:
            os.close(file)
    except BaseException:
        os.close(interrupt)
        raise


def _device_named(name: str, folder: Path) -> str:
    """The UIO device of a name."""
    there = {path.name: (path / "name").read_text().strip() for path in sorted(folder.glob("uio*"))}
    for device, called in there.items():
        if name in (device, called):
            return device
    shown = ", ".join(f"{device} ({called})" for device, called in there.items()) or "none at all"
    raise UserError(f"no UIO device {name!r}, there is {shown}: load the device tree overlay, or name another one")


def _number(path: Path) -> int:
    """The number in a file of sysfs, decimal or hexadecimal."""
    try:
        return int(path.read_text(), 0)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} holds no number ({error}): check the driver's version") from error


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags)
    except OSError as error:
        raise UserError(
            f"{path} cannot be opened ({error.strerror}): run this as its owner, or check the name"
        ) from error
