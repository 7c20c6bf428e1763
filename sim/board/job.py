"""Runs images on a simulated board through its pins, as a host does: the cocotb test of `sim.board.run`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.external.axi_line_writer import LINE_BYTES
from hw.host.result_writer import record_lines
from hw.integers import ceil_div
from sim.board.pins import SimulatedPins, reset
from sim.components.harness import parameters
from sw.driver.driver import Driver
from sw.driver.results import ResultRecord
from sw.driver.serial_bus import SerialBus
from sw.files import write_atomically

PAGE = 4096
"""Program, images and record begin at multiples of it."""


@dataclass(frozen=True)
class BoardJob:
    """What a host brings to the board.

    Attributes
    ----------
    config : HardwareConfig
        Of the accelerator.
    program : bytes
    images : uint64 array [n, words]
        Packed images.
    classes : int
    cycle_limit : int
        Cycles that an image may take.
    """

    config: HardwareConfig
    program: bytes
    images: NDArray[np.uint64]
    classes: int
    cycle_limit: int

    @property
    def image_address(self) -> int:
        """Where an image lies, from the beginning of the memory on; the program is before it."""
        return ceil_div(len(self.program), PAGE) * PAGE

    @property
    def record_address(self) -> int:
        """Where its record lies, likewise."""
        return self.image_address + ceil_div(self.images[0].nbytes, PAGE) * PAGE

    @property
    def memory_bytes(self) -> int:
        """Memory that it needs."""
        return self.record_address + record_lines(self.config.max_classes) * LINE_BYTES

    def save(self, path: Path) -> None:
        """Write it to an ``.npz`` file."""
        np.savez(
            path, config=json.dumps(self.config.to_dict()), program=np.frombuffer(self.program, np.uint8),
            images=self.images, classes=self.classes, cycle_limit=self.cycle_limit,
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> BoardJob:
        """Inverse of `save`."""
        with np.load(path) as file:
            return cls(
                HardwareConfig.from_dict(json.loads(str(file["config"]))), file["program"].tobytes(), file["images"],
                int(file["classes"]), int(file["cycle_limit"]),
            )  # fmt: skip


async def classify(bus: SerialBus, job: BoardJob) -> list[ResultRecord]:
    """Run the images one after the other; what the record in memory says must be in the registers too."""
    driver = Driver(bus, job.config)
    await driver.check()
    image, record = bus.memory_address + job.image_address, bus.memory_address + job.record_address
    await bus.write_memory(bus.memory_address, job.program)
    records = []
    for packed in job.images:
        await bus.write_memory(image, packed.astype("<u8").tobytes())
        await driver.start(bus.memory_address, len(job.program), image, record=record)
        await driver.wait(job.cycle_limit)
        result = await driver.result(job.classes, 0)
        content = await bus.read_memory(record, record_lines(job.classes) * LINE_BYTES)
        records.append(ResultRecord.from_words(np.frombuffer(content, "<u4").tolist(), job.classes))
        written = records[-1]
        assert (written.error, written.prediction, written.cycles, written.logits) == (
            result.error, result.prediction, result.cycles, result.logits,
        )  # fmt: skip
    return records


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
    """Run a job file and leave the records, and how many cycles all of it took."""
    bus = await connected(dut)
    records = await classify(bus, BoardJob.load(Path(parameters()["job"])))
    results = {
        "records": [
            {"prediction": one.prediction, "cycles": one.cycles, "error": one.error, "logits": one.logits}
            for one in records
        ],
        "cycles": bus.clock(),
        "repeated": bus.repeated,
    }
    write_atomically(Path(parameters()["results"]), json.dumps(results))
