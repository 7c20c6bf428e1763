"""An accelerator in plain Python behind the `Bus`: registers, memory, jobs that take time, and what may go wrong."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from hw.config import HardwareConfig
from hw.host.registers import (
    COUNTER_SLOTS,
    IDENTITY,
    RECORD_LINE_WORDS,
    REGISTERS,
    VERSION,
    Control,
    ErrorCause,
    Interrupt,
    Record,
    Status,
)
from hw.host.result_writer import record_lines

NAMES = {
    register.address + 4 * word: (name, word) for name, register in REGISTERS.items() for word in range(register.words)
}
DEAD = float("inf")


def logits_of(program: bytes, image: bytes, classes: int) -> list[int]:
    """What this device makes of an image: numbers of either sign that depend on every byte it reads."""
    seed = zlib.crc32(image, zlib.crc32(program))
    return np.random.default_rng(seed).integers(-(1 << 31), 1 << 31, classes).tolist()


class FakeDevice:
    """Busy for `cycles` units of its own clock per job; accesses take one, waits as long as they say.

    The attributes from `loses_interrupts` on are what goes wrong.
    """

    def __init__(self, config: HardwareConfig, *, memory_bytes: int = 1 << 20, memory_address: int = 0x1000_0000):
        self.memory_address, self.memory_bytes, self.config = memory_address, memory_bytes, config
        self.memory = bytearray(memory_bytes)
        self.registers = {"IDENTITY": IDENTITY, "VERSION": VERSION, "CONFIG": config.fingerprint}
        self.now, self.cycles, self.ends = 0.0, 1000, -1.0
        self.log: list[tuple[str, int]] = []
        self.closed = False
        self.loses_interrupts = False
        self.stuck_bits: dict[int, int] = {}  # by place in memory: bits that stay 0
        self.cause = ErrorCause.NONE
        self.hangs = False
        self.ignores_reset = False
        self.changes_record: Callable[[np.ndarray], None] = lambda words: None

    def clock(self) -> float:
        return self.now

    def close(self) -> None:
        self.closed = True

    @property
    def busy(self) -> bool:
        return self.now < self.ends

    async def wait(self, timeout: float) -> None:
        self.log.append(("wait", round(timeout)))
        interrupted = not self.loses_interrupts and self.registers.get("INTERRUPT_ENABLE", 0)
        end = self.now + timeout
        self.now = max(self.now, min(end, self.ends)) if interrupted else end
        self._settle()

    async def read(self, address: int) -> int:
        self._advance()
        name, word = NAMES[address]
        if REGISTERS[name].idle and self.busy:
            raise RuntimeError("SLVERR")
        if name == "STATUS":
            return Status.BUSY if self.busy else self.registers.get(name, 0)
        if name == "LOGITS":
            return self.logits[word] & 0xFFFF_FFFF
        if name == "PROFILE":
            return 1000 * (word // COUNTER_SLOTS) + word % COUNTER_SLOTS
        return self.registers.get(name, 0)

    async def write(self, address: int, value: int) -> None:
        self._advance()
        name, _ = NAMES[address]
        assert REGISTERS[name].access != "r"
        if name == "INTERRUPT_STATUS":
            value = self.registers.get(name, 0) & ~value
        elif name == "CONTROL" and value & Control.RESET:
            self.log.append(("reset", 0))
            self.ends = self.ends if self.ignores_reset else -1.0
            self.registers["STATUS"] = 0
        elif name == "CONTROL":
            assert not self.busy
            self.started = {name: self.registers[name] for name in REGISTERS if name in self.registers}
            self.log.append(("start", self.started["IMAGE_ADDRESS_LOW"]))
            self.ends = DEAD if self.hangs else self.now + self.cycles
        self.registers[name] = value

    async def read_memory(self, address: int, count: int) -> bytes:
        self._advance()
        first = self._place(address, count)
        return bytes(self.memory[first : first + count])

    async def write_memory(self, address: int, data: bytes) -> None:
        self._advance()
        self.log.append(("write", address))
        self._store(self._place(address, len(data)), data)

    def _store(self, first: int, data: bytes) -> None:
        self.memory[first : first + len(data)] = data
        for place, bits in self.stuck_bits.items():
            self.memory[place] &= ~bits

    def _place(self, address: int, count: int) -> int:
        place = address - self.memory_address
        assert 0 <= place <= place + count <= self.memory_bytes, f"0x{address:X}, {count}"
        return place

    def _advance(self) -> None:
        self.now += 1
        self._settle()

    def _settle(self) -> None:
        """End the job whose time has come."""
        if self.busy or self.ends < 0:
            return
        self.ends, job = -1.0, self.started
        program, image, record = (
            self._place(job[f"{name}_ADDRESS_LOW"] | job[f"{name}_ADDRESS_HIGH"] << 32, 0)
            for name in ("PROGRAM", "IMAGE", "RESULT")
        )
        content = bytes(self.memory[program : program + job["PROGRAM_BYTES"]])
        pixels = bytes(self.memory[image : image + self.image_bytes])
        self.logits = logits_of(content, pixels, self.classes)
        self.registers |= {
            "STATUS": Status.DONE | (Status.ERROR if self.cause else 0), "ERROR": self.cause, "CYCLES": self.cycles,
            "DESCRIPTORS": 3, "JOBS": self.registers.get("JOBS", 0) + 1, "PREDICTION": int(np.argmax(self.logits)),
            "INTERRUPT_STATUS": Interrupt.DONE | (Interrupt.ERROR if self.cause else 0),
        }  # fmt: skip
        words = np.zeros(RECORD_LINE_WORDS * record_lines(self.config.max_classes), np.int64)
        for entry in Record:
            words[entry] = self.registers["JOBS" if entry is Record.JOB else entry.name]
        words[RECORD_LINE_WORDS : RECORD_LINE_WORDS + len(self.logits)] = self.logits
        self.changes_record(words)
        self._store(record, words.astype("<u4").tobytes())

    image_bytes, classes = 0, 1
    """What it reads as an image, and how many logits it makes of it; a real one knows that from its program."""
