"""An accelerator on a board that runs PYNQ: registers and memory by the `pynq` package."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np

from sw.errors import UserError

MEMORY_BYTES = 32 << 20
"""Contiguous memory that is asked for: more than any program of a named configuration needs."""

POLL_S = 0.0005
"""Between two looks at STATUS, where there is no event loop to wait for the interrupt in."""

IP_TYPE = ":spikeloom:"
"""Part of the type by which the hardware description names the accelerator."""


class PynqBus:
    """A `sw.driver.bus.Bus` over PYNQ's objects; its clock counts seconds.

    Parameters
    ----------
    registers : pynq.MMIO
        Of the accelerator.
    memory : PynqBuffer
        uint8, as `pynq.allocate` gives it; freed by `close`.
    interrupt : pynq.Interrupt, optional
        Its coroutines need an event loop. Without it `wait` sleeps and never suspends.
    """

    def __init__(self, registers: Any, memory: Any, interrupt: Any = None):
        self._registers, self._memory, self._interrupt = registers, memory, interrupt
        self.memory_address: int = memory.device_address
        self.memory_bytes: int = memory.nbytes

    async def read(self, address: int) -> int:
        """Value of a register."""
        return int(self._registers.read(address))

    async def write(self, address: int, value: int) -> None:
        """Write a register."""
        self._registers.write(address, int(value))

    async def read_memory(self, address: int, count: int) -> bytes:
        """Bytes of the memory from an address on, as the accelerator left them."""
        part = self._part(address, count)
        part.invalidate()
        return bytes(part)

    async def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to the memory, so that the accelerator sees them."""
        part = self._part(address, len(data))
        part[:] = np.frombuffer(data, np.uint8)
        part.flush()

    def _part(self, address: int, count: int) -> Any:
        """Bytes of the memory, whose cache is flushed alone: all of it would take milliseconds."""
        first = address - self.memory_address
        return self._memory[first : first + count]

    async def wait(self, timeout: float) -> None:
        """Until the interrupt, or for a moment, at most so many seconds."""
        if self._interrupt is None:
            time.sleep(min(timeout, POLL_S))
            return
        try:
            await asyncio.wait_for(self._interrupt.wait(), timeout)
        except TimeoutError:
            return

    def clock(self) -> float:
        """Seconds."""
        return time.monotonic()

    def close(self) -> None:
        """Free the memory."""
        self._memory.freebuffer()


def open_pynq(bitstream: Path, *, memory_bytes: int = MEMORY_BYTES, interrupts: bool = False) -> PynqBus:
    """Load a bitstream and reach the accelerator in it.

    Parameters
    ----------
    bitstream : Path
        ``.bit``, with the ``.hwh`` of the same name beside it.
    memory_bytes : int
        Contiguous memory to allocate.
    interrupts : bool
        Wait for the accelerator's interrupt in the event loop that awaits `Accelerator`'s methods, instead of looking
        at STATUS.

    Raises
    ------
    UserError
        If PYNQ is not installed, a file or the accelerator in it is missing, or there is not so much memory.
    """
    for path in (bitstream, bitstream.with_suffix(".hwh")):
        if not path.is_file():
            raise UserError(f"{path} is no file: a bitstream for PYNQ is a .bit with the .hwh of its name beside it")
    try:
        import pynq
    except ImportError:
        raise UserError("pynq is not installed: run this on the board, in the Python of its PYNQ image") from None
    overlay = pynq.Overlay(str(bitstream))
    found = [name for name, about in overlay.ip_dict.items() if IP_TYPE in about["type"]]
    if len(found) != 1:
        raise UserError(
            f"{bitstream} holds {len(found)} Spikeloom accelerators, not 1: load a bitstream of this project"
        )
    about, pin = overlay.ip_dict[found[0]], f"{found[0]}/interrupt"
    if interrupts and pin not in overlay.interrupt_pins:
        raise UserError(f"{bitstream} connects no interrupt to {pin}: wait without interrupts, or connect it")
    try:
        memory = pynq.allocate(shape=(memory_bytes,), dtype=np.uint8)
    except RuntimeError as error:
        raise UserError(
            f"{memory_bytes:,} bytes of contiguous memory cannot be had ({error}): ask for less, or reboot the board"
        ) from error
    registers = pynq.MMIO(about["phys_addr"], about["addr_range"])
    return PynqBus(registers, memory, pynq.Interrupt(pin) if interrupts else None)
