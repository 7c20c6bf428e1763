"""How registers and memory are reached, and what those registers show that may be read at any time."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeVar

from hw.host.registers import Interrupt
from sw.errors import UserError

T = TypeVar("T")


class Bus(Protocol):
    """How an accelerator and its memory are reached.

    Its methods are coroutines: back ends that block never suspend, so that `run_blocking` runs them; in a simulation
    they await its triggers. An access that is answered with an error raises, a link that is dead a `UserError`.

    Attributes
    ----------
    memory_address : int
        Byte address, as the accelerator sees it, of the memory that the host may use.
    memory_bytes : int
        Its size.
    """

    memory_address: int
    memory_bytes: int

    async def read(self, address: int) -> int:
        """Value of the 32-bit register at a byte address, unsigned."""
        ...

    async def write(self, address: int, value: int) -> None:
        """Write a register."""
        ...

    async def read_memory(self, address: int, count: int) -> bytes:
        """So many bytes of memory from an address on, as the accelerator sees it."""
        ...

    async def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to memory from such an address on."""
        ...

    async def wait(self, timeout: float) -> None:
        """Until the interrupt, until it is worth looking at STATUS again, or so long, in the unit of `clock`."""
        ...

    def clock(self) -> float:
        """Time now: seconds, in a simulation its cycles."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


def run_blocking(coroutine: Coroutine[Any, Any, T]) -> T:
    """Result of a coroutine over a bus that blocks, for users without an event loop.

    Raises
    ------
    RuntimeError
        If it suspends: its bus waits in an event loop, where it has to be awaited.
    """
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("this bus waits in an event loop: await the coroutine there, or run it by asyncio.run")


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


class DeviceTimeout(UserError, TimeoutError):
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
