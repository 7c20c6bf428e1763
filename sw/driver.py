"""The host's side of the register bus: start a job, read what came out.

The same driver runs on a board (over whatever reaches the registers) and in simulation; only the `Bus` differs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from hw.registers import COUNTER_SLOTS, IDENTITY, REGISTERS, VERSION, Counter, ErrorCause

from .errors import UserError

_BUSY, _DONE, _ERROR = 1, 2, 4


class Bus(Protocol):
    """Access to the accelerator's 32-bit registers by word address."""

    async def read(self, address: int) -> int:
        """Value of a register, unsigned."""
        ...

    async def write(self, address: int, value: int) -> None:
        """Write a register."""
        ...


@dataclass(frozen=True)
class Status:
    """The STATUS register.

    Attributes
    ----------
    busy, done, error : bool
        A job runs; the last job has ended; it ended with an error.
    """

    busy: bool
    done: bool
    error: bool


@dataclass(frozen=True)
class LayerCounters:
    """Hardware counters of one descriptor, see `hw.registers.Counter`.

    Attributes
    ----------
    cycles, busy, stall_weights, stall_drain, spikes : int
    """

    cycles: int
    busy: int
    stall_weights: int
    stall_drain: int
    spikes: int


@dataclass(frozen=True)
class JobResult:
    """What one job left in the registers.

    Attributes
    ----------
    prediction : int
        Class with the largest logit.
    logits : tuple of int
        Signed logits, one per class.
    cycles : int
        Clock cycles of the job.
    error : str
        Name of the `hw.registers.ErrorCause`; ``NONE`` if the job ran to its end.
    layers : tuple of LayerCounters
        One per descriptor completed.
    """

    prediction: int
    logits: tuple[int, ...]
    cycles: int
    error: str
    layers: tuple[LayerCounters, ...]

    def to_dict(self) -> dict[str, Any]:
        """Fields as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> JobResult:
        """Inverse of `to_dict`."""
        layers = tuple(LayerCounters(**layer) for layer in fields["layers"])
        return cls(**{**fields, "logits": tuple(fields["logits"]), "layers": layers})


class Driver:
    """Runs jobs on an accelerator.

    Parameters
    ----------
    bus : Bus
        How its registers are reached.
    """

    def __init__(self, bus: Bus):
        self._bus = bus

    async def read(self, name: str, index: int = 0) -> int:
        """Value of a register, or of entry `index` of a window, by its name in the register map."""
        register = REGISTERS[name]
        if not 0 <= index < register.words:
            raise ValueError(f"{name} has entries 0 to {register.words - 1}, not {index}")
        return await self._bus.read(register.address + index)

    async def write(self, name: str, value: int) -> None:
        """Write a register by its name in the register map."""
        register = REGISTERS[name]
        if register.access != "rw":
            raise ValueError(f"{name} is read-only")
        if not 0 <= value < 1 << 32:
            raise ValueError(f"{name} holds 32 bits, not {value}")
        await self._bus.write(register.address, value)

    async def check(self) -> None:
        """Make sure that the device is this accelerator and speaks this version.

        Raises
        ------
        UserError
            If it does not.
        """
        identity = await self.read("IDENTITY")
        if identity != IDENTITY:
            raise UserError(f"no Spikeloom at this address: IDENTITY reads 0x{identity:08X}, not 0x{IDENTITY:08X}")
        version = await self.read("VERSION")
        if version != VERSION:
            raise UserError(
                f"the device has register map version {version}, this software version {VERSION}: "
                "use the software the bitstream was built with, or rebuild the bitstream"
            )

    async def status(self) -> Status:
        """What the accelerator is doing."""
        bits = await self.read("STATUS")
        return Status(bool(bits & _BUSY), bool(bits & _DONE), bool(bits & _ERROR))

    async def start(self, program: int, image: int) -> None:
        """Start a job.

        Parameters
        ----------
        program, image : int
            Beat addresses of the program and of the packed image in external memory.

        Raises
        ------
        RuntimeError
            If a job is running.
        """
        if (await self.status()).busy:
            raise RuntimeError("the accelerator is busy: wait for its job, or reset it")
        await self.write("PROGRAM_ADDRESS", program)
        await self.write("IMAGE_ADDRESS", image)
        await self.write("CONTROL", 1)

    async def result(self, classes: int) -> JobResult:
        """Read the outcome of a finished job.

        Parameters
        ----------
        classes : int
            Logits to read.
        """
        return JobResult(
            prediction=await self.read("PREDICTION"),
            logits=tuple([_signed(await self.read("LOGITS", index)) for index in range(classes)]),
            cycles=await self.read("CYCLES"),
            error=error_name(await self.read("ERROR")),
            layers=tuple([await self.counters(layer) for layer in range(await self.read("LAYERS"))]),
        )

    async def counters(self, layer: int) -> LayerCounters:
        """Counters of a completed descriptor."""
        values = {}
        for counter in Counter:
            values[counter.name.lower()] = await self.read("PROFILE", layer * COUNTER_SLOTS + counter)
        return LayerCounters(**values)


def error_name(code: int) -> str:
    """Name of an error cause; a number the map does not know stays a number."""
    try:
        return ErrorCause(code).name
    except ValueError:
        return f"UNKNOWN_{code}"


def _signed(word: int) -> int:
    return word - (1 << 32) if word >> 31 else word
