"""Runs images on a simulated board through its pins, as a host does: the cocotb test of `sim.board.run`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from golden.expectation import expect
from hw.config import HardwareConfig
from sim.board.pins import SimulatedPins, reset
from sim.components.harness import parameters
from sw.artifact.file import load
from sw.driver.accelerator import Accelerator
from sw.driver.outcomes import Classification
from sw.driver.serial_bus import SerialBus
from sw.files import write_atomically


@dataclass(frozen=True)
class BoardJob:
    """What a host brings to the board.

    Attributes
    ----------
    artifact : Path
        The network.
    config : HardwareConfig
        Of the accelerator.
    images : uint8 array [n, channels, size, size]
    """

    artifact: Path
    config: HardwareConfig
    images: NDArray[np.uint8]

    def save(self, path: Path) -> None:
        """Write it to an ``.npz`` file."""
        np.savez(path, artifact=str(self.artifact), config=json.dumps(self.config.to_dict()), images=self.images)

    @classmethod
    def load(cls, path: Path) -> BoardJob:
        """Inverse of `save`."""
        with np.load(path) as file:
            return cls(
                Path(str(file["artifact"])), HardwareConfig.from_dict(json.loads(str(file["config"]))), file["images"]
            )


async def classify(bus: SerialBus, job: BoardJob) -> Classification:
    """Run the images as on any board: checks, program, self-test, then one after the other."""
    unit = Accelerator(bus, load(job.artifact), job.config, expect=expect, frequency=1)
    return await unit.classify(job.images)


async def connected(dut: Any, **levels: int) -> SerialBus:
    """A host at the board, which is reset first; `levels` are inputs of the testbench."""
    for name, level in {"noise": 0, "unplugged": 0, "divisor": 4, **levels}.items():
        getattr(dut, name).value = level
    await reset(dut)
    bus = SerialBus(SimulatedPins(dut))
    await bus.connect()
    return bus


@cocotb.test()
async def run_job(dut: Any) -> None:
    """Run a job file and leave the results, and how many cycles all of it took."""
    bus = await connected(dut)
    found = await classify(bus, BoardJob.load(Path(parameters()["job"])))
    results = {
        "jobs": [job.to_dict() for job in found.jobs],
        "cycles": bus.clock(),
        "repeated": bus.repeated,
    }
    write_atomically(Path(parameters()["results"]), json.dumps(results))
