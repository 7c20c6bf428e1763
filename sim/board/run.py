"""Builds a board's simulation and runs cocotb tests on it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hw.board.boards import Board
from hw.board.system import system_verilog
from hw.config import HardwareConfig
from sim.components.harness import PARAMETERS_VARIABLE
from sim.verilator.simulation import Build, Simulation
from sim.verilator.toolchain import find_toolchain
from sim.verilator.verilate import BUILD_FOLDER, verilate
from sw.checkout import ROOT

TESTBENCH = Path(__file__).with_name("testbench.sv")


def build_board(board: Board, config: HardwareConfig, *, folder: Path = BUILD_FOLDER, optimise: bool = True) -> Build:
    """Build the simulation of a board's system, or find it built.

    Parameters
    ----------
    board : Board
    config : HardwareConfig
        Of the accelerator.
    folder : Path
        Where builds are kept.
    optimise : bool
        See `sim.verilator.verilate.verilate`.
    """
    name = f"{board.name}-{config.name}"
    sources = {f"{name}.v": system_verilog(board, config), "board_testbench.sv": TESTBENCH.read_text(encoding="utf-8")}
    return verilate(name, sources, "board_testbench", folder=folder, optimise=optimise)


def simulate_board(build: Build, module: str, folder: Path, **parameters: Any) -> None:
    """Run the cocotb tests of a module on a board.

    Parameters
    ----------
    build : Build
        See `build_board`.
    module : str
        Full name of the module.
    folder : Path
        Takes the log.
    **parameters
        JSON values; `sim.components.harness.parameters` gives them to the tests.

    Raises
    ------
    RuntimeError
        If a test fails, with the end of the log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    python_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {
        PARAMETERS_VARIABLE: json.dumps(parameters),
        "PYTHONPATH": python_path,
        "COCOTB_REWRITE_ASSERTION_FILES": "",  # cocotb would rewrite all of Amaranth
    }
    Simulation(find_toolchain(), waves=False).simulate(build, module, folder, extra_env=environment)
