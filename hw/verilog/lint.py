"""Verilator's opinion of emitted Verilog."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hw.verilog.description import TOP

WAIVERS = Path(__file__).with_name("lint.vlt")
"""Verilator warnings of emitted Verilog that are understood, each with its reason."""

PRIMITIVES = Path(__file__).with_name("primitives.v")
"""Ports of what `Technology.XILINX` instantiates, for the lint alone."""


def lint_warnings(
    path: Path, *, verilator: Path, environment: Mapping[str, str] | None = None, top: str = TOP
) -> list[str]:
    """Verilator's warnings about emitted Verilog, less the waived ones.

    Parameters
    ----------
    path : Path
        The Verilog.
    verilator : Path
    environment : mapping of str to str
        What Verilator needs; `sim.verilator.toolchain.find_toolchain` has both.
    top : str
        Its top module.

    Returns
    -------
    list of str
        Empty if the file is clean.
    """
    command = [str(verilator), "--lint-only", "-Wall", "--top-module", top, str(WAIVERS), str(PRIMITIVES), str(path)]
    result = subprocess.run(
        command, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    found = [line for line in result.stderr.splitlines() if line.startswith("%")]
    return found or ([result.stderr.strip()] if result.returncode else [])
