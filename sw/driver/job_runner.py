"""Runs packed images one behind another: the next one is written while one runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from hw.host.registers import Interrupt
from sw.compiler.image_pack import WORD_BITS
from sw.compiler.program import Program, check_program
from sw.driver.bus import Bus
from sw.driver.driver import Driver, record_bytes
from sw.driver.layout import lay_out
from sw.driver.results import JobResult, check_record
from sw.errors import UserError


class JobError(UserError):
    """A job ended with the cause of an error.

    Parameters
    ----------
    result : JobResult
        What the registers said.
    layer : str
        Name of the descriptor that was reached.
    """

    def __init__(self, result: JobResult, layer: str):
        super().__init__(
            f"the accelerator stopped with {result.error} at descriptor {result.descriptors} ({layer}) after "
            f"{result.cycles:,} cycles: run the image again, the program is written anew; check external memory"
        )
        self.result = result


class JobRunner:
    """Program, images and records of one network in the memory of an accelerator.

    Parameters
    ----------
    bus : Bus
    program : Program
        The compiled network.
    classes : int
        Logits to read.

    Attributes
    ----------
    driver : Driver
    program_bytes, image_bytes : int
        Lengths of the program with its weights and of a packed image.
    layout : MemoryLayout
        Where they are.

    Raises
    ------
    UserError
        If the program is not whole, or the memory is too small.
    """

    def __init__(self, bus: Bus, program: Program, classes: int):
        self._bus, self._program, self._classes = bus, program, classes
        self._content = program.memory.astype("<u8").tobytes()
        check_program(self._content)
        self.driver = Driver(bus, program.config)
        self.program_bytes, self.image_bytes = len(self._content), program.image_words * WORD_BITS // 8
        self.layout = lay_out(
            bus.memory_address, bus.memory_bytes, program_bytes=self.program_bytes, image_bytes=self.image_bytes,
            record_bytes=record_bytes(program.config),
        )  # fmt: skip

    async def load(self, timeout: float) -> None:
        """Bring the accelerator into a known state and write the program, once for all jobs.

        Parameters
        ----------
        timeout : float
            How long the reset may wait for transfers of a job that somebody left, see `Driver.reset`.

        Raises
        ------
        UserError
            If memory does not hold what was written.
        DeviceTimeout
            If the reset does not end.
        """
        await self.driver.reset(timeout)
        await self.driver.enable_interrupts(Interrupt.DONE | Interrupt.ERROR)
        await self._bus.write_memory(self.layout.program, self._content)
        back = await self._bus.read_memory(self.layout.program, self.program_bytes)
        if back != self._content:
            place = next(i for i, (one, other) in enumerate(zip(self._content, back, strict=True)) if one != other)
            raise UserError(
                f"memory does not keep the program: at 0x{self.layout.program + place:X} 0x{self._content[place]:02X} "
                f"was written, 0x{back[place]:02X} read: check the memory's address, its size and the caches"
            )

    async def run(
        self,
        images: Iterable[bytes],
        timeout: float,
        *,
        counters: bool = False,
        on_result: Callable[[JobResult], None] = lambda _: None,
    ) -> list[JobResult]:
        """Run packed images; one is taken and written while the one before runs.

        Parameters
        ----------
        images : iterable of bytes
            As `sw.compiler.image_pack.pack_image` packs them.
        timeout : float
            How long a job may take, in the unit of the bus's clock.
        counters : bool
            Read the counters of the layers too.
        on_result : callable
            Told every result as it comes.

        Raises
        ------
        JobError
            If a job ends with the cause of an error.
        DeviceTimeout
            If one does not end.
        UserError
            If registers and record contradict each other.
        """
        results: list[JobResult] = []
        slots, running = itertools.cycle(range(len(self.layout.images))), None

        async def finish(slot: int) -> None:
            results.append(await self.finish(slot, timeout, counters=counters))
            on_result(results[-1])

        for image in images:
            slot = next(slots)
            if slot == running:  # there is one buffer only
                await finish(slot)
                running = None
            await self._bus.write_memory(self.layout.images[slot], image)
            if running is not None:
                await finish(running)
            await self.start(slot)
            running = slot
        if running is not None:
            await finish(running)
        return results

    async def start(self, slot: int) -> None:
        """Start the job of the image in a buffer."""
        images, records = self.layout.images, self.layout.records
        await self.driver.start(self.layout.program, self.program_bytes, images[slot], record=records[slot])

    async def finish(self, slot: int, timeout: float, *, counters: bool) -> JobResult:
        """Wait for the job under way, read what it left in the registers and as a record, and compare the two."""
        await self.driver.wait(timeout)
        await self.driver.interrupts()
        result = await self.driver.result(self._classes, len(self._program.names) if counters else 0)
        if result.error != "NONE":
            reached = min(result.descriptors, len(self._program.steps) - 1)
            raise JobError(result, self._program.steps[reached].name)
        record = await self.driver.record(self.layout.records[slot], self._classes)
        check_record(record, result, await self.driver.read("JOBS"))
        return result
