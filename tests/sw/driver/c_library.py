"""The C driver as a library that Python calls: compiled strictly, its structs as in the header."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from hw.config import HardwareConfig
from hw.host.registers import COUNTER_SLOTS
from hw.verilog.c_header import HEADER, c_header
from sw.checkout import ROOT

SOURCES = ROOT / "sw" / "driver" / "c"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow", "-ffreestanding")

OUTCOMES = (
    "OK", "BAD_ARGUMENT", "NO_PROGRAM", "PROGRAM_DAMAGED", "BUS_FAILED", "NO_DEVICE", "OTHER_VERSION", "OTHER_CONFIG",
    "STILL_BUSY", "TIMED_OUT", "JOB_FAILED",
)  # fmt: skip

U32, U64 = ctypes.c_uint32, ctypes.c_uint64
READ = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, U32, ctypes.POINTER(U32))
WRITE = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, U32, U32)
TIME = ctypes.CFUNCTYPE(U64, ctypes.c_void_p)
WAIT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, U64)


class Device(ctypes.Structure):
    _fields_ = (
        ("registers", ctypes.POINTER(U32)), ("read", READ), ("write", WRITE), ("time", TIME), ("wait", WAIT),
        ("context", ctypes.c_void_p),
    )  # fmt: skip


class Job(ctypes.Structure):
    _fields_ = (
        ("program", U64), ("image", U64), ("record", U64), ("program_bytes", U32), ("write_record", ctypes.c_bool),
    )  # fmt: skip


class Numbers(ctypes.Structure):
    """A struct of numbers, which are compared as a dictionary."""

    def values(self) -> dict[str, int]:
        return {name: getattr(self, name) for name, _ in self._fields_}


class Status(Numbers):
    _fields_ = tuple((name, U32) for name in ("status", "error", "interrupts", "cycles", "descriptors", "jobs"))


class Result(Numbers):
    _fields_ = tuple((name, U32) for name in ("prediction", "cycles", "error", "descriptors", "jobs"))


class Layer(ctypes.Structure):
    _fields_ = (("counter", U32 * COUNTER_SLOTS),)


def write_sources(folder: Path, config: HardwareConfig) -> None:
    """Header of a configuration and the driver, as a host's project has them."""
    (folder / HEADER).write_text(c_header(config), encoding="utf-8")
    for path in SOURCES.iterdir():
        (folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")


def compile_library(folder: Path, config: HardwareConfig, compiler: str = "cc") -> Path:
    """The driver of a configuration as a shared library."""
    write_sources(folder, config)
    command = [compiler, *STRICT, "-O2", "-fPIC", "-shared", "spikeloom_driver.c", "-o", "spikeloom_driver.so"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "spikeloom_driver.so"


class CDriver:
    """The functions of the library; outcomes by name."""

    def __init__(self, library: Path):
        self._library = ctypes.CDLL(str(library))

    def __call__(self, function: str, *arguments: object) -> str:
        passed = [ctypes.byref(one) if isinstance(one, ctypes.Structure) else one for one in arguments]
        called = getattr(self._library, f"spikeloom_{function}")
        if function in ("wait", "reset"):
            called.argtypes = (ctypes.c_void_p, U64, ctypes.c_void_p)
        return OUTCOMES[called(*passed)]

    def result(self, device: Device, classes: int) -> tuple[Result, list[int]]:
        """Outcome of a job that ended well."""
        result, logits = Result(), (ctypes.c_int32 * classes)()
        assert self("read_result", device, result, logits, classes) == "OK"
        return result, list(logits)

    def layer(self, device: Device, number: int) -> list[int]:
        """Counters of a layer."""
        layer = Layer()
        assert self("read_layer", device, number, layer) == "OK"
        return list(layer.counter)
