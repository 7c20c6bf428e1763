"""How registers are reached, and what those show that may be read at any time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

from hw.host.registers import Interrupt


class Bus(Protocol):
    """Access to the accelerator's 32-bit registers by byte address, and to its memory; an error in answer raises."""

    async def read(self, address: int) -> int:
        """Value of a register, unsigned."""
        ...

    async def write(self, address: int, value: int) -> None:
        """Write a register."""
        ...

    async def read_memory(self, address: int, count: int) -> bytes:
        """So many bytes of memory from an address on, as the accelerator sees it."""
        ...


@dataclass(frozen=True)
class DeviceStatus:
    """The STATUS register.

    Attributes
    ----------
    busy, done, error, ignored : bool
        A job runs, or a reset is under way; the last job has ended; it ended with an error; a start was ignored.
    """

    busy: bool
    done: bool
    error: bool
    ignored: bool = False


@dataclass(frozen=True)
class Snapshot:
    """What the registers show that may be read at any time.

    Attributes
    ----------
    status : DeviceStatus
    error : str
        Name of the `hw.host.registers.ErrorCause`.
    interrupts : Interrupt
        Pending ones.
    cycles, descriptors : int
        Of the job, so far: cycles go on while it runs, descriptors where it gets what it waits for.
    jobs : int
        Jobs ended since power-up.
    """

    status: DeviceStatus
    error: str
    interrupts: Interrupt
    cycles: int
    descriptors: int
    jobs: int

    def __str__(self) -> str:
        flags = [name.upper() for name, value in asdict(self.status).items() if value]
        return (
            f"STATUS {'|'.join(flags) or 0}, ERROR {self.error}, INTERRUPT_STATUS {self.interrupts.value}, "
            f"CYCLES {self.cycles}, DESCRIPTORS {self.descriptors}, JOBS {self.jobs}"
        )


class DeviceTimeout(TimeoutError):
    """The accelerator is still busy when the time that the caller gave it is over.

    Parameters
    ----------
    message : str
        What was waited for, how long, and what can be done.
    snapshot : Snapshot
        The registers at that time; part of the message.
    """

    def __init__(self, message: str, snapshot: Snapshot):
        super().__init__(f"{message} ({snapshot})")
        self.snapshot = snapshot
