"""Runs a module `bench` of SystemVerilog that finishes by itself, or fails with `$fatal`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sim.verilator.toolchain import find_toolchain
from sim.verilator.verilate import ONE_FILE


def run_bench(text: str, folder: Path) -> str:
    """Compile and run it; returns what it printed."""
    (folder / "bench.sv").write_text(text)
    tools = find_toolchain()
    command = [str(tools.verilator), "--binary", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", *ONE_FILE]
    make_flags = f"{tools.environment['MAKEFLAGS']} OPT_FAST=-Og OPT_GLOBAL=-O0"  # the last one counts
    environment = {**os.environ, **tools.environment, "MAKEFLAGS": make_flags}
    subprocess.run(
        [*command, "--top-module", "bench", "bench.sv"], cwd=folder, env=environment, check=True, capture_output=True
    )
    result = subprocess.run([folder / "obj_dir" / "Vbench"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    return result.stdout
