"""A small device with the accelerator's ports, and jobs for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hw.external.axi_reader import split
from hw.host.registers import VERSION
from hw.named_configs import TINY
from sim.runner import ImageResult, RunResults, build_design, run
from sim.testbench.protocol import SimulatorJob
from sim.verilator.simulation import Build

DEVICE = Path(__file__).parent / "testbench" / "memory_reader.v"
PROGRAM_BEATS = 256
LONGEST = 256

FAULTS = (
    "too long", "unaligned", "fixed", "early last", "restless data", "restless address", "early offer", "second answer",
)  # fmt: skip
"""What the device can do wrong at the bus: numbers from 1 in ``memory_reader.v``."""


def device_verilog() -> str:
    """The device, built for `TINY` as far as a host can see."""
    text = DEVICE.read_text()
    for filled_in, value in (("CONFIG = 32'h00000000", TINY.fingerprint), ("VERSION = 32'd0", VERSION)):
        assert filled_in in text
        text = text.replace(filled_in, f"{filled_in.partition(' ')[0]} = 32'd{value}")
    return text


@dataclass
class Reader:
    """The device of ``memory_reader.v``: its build, its memory image and what it should read."""

    build: Build
    folder: Path
    data: list[int] = field(default_factory=lambda: [i * 0x9E3779B97F4A7C15 % (1 << 64) for i in range(3000)])

    def run(
        self, bursts: list[tuple[int, int]], *, slow: bool = False, fault: str = "", images: int = 1, **options
    ) -> RunResults:
        """Read bursts (first beat, beats) of the data, cut into what AXI allows; `fault` is one of `FAULTS`."""
        parts = []
        for first, count in bursts:
            for part in split(PROGRAM_BEATS + first, count, LONGEST):
                parts.append((first, part))
                first += part
        wrong = FAULTS.index(fault) + 1 if fault else 0
        program = [len(parts) | slow << 8 | wrong << 12, *(first | part - 1 << 32 for first, part in parts)]
        beats = [*program, *[0] * (PROGRAM_BEATS - len(program)), *self.data]
        memory = self.folder / "memory.bin"
        memory.write_bytes(struct.pack(f"<{len(beats)}Q", *beats))
        on_event = options.pop("on_event", None)
        job = SimulatorJob(
            config=TINY, memory=memory, program_bytes=8 * PROGRAM_BEATS, image_addresses=(8 * PROGRAM_BEATS,) * images,
            classes=3, layers=2, folder=self.folder / "run", **options,
        )  # fmt: skip
        return run(self.build, job, on_event=on_event)

    def logits(self, bursts: list[tuple[int, int]]) -> tuple[int, ...]:
        """Halves of the checksum and the complement of the number of beats, as the device shows them."""
        checksum, count = 0, 0
        for first, beats in bursts:
            for beat in self.data[first : first + beats]:
                checksum = ((checksum << 1 | checksum >> 63) & (1 << 64) - 1) ^ beat
            count += beats
        return (*struct.unpack("<2i", struct.pack("<Q", checksum)), ~count)

    @staticmethod
    def span(image: ImageResult) -> int:
        """Cycles from the first beat of the bursts to the last."""
        assert image.job is not None
        return image.job.prediction


@pytest.fixture
def reader(tmp_path) -> Reader:
    build = build_design("memory_reader", device_verilog(), burst_beats=LONGEST, reads=32, waves=False, optimise=False)
    return Reader(build, tmp_path)
