"""Runs a module `bench` of SystemVerilog that finishes by itself, or fails with `$fatal`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sim.verilator.library import keep_objects, take_objects
from sim.verilator.toolchain import Toolchain, find_toolchain
from sim.verilator.verilate import BUILD_FOLDER, ONE_FILE, content_hash

FLAGS = ["--cc", "--exe", "--main", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", *ONE_FILE]
LITTLE_OPTIMISED = "OPT_FAST=-Og OPT_GLOBAL=-O0"


def build_bench(text: str, folder: Path) -> Path:
    """Compile it; returns the program. The compiled parts of Verilator's own library are kept for the next one."""
    (folder / "bench.sv").write_text(text)
    tools = find_toolchain()
    objects, runtime = folder / "obj_dir", BUILD_FOLDER / f"runtime-bench-{_settings(tools)}"
    # The last of the make flags counts.
    make_flags = f"{tools.environment['MAKEFLAGS']} {LITTLE_OPTIMISED}"
    environment = {**os.environ, **tools.environment, "MAKEFLAGS": make_flags}
    verilate = [str(tools.verilator), *FLAGS, "--top-module", "bench", "bench.sv"]
    subprocess.run(verilate, cwd=folder, env=environment, check=True, capture_output=True)
    take_objects(runtime, objects)
    make = ["make", "-C", str(objects), "-f", "Vbench.mk", "Vbench"]
    subprocess.run(make, env=environment, check=True, capture_output=True)
    keep_objects(objects, runtime)
    return objects / "Vbench"


def run_bench(text: str, folder: Path) -> str:
    """Compile and run it; returns what it printed."""
    result = subprocess.run([build_bench(text, folder)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    return result.stdout


def _settings(tools: Toolchain) -> str:
    return content_hash({"tools": tools.version, "make": tools.environment["MAKEFLAGS"], "flags": FLAGS})
