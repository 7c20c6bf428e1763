"""The host driver: start a job, wait for it, read what came out.

The same driver runs on a board (over whatever reaches the registers) and in simulation; only the `Bus` differs.
"""

from __future__ import annotations

import struct

from hw.config import HardwareConfig
from hw.external.memory_port import BYTE_ADDRESS_BITS
from hw.host.registers import (
    COUNTER_SLOTS,
    IDENTITY,
    RECORD_LINE_WORDS,
    REGISTERS,
    VERSION,
    Control,
    Counter,
    Interrupt,
    Status,
)
from hw.host.result_writer import record_lines
from hw.program.header import PROGRAM_HEADER
from sw.compiler.program import check_header
from sw.driver.bus import Bus, DeviceStatus, DeviceTimeout, Snapshot
from sw.driver.results import JobResult, LayerCounters, ResultRecord, error_name, signed
from sw.errors import UserError

FIRST_PAUSE, LONGEST_PAUSE = 1 / 1024, 1 / 8
"""Between two looks at STATUS, as shares of the timeout; each pause is twice the one before."""


def record_bytes(config: HardwareConfig) -> int:
    """Length of a result record."""
    return 4 * RECORD_LINE_WORDS * int(record_lines(config.max_classes))


async def built_fingerprint(bus: Bus) -> int:
    """Fingerprint of the configuration that a device was built from, if it is this accelerator in this version.

    Raises
    ------
    UserError
        If it is not.
    """
    identity = await bus.read(REGISTERS["IDENTITY"].address)
    if identity != IDENTITY:
        raise UserError(
            f"no Spikeloom at this address: IDENTITY reads 0x{identity:08X}, not 0x{IDENTITY:08X}: "
            "load the accelerator's bitstream, check the address"
        )
    version = await bus.read(REGISTERS["VERSION"].address)
    if version != VERSION:
        raise UserError(
            f"the device has register map version {version}, this software version {VERSION}: "
            "use the software the bitstream was built with, or rebuild the bitstream"
        )
    return await bus.read(REGISTERS["CONFIG"].address)


class Driver:
    """Runs jobs on an accelerator.

    Parameters
    ----------
    bus : Bus
        How its registers are reached; all timeouts are in the unit of its clock.
    config : HardwareConfig
        What it was built from; programs and images are compiled for it.
    """

    def __init__(self, bus: Bus, config: HardwareConfig):
        self._bus, self._config = bus, config

    async def read(self, name: str, index: int = 0) -> int:
        """Value of a register, or of entry `index` of a window, by its name in the register map."""
        register = REGISTERS[name]
        if not 0 <= index < register.words:
            raise ValueError(f"{name} has entries 0 to {register.words - 1}, not {index}")
        return await self._bus.read(register.address + 4 * index)

    async def write(self, name: str, value: int) -> None:
        """Write a register by its name in the register map."""
        register = REGISTERS[name]
        if register.access == "r":
            raise ValueError(f"{name} is read-only")
        if not 0 <= value < 1 << 32:
            raise ValueError(f"{name} holds 32 bits, not {value}")
        await self._bus.write(register.address, value)

    async def check(self) -> None:
        """Make sure that the device is this accelerator, speaks this version and was built from this configuration.

        Raises
        ------
        UserError
            If it does not.
        """
        fingerprint = await built_fingerprint(self._bus)
        if fingerprint != self._config.fingerprint:
            raise UserError(
                f"the device was built from another configuration: CONFIG reads 0x{fingerprint:08X}, that of "
                f"{self._config.name!r} is 0x{self._config.fingerprint:08X}: name the one it was built from"
            )

    async def check_program(self, program: int, program_bytes: int) -> None:
        """Make sure that a program begins there, of this version and of this length: before it is started first.

        The accelerator checks that, too, and of every job all bits of the program.

        Parameters
        ----------
        program : int
            Byte address of the program in external memory.
        program_bytes : int
            Its length, as it is to be told.

        Raises
        ------
        UserError
            If it does not.
        """
        check_header(await self._bus.read_memory(program, PROGRAM_HEADER.size // 8), program_bytes)

    async def set_watchdog(self, cycles: int) -> None:
        """End jobs with MEMORY_TIMEOUT or STALLED when nothing goes on for so many cycles; 0: never.

        The device begins with `hw.host.registers.WATCHDOG_CYCLES`. Fewer than memory's longest latency, or than a
        position tile or an attention job takes, end jobs that are well.
        """
        await self.write("WATCHDOG", cycles)

    async def status(self) -> DeviceStatus:
        """What the accelerator is doing."""
        bits = await self.read("STATUS")
        return DeviceStatus(*(bool(bits & bit) for bit in Status))

    async def snapshot(self) -> Snapshot:
        """All that may be read at any time, to see where a job is or hangs; changes nothing."""
        return Snapshot(
            status=await self.status(),
            error=error_name(await self.read("ERROR")),
            interrupts=Interrupt(await self.read("INTERRUPT_STATUS")),
            cycles=await self.read("CYCLES"),
            descriptors=await self.read("DESCRIPTORS"),
            jobs=await self.read("JOBS"),
        )

    async def wait(self, timeout: float) -> DeviceStatus:
        """Wait until no job runs, by the bus's `wait` and by STATUS: an interrupt that got lost costs some time only.

        Parameters
        ----------
        timeout : float
            How long, in the unit of the driver's clock; the last look comes after it. A job takes the cycles that
            `golden.cycles.cycle_model.predict_cycles` says, more where memory is slow.

        Returns
        -------
        DeviceStatus
            Whether it ended with an error.

        Raises
        ------
        DeviceTimeout
            If it still runs. It may be waited for again, or reset.
        ValueError
            If `timeout` is negative or not a number.
        """
        return await self._until_idle(
            timeout,
            f"the job has not ended after {timeout:g}: wait longer, reset it, or look at external memory",
        )

    async def _until_idle(self, timeout: float, message: str) -> DeviceStatus:
        _check_timeout(timeout)
        end = self._bus.clock() + timeout
        pause = timeout * FIRST_PAUSE
        while True:
            left = end - self._bus.clock()  # before the look: the last one is never older than the timeout
            status = await self.status()
            if not status.busy:
                return status
            if left <= 0:
                raise DeviceTimeout(message, await self.snapshot())
            await self._bus.wait(min(pause, left))
            pause = min(2 * pause, timeout * LONGEST_PAUSE)

    async def start(self, program: int, program_bytes: int, image: int, *, record: int | None = None) -> None:
        """Start a job.

        Parameters
        ----------
        program, image : int
            Byte addresses of the program and of the packed image in external memory, multiples of a beat.
        program_bytes : int
            Length of the program with its weights.
        record : int, optional
            Byte address of the result record, a multiple of 64; none is written without it.

        Raises
        ------
        RuntimeError
            If a job is running.
        ValueError
            If an address is not aligned or too large.
        """
        if (await self.status()).busy:
            raise RuntimeError("the accelerator is busy: wait for its job, or reset it")
        beat = self._config.memory_bits // 8
        await self._write_address("PROGRAM_ADDRESS", program, beat)
        await self.write("PROGRAM_BYTES", program_bytes)
        await self._write_address("IMAGE_ADDRESS", image, beat)
        if record is not None:
            await self._write_address("RESULT_ADDRESS", record, 4 * RECORD_LINE_WORDS)
        await self.write("RESULT_ENABLE", int(record is not None))
        await self.write("CONTROL", Control.START)

    async def _write_address(self, name: str, address: int, unit: int) -> None:
        if address % unit or not 0 <= address < 1 << BYTE_ADDRESS_BITS:
            raise ValueError(f"{name} must be a multiple of {unit} below 2^{BYTE_ADDRESS_BITS}, not 0x{address:X}")
        await self.write(f"{name}_LOW", address & 0xFFFF_FFFF)
        await self.write(f"{name}_HIGH", address >> 32)

    async def reset(self, timeout: float) -> None:
        """Stop the job under way, if any; its state and its interrupts are gone then.

        It takes some cycles, also with a memory that does not answer: what that still owes is waited for by the next
        job, which ends with MEMORY_TIMEOUT if it never comes.

        Parameters
        ----------
        timeout : float
            How long to wait, in the unit of the driver's clock.

        Raises
        ------
        DeviceTimeout
            If the accelerator is still busy then: its clock stands still, or that of the bus does.
        ValueError
            If `timeout` is negative or not a number.
        """
        _check_timeout(timeout)
        await self.write("CONTROL", Control.RESET)
        await self._until_idle(
            timeout,
            f"after {timeout:g} the reset is not over, which takes a few cycles whatever memory does: "
            "look at the device's clock, reset the device",
        )
        await self.interrupts()

    async def enable_interrupts(self, wanted: Interrupt) -> None:
        """Choose what raises the interrupt."""
        await self.write("INTERRUPT_ENABLE", wanted)

    async def interrupts(self) -> Interrupt:
        """What has happened since the last call; clears it."""
        happened = await self.read("INTERRUPT_STATUS")
        await self.write("INTERRUPT_STATUS", happened)
        return Interrupt(happened)

    async def result(self, classes: int, layers: int) -> JobResult:
        """Read the outcome of a finished job; while one runs the accelerator answers with an error.

        Parameters
        ----------
        classes, layers : int
            Logits and layers to read.
        """
        return JobResult(
            prediction=await self.read("PREDICTION"),
            logits=tuple([signed(await self.read("LOGITS", index)) for index in range(classes)]),
            cycles=await self.read("CYCLES"),
            error=error_name(await self.read("ERROR")),
            descriptors=await self.read("DESCRIPTORS"),
            layers=tuple([await self.counters(layer) for layer in range(layers)]),
        )

    async def record(self, address: int, classes: int) -> ResultRecord:
        """What a finished job wrote to memory.

        Parameters
        ----------
        address : int
            Byte address of the result record.
        classes : int
            Logits to take.
        """
        content = await self._bus.read_memory(address, record_bytes(self._config))
        return ResultRecord.from_words(struct.unpack(f"<{len(content) // 4}I", content), classes)

    async def counters(self, layer: int) -> LayerCounters:
        """Counters of a descriptor of a finished job."""
        values = {}
        for counter in Counter:
            values[counter.name.lower()] = await self.read("PROFILE", layer * COUNTER_SLOTS + counter)
        return LayerCounters(**values)


def _check_timeout(timeout: float) -> None:
    if not timeout >= 0:
        raise ValueError(f"timeout must be 0 or more, not {timeout}")
