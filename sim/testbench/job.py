"""The cocotb test that runs one job file: what a host would do, and nothing while the accelerator computes.

`sim.runner` starts it inside the simulator; the environment variable `JOB_VARIABLE` names the job.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import First, ReadOnly, RisingEdge, Timer

from hw.host.registers import REGISTERS, Interrupt
from sim.testbench.bus import PERIOD_NS, TestbenchBus, reset
from sim.testbench.objection import objection
from sim.testbench.protocol import CHANNELS, JOB_VARIABLE, Event, SimulatorJob
from sw.driver.driver import Driver
from sw.files import write_atomically

PROGRESS_CYCLES = 50_000
"""Simulated cycles between two progress lines; the only time Python runs within an image."""

NEVER = 0xFFFF_FFFF

RESET_LIMIT = 500
"""Cycles that a reset of the host may take, its register accesses among them; memory has no part in it."""


async def wait_for_stop(dut: Any, index: int, reset_cycle: int | None) -> bool:
    """Wait for the end of the image, or for the cycle of its reset; whether it ended."""
    while not dut.stop.value:
        step = PROGRESS_CYCLES if reset_cycle is None else reset_cycle
        await First(RisingEdge(dut.stop), Timer(step * PERIOD_NS, "ns"))
        await ReadOnly()
        stopped = bool(dut.stop.value)
        if not stopped:
            Event("running", index, int(dut.elapsed.value)).send()
        await RisingEdge(dut.aclk)
        if reset_cycle is not None:
            return stopped
    return True


async def run_image(dut: Any, driver: Driver, job: SimulatorJob, index: int) -> dict[str, Any]:
    """Run one image and return its entry of the results."""
    tracing, wrong = index in job.traced, job.disturbance(index)
    await driver.enable_interrupts(Interrupt.DONE | Interrupt.ERROR)
    dut.image.value, dut.limit.value, dut.tracing.value = index, job.cycle_limit, int(tracing)
    dut.error_beat.value = NEVER if wrong.read_error_beat is None else wrong.read_error_beat
    dut.write_error.value = int(wrong.write_error)
    dut.dead.value = sum(1 << 3 + CHANNELS.index(channel) for channel in wrong.dead)
    dut.dead_cycle.value = wrong.dead_cycle
    dut.armed.value = 1
    start = time.perf_counter()
    program = job.program_address if wrong.program_address is None else wrong.program_address
    length = job.program_bytes if wrong.program_bytes is None else wrong.program_bytes
    await driver.start(program, length, job.image_addresses[index], record=job.record_address)
    if wrong.overwrite:
        for name in (name for name, register in REGISTERS.items() if register.access == "rw"):
            if name != "INTERRUPT_ENABLE":
                await driver.write(name, 0)
    ended = await wait_for_stop(dut, index, wrong.reset_cycle)
    if not ended and wrong.device_reset:
        await reset(dut)
    elif not ended:
        await driver.reset(timeout=RESET_LIMIT)
    await RisingEdge(dut.aclk)
    elapsed, seconds = int(dut.elapsed.value), time.perf_counter() - start
    fault, timeout = objection(dut), bool(dut.timeout.value)
    entry: dict[str, Any] = {
        "image": index, "timeout": timeout, "fault": fault, "reset": not ended, "elapsed": elapsed,
        "beats_read": int(dut.beats_read.value), "seconds": seconds, "job": None, "record": None, "jobs": None,
    }  # fmt: skip
    dut.armed.value, dut.tracing.value = 0, 0
    await RisingEdge(dut.aclk)
    await RisingEdge(dut.aclk)
    if timeout or fault:
        await reset(dut)
    else:
        if ended:
            happened = await driver.interrupts()
            entry["job"] = (await driver.result(job.classes, job.layers)).to_dict()
            assert happened == Interrupt.DONE | (Interrupt.ERROR if entry["job"]["error"] != "NONE" else Interrupt(0))
            if wrong.dead:
                await driver.reset(timeout=RESET_LIMIT)
        else:
            status = await driver.status()
            assert not (status.busy or status.done or status.error), status
        entry["jobs"] = await driver.read("JOBS")
        if job.record_address is not None:
            entry["record"] = asdict(await driver.record(job.record_address, job.classes))
        if (fault := objection(dut)) is not None:  # of the accesses behind the job
            entry |= {"fault": fault, "job": None, "record": None, "jobs": None}
            await reset(dut)
    Event("finished", index, elapsed).send()
    return entry


@cocotb.test()
async def run_job(dut: Any) -> None:
    """Run every image of the job and leave the results."""
    job = SimulatorJob.load(Path(os.environ[JOB_VARIABLE]))
    start = time.perf_counter()
    await reset(dut)
    driver = Driver(TestbenchBus(dut, job.config, job.memory.stat().st_size, job.transfer), job.config)
    await driver.check()
    if job.watchdog is not None:
        await driver.write("WATCHDOG", job.watchdog)
    images = [await run_image(dut, driver, job, index) for index in range(len(job.image_addresses))]
    results = {"images": images, "seconds": time.perf_counter() - start}
    write_atomically(job.results, json.dumps(results))
