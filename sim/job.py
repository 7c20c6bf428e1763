"""The cocotb test that runs one job file: what a host would do, and nothing while the accelerator computes.

`sim.runner` starts it inside the simulator; the environment variable `JOB_VARIABLE` names the job.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import First, ReadOnly, RisingEdge, Timer

from sim.protocol import JOB_VARIABLE, Event, Job
from sw.driver import Driver
from sw.files import write_atomically

PERIOD_NS = 10
PROGRESS_CYCLES = 50_000
"""Simulated cycles between two progress lines; the only time Python runs within an image."""

FAULTS = {0: None, 1: "read beyond the end of the memory image", 2: "memory request changed before it was accepted"}


class TestbenchBus:
    """The register bus of the testbench, as `sw.driver.Bus`."""

    def __init__(self, dut: Any):
        self._dut = dut

    async def read(self, address: int) -> int:
        """Value of a register: present one cycle after its address."""
        self._dut.register_address.value = address
        await RisingEdge(self._dut.clk)
        await RisingEdge(self._dut.clk)
        return int(self._dut.register_read_data.value)

    async def write(self, address: int, value: int) -> None:
        """Write a register."""
        self._dut.register_address.value = address
        self._dut.register_write_data.value = value
        self._dut.register_write.value = 1
        await RisingEdge(self._dut.clk)
        self._dut.register_write.value = 0


async def reset(dut: Any) -> None:
    """Hold reset for some cycles."""
    dut.rst.value = 1
    for _ in range(5):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def run_image(dut: Any, driver: Driver, job: Job, index: int) -> dict[str, Any]:
    """Run one image and return its entry of the results."""
    tracing = index in job.traced
    dut.image.value, dut.limit.value, dut.tracing.value = index, job.cycle_limit, int(tracing)
    start = time.perf_counter()
    await driver.start(job.program_address, job.image_addresses[index])
    await RisingEdge(dut.clk)
    dut.armed.value = 1
    while not dut.stop.value:
        await First(RisingEdge(dut.stop), Timer(PROGRESS_CYCLES * PERIOD_NS, "ns"))
        await ReadOnly()
        if not dut.stop.value:
            Event("running", index, int(dut.elapsed.value)).send()
            await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    elapsed = int(dut.elapsed.value)
    fault, timeout = FAULTS[int(dut.fault.value)], bool(dut.timeout.value)
    entry: dict[str, Any] = {"image": index, "timeout": timeout, "fault": fault, "elapsed": elapsed, "job": None}
    if fault is not None:
        entry["fault"] = f"{fault} (beat {int(dut.fault_address.value)})"
    dut.armed.value, dut.tracing.value = 0, 0
    entry["seconds"] = time.perf_counter() - start
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    if timeout or fault:
        await reset(dut)
    else:
        entry["job"] = (await driver.result(job.classes)).to_dict()
    Event("finished", index, elapsed).send()
    return entry


@cocotb.test()
async def run_job(dut: Any) -> None:
    """Run every image of the job and leave the results."""
    job = Job.load(Path(os.environ[JOB_VARIABLE]))
    start = time.perf_counter()
    await reset(dut)
    driver = Driver(TestbenchBus(dut))
    await driver.check()
    images = [await run_image(dut, driver, job, index) for index in range(len(job.image_addresses))]
    results = {"images": images, "seconds": time.perf_counter() - start}
    write_atomically(job.results, json.dumps(results))
