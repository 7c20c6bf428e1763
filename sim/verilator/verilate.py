"""Builds Verilator simulations, cached by the content of everything that goes into them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sim.verilator.library import LZ4_STORED, lz4_flags
from sim.verilator.seals import is_whole, seal
from sim.verilator.simulation import Build, Simulation, tail
from sim.verilator.toolchain import Toolchain, find_toolchain, has_lz4
from sw.checkout import BUILD
from sw.claims import scratch
from sw.errors import UserError
from sw.files import check_room

BUILD_FOLDER = BUILD / "sim"
"""Where builds are kept."""

VERILATOR_FLAGS = (
    "-O3",
    "--timing",  # the clock is made in the testbench
    "--timescale", "1ns/1ps",
    "-Wno-fatal", "-Wno-lint", "-Wno-style",  # `hw.verilog.lint` is where warnings count
    "--x-assign", "fast", "--x-initial", "unique",
    "--no-assert",
)  # fmt: skip


ONE_FILE = ("--output-split", "0")
"""Where little is optimised, the compiler spends its time on the headers of every file."""


def content_hash(parts: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits that depend on every part, not on their order."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def verilate(
    name: str,
    sources: Mapping[str, str],
    top: str,
    *,
    waves: bool = False,
    jobs: int = 1,
    folder: Path = BUILD_FOLDER,
    toolchain: Toolchain | None = None,
    optimise: bool = True,
) -> Build:
    """Build a simulation, or find it built.

    Parameters
    ----------
    name : str
        Names the folder, together with a hash of the sources, flags and tool versions.
    sources : mapping of file name to text
        Verilog, SystemVerilog and ``.vlt`` files; the last one holds the top module.
    top : str
        Top module.
    waves : bool
        Build with FST tracing; a separate program.
    jobs : int
        Compiler processes.
    folder : Path
        Where builds are kept.
    toolchain : Toolchain, optional
        Found if not given.
    optimise : bool
        Whether the compiler optimises all it can: it takes twice as long, and the program a tenth less.

    Returns
    -------
    Build
        In ``<folder>/<name>-<hash>``. It was built in a temporary folder, sealed and renamed, so it is complete;
        one that was cut short later is built again.

    Raises
    ------
    UserError
        If a tool is missing or the build fails; the log is kept as ``<folder>/<name>-<hash>.log``.
    OSError
        If the disk is full.
    """
    toolchain = toolchain or find_toolchain()
    stored = waves and not has_lz4()
    flags = VERILATOR_FLAGS if optimise else (*VERILATOR_FLAGS, *ONE_FILE)
    settings = {
        "flags": VERILATOR_FLAGS, "waves": waves, "tools": toolchain.version,
        "make": toolchain.environment["MAKEFLAGS"], "lz4": LZ4_STORED.read_text() if stored else "library",
    }  # fmt: skip
    content = {
        "sources": dict(sources), "order": list(sources), "top": top, "cocotb": version("cocotb"), "flags": flags,
        "optimise": optimise,
    }  # fmt: skip
    if not optimise:  # the design; what is kept of Verilator's own library stays as it is
        make_flags = f"{toolchain.environment['MAKEFLAGS']} OPT_FAST=-Og"  # the last one counts
        toolchain = replace(toolchain, environment={**toolchain.environment, "MAKEFLAGS": make_flags})
    build = Build(name, folder / f"{name}{'-waves' if waves else ''}-{content_hash(settings | content)}", top, waves)
    if is_whole(build.program):
        return build
    simulation = Simulation(toolchain, waves=waves, jobs=jobs, runtime=folder / f"runtime-{content_hash(settings)}")
    with scratch(folder, ".build-") as temporary:
        work = temporary.resolve() / "build"
        work.mkdir()
        _compile(simulation, build, sources, [*flags, *(lz4_flags(work) if stored else ())], work)
        seal(work / top)
        if build.folder.exists() and not is_whole(build.program):
            build.folder.rename(temporary / "damaged")
        with contextlib.suppress(OSError):  # another process was faster: its build is the same
            work.rename(build.folder)
    return build


def _compile(
    simulation: Simulation, build: Build, sources: Mapping[str, str], flags: Sequence[str], work: Path
) -> None:
    """Write sources into a folder and make the program of them there; a failure leaves its log beside the build."""
    for file, text in sources.items():
        (work / file).write_text(text, encoding="utf-8")
    try:
        simulation.build(
            sources=[work / file for file in sources], hdl_toplevel=build.top, build_dir=work, always=True,
            build_args=flags, log_file=work / "build.log",
        )  # fmt: skip
    except subprocess.CalledProcessError:
        check_room(work)
        log = (work / "build.log").replace(build.folder.with_name(build.folder.name + ".log"))
        raise UserError(f"the Verilator build of {build.name} failed, see {log}:\n{tail(log)}") from None
    for leftover in (*work.glob("*.o"), *work.glob("*.a"), *work.glob("*.gch")):
        leftover.unlink()
