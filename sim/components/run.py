"""Builds and runs a simulation of one component in its emitted Verilog."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from amaranth.lib import wiring

from hw.verilog.emit import emit_component
from sim.components.harness import PARAMETERS_VARIABLE
from sim.verilator.simulation import Build, Simulation
from sim.verilator.toolchain import find_toolchain
from sim.verilator.verilate import BUILD_FOLDER, verilate
from sw.checkout import ROOT
from sw.claims import scratch


def build_component(component: wiring.Component, name: str, *, folder: Path = BUILD_FOLDER) -> Build:
    """Emit a component and build it with its ports visible to Python.

    Parameters
    ----------
    component : wiring.Component
    name : str
        Name of the module.
    folder : Path
        Where builds are kept.
    """
    verilog = emit_component(component, name)
    header = re.search(rf"^module {name}\((.*?)\);", verilog, re.MULTILINE | re.DOTALL)
    assert header is not None, name
    ports = [port.strip() for port in header[1].split(",")]
    public = "".join(f'public_flat_rw -module "{name}" -var "{port}"\n' for port in ports)
    sources = {f"{name}.vlt": f"`verilator_config\n{public}", f"{name}.v": verilog}
    return verilate(name, sources, name, folder=folder, optimise=False)  # the tests' Python takes the time


def simulate_component(build: Build, module: str, **parameters: Any) -> None:
    """Run the tests of a module of `sim.components` on a built component.

    Parameters
    ----------
    build : Build
    module : str
        Its name.
    **parameters
        JSON values; `sim.components.harness.parameters` gives them to the tests.

    Raises
    ------
    RuntimeError
        If a test fails, with the end of the log.
    """
    python_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {
        PARAMETERS_VARIABLE: json.dumps(parameters),
        "PYTHONPATH": python_path,
        "COCOTB_REWRITE_ASSERTION_FILES": "*/sim/components/*.py",  # by default cocotb rewrites PyTorch too, for 15 s
    }
    with scratch(build.folder / "runs", ".run-") as folder:
        Simulation(find_toolchain(), waves=False).simulate(
            build, f"sim.components.{module}", folder, extra_env=environment
        )
