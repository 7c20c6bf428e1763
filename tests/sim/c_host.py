"""A host whose driver is the C one: the cocotb test that `tests/sim/test_c_driver.py` runs inside the simulator.

The driver blocks, so it runs in a thread of its own that stands still while the simulation goes on.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cocotb
from cocotb.task import bridge, resume
from cocotb.triggers import First, RisingEdge, Timer
from cocotb.utils import get_sim_time

from hw.host.registers import Interrupt
from hw.host.result_writer import LINE_BYTES, record_lines
from sim.testbench.bus import PERIOD_NS, TestbenchBus, reset
from sim.testbench.job import NEVER
from sim.testbench.protocol import CHANNELS, JOB_VARIABLE, SimulatorJob
from sw.files import write_atomically
from tests.sw.driver.c_library import READ, TIME, WAIT, WRITE, CDriver, Device, Job, Result, Status

LIBRARY_VARIABLE = "SPIKELOOM_C_DRIVER"
LONG = 1_000_000
"""Cycles in which every job here ends."""

SHORT = 300
"""Cycles in which none does."""

PATIENCE = 3000
"""Cycles without progress after which a job is given up by the accelerator."""

LOOK_CYCLES = 100_000
"""Cycles between two looks at STATUS where no interrupt comes."""


class CHost:
    """The C driver on the testbench, and what it is told to do; called in a thread of `bridge`."""

    def __init__(self, dut: Any, job: SimulatorJob):
        self._dut, self._job = dut, job
        self._bus = TestbenchBus(dut, job.config, job.memory.stat().st_size, job.transfer)
        self.driver = CDriver(Path(os.environ[LIBRARY_VARIABLE]))
        read, write, time, wait = map(resume, (self._bus.read, self._bus.write, self._now, self._interrupt))

        def read_register(_context: object, address: int, value: Any) -> bool:
            try:
                value[0] = read(address)
            except RuntimeError:  # answered with an error
                return False
            return True

        def write_register(_context: object, address: int, value: int) -> bool:
            try:
                write(address, value)
            except RuntimeError:
                return False
            return True

        self.device = Device(
            None, READ(read_register), WRITE(write_register), TIME(lambda _: time()), WAIT(lambda _, left: wait(left)),
            None,
        )  # fmt: skip

    async def _now(self) -> int:
        return int(get_sim_time("ns") / PERIOD_NS)

    async def _interrupt(self, left: int) -> None:
        """Until the interrupt, or until it is worth looking again."""
        if not self._dut.stop.value:
            await First(RisingEdge(self._dut.stop), Timer(min(left, LOOK_CYCLES) * PERIOD_NS, "ns"))
        await RisingEdge(self._dut.aclk)

    async def _arm(self, armed: bool, error_beat: int = NEVER, dead: int = 0) -> None:
        self._dut.error_beat.value, self._dut.limit.value = error_beat, NEVER
        self._dut.dead.value = dead
        self._dut.armed.value = int(armed)
        for _ in range(3):
            await RisingEdge(self._dut.aclk)

    async def _record(self) -> bytes:
        assert self._job.record_address is not None
        size = record_lines(self._job.config.max_classes) * LINE_BYTES
        return await self._bus.read_memory(self._job.record_address, size)

    def start(self, image: int, error_beat: int = NEVER, dead: int = 0) -> None:
        """Start a job with a record."""
        resume(self._arm)(True, error_beat, dead)
        job, record = self._job, self._job.record_address
        told = Job(job.program_address, job.image_addresses[image], record, job.program_bytes, True)
        assert self.driver("start", self.device, told) == "OK"

    def end(self) -> dict[str, Any]:
        """What a job left that has ended: registers, counters, record, interrupts."""
        happened, record, logits = ctypes.c_uint32(), Result(), (ctypes.c_int32 * self._job.classes)()
        assert self.driver("take_interrupts", self.device, ctypes.byref(happened)) == "OK"
        result, values = self.driver.result(self.device, self._job.classes)
        layers = [self.driver.layer(self.device, layer) for layer in range(self._job.layers)]
        resume(self._arm)(False)
        assert self.driver("decode_record", resume(self._record)(), record, logits, self._job.classes) == "OK"
        return {
            "interrupts": happened.value, "result": result.values(), "logits": values, "layers": layers,
            "record": record.values(), "record_logits": list(logits),
        }  # fmt: skip

    def exact(self, image: int) -> dict[str, Any]:
        """A job to which nothing happens."""
        self.start(image)
        assert self.driver("wait", self.device, LONG, None) == "OK"
        return self.end()

    def reset_in_mid_job(self) -> dict[str, Any]:
        """A job that is given up after a timeout and stopped."""
        self.start(0)
        late, afterwards = Status(), Status()
        outcome = self.driver("wait", self.device, SHORT, late)
        refused = self.driver("start", self.device, Job())
        too_early = self.driver("read_result", self.device, Result(), (ctypes.c_int32 * 1)(), 1)
        assert self.driver("reset", self.device, LONG, None) == "OK"
        assert self.driver("read_status", self.device, afterwards) == "OK"
        resume(self._arm)(False)
        return {
            "outcome": outcome, "late": late.values(), "refused": [refused, too_early],
            "afterwards": afterwards.values(),
        }  # fmt: skip

    def failing_memory(self) -> dict[str, Any]:
        """A job whose hundredth beat is an error."""
        self.start(0, error_beat=100)
        status = Status()
        outcome = self.driver("wait", self.device, LONG, status)
        return {"outcome": outcome, "status": status.values(), **self.end()}

    def silent_memory(self) -> dict[str, Any]:
        """A job whose memory takes no address; afterwards it does again."""
        assert self.driver("set_watchdog", self.device, PATIENCE) == "OK"
        self.start(0, dead=1 << 3 + CHANNELS.index("ar"))
        status = Status()
        outcome = self.driver("wait", self.device, LONG, status)
        return {"outcome": outcome, "status": status.values(), **self.end()}

    def run(self) -> dict[str, Any]:
        """The whole visit; the numbers are looked at outside."""
        assert self.driver("check", self.device) == "OK"
        assert self.driver("enable_interrupts", self.device, Interrupt.DONE | Interrupt.ERROR) == "OK"
        steps: list[Callable[[], dict[str, Any]]] = [
            lambda: self.exact(0), self.reset_in_mid_job, lambda: self.exact(1), self.failing_memory,
            self.silent_memory, lambda: self.exact(0),
        ]  # fmt: skip
        names = ("first", "reset", "second", "failed", "silent", "third")
        return dict(zip(names, [step() for step in steps], strict=True))


@cocotb.test()
async def run_c_host(dut: Any) -> None:
    job = SimulatorJob.load(Path(os.environ[JOB_VARIABLE]))
    await reset(dut)
    host = CHost(dut, job)
    write_atomically(job.results, json.dumps(await bridge(host.run)()))
