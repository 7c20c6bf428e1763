"""Builds a board's simulation and runs cocotb tests on it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from golden.cycles.cycle_model import predict_cycles
from hw.board.block_memory import FIRST_BEAT_LATENCY
from hw.board.boards import Board
from hw.board.system import MEMORY_ADDRESS, system_verilog
from hw.config import HardwareConfig
from sim.board.job import BoardJob
from sim.components.harness import PARAMETERS_VARIABLE
from sim.verilator.simulation import Build, Simulation
from sim.verilator.toolchain import find_toolchain
from sim.verilator.verilate import BUILD_FOLDER, verilate
from sw.artifact.file import load
from sw.checkout import ROOT
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import WORD_BITS
from sw.driver.driver import record_bytes
from sw.driver.layout import lay_out
from sw.driver.outcomes import Classification
from sw.driver.results import JobResult

TESTBENCH = Path(__file__).with_name("testbench.sv")


@dataclass(frozen=True)
class BoardRun:
    """What a host got from a simulated board.

    Attributes
    ----------
    found : Classification
    model_cycles : int
        Of an image, by the cycle model; its memory has the same latency, but takes more bursts ahead, which is no
        gain where program and image share it.
    link_cycles : int
        Of all that the host did: program, images, registers and records over the link, and the images' own.
    repeated : int
        Requests that the host sent more than once.
    """

    found: Classification
    model_cycles: int
    link_cycles: int
    repeated: int


def build_board(
    board: Board, config: HardwareConfig, *, jobs: int = 1, folder: Path = BUILD_FOLDER, optimise: bool = True
) -> Build:
    """Build the simulation of a board's system, or find it built.

    Parameters
    ----------
    board : Board
    config : HardwareConfig
        Of the accelerator.
    jobs : int
        Compiler processes.
    folder : Path
        Where builds are kept.
    optimise : bool
        See `sim.verilator.verilate.verilate`.
    """
    name = f"{board.name}-{config.name}"
    sources = {f"{name}.v": system_verilog(board, config), "board_testbench.sv": TESTBENCH.read_text(encoding="utf-8")}
    return verilate(name, sources, "board_testbench", jobs=jobs, folder=folder, optimise=optimise)


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


def run_on_board(
    board: Board, artifact: Path, images: NDArray[np.uint8], config: HardwareConfig, folder: Path, *, jobs: int = 1
) -> BoardRun:
    """Classify images on a simulated board, the host's code behind its pins.

    Parameters
    ----------
    board : Board
    artifact : Path
    images : uint8 array [n, channels, size, size]
    config : HardwareConfig
        Of the accelerator.
    folder : Path
        Takes job, results and log.
    jobs : int
        Compiler processes.

    Raises
    ------
    UserError
        If the network does not fit the configuration or the board's memory, or a tool is missing.
    """
    program = compile_artifact(load(artifact), config)
    lay_out(
        MEMORY_ADDRESS, board.memory_bytes, program_bytes=program.memory.nbytes,
        image_bytes=program.image_words * WORD_BITS // 8, record_bytes=record_bytes(config),
    )  # fmt: skip
    build = build_board(board, config, jobs=jobs)
    folder.mkdir(parents=True, exist_ok=True)
    BoardJob(artifact.resolve(), config, images).save(folder / "job.npz")
    results = folder / "results.json"
    results.unlink(missing_ok=True)
    simulate_board(build, "sim.board.job", folder, job=str(folder / "job.npz"), results=str(results))
    found = json.loads(results.read_text())
    return BoardRun(
        found=Classification(tuple(map(JobResult.from_dict, found["jobs"]))),
        model_cycles=predict_cycles(program, FIRST_BEAT_LATENCY).total,
        link_cycles=int(found["cycles"]),
        repeated=found["repeated"],
    )
