"""Runs Verilator and the programs it makes, by way of cocotb's runner."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cocotb_tools.config
import find_libpython
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Verilator

from sim.verilator.environment import own_environment, switch
from sim.verilator.library import keep_objects, take_objects
from sim.verilator.plain_path import plain
from sim.verilator.processes import running, signal_name
from sim.verilator.toolchain import Toolchain
from sw.claims import using
from sw.errors import UserError


@dataclass(frozen=True)
class Build:
    """A finished simulation program.

    Attributes
    ----------
    name : str
        Name of the design.
    folder : Path
        Holds the program, its sources and ``build.log``.
    top : str
        Top module and name of the program.
    waves : bool
        Whether the program can write waveforms.
    """

    name: str
    folder: Path
    top: str
    waves: bool

    @property
    def program(self) -> Path:
        """The simulation program."""
        return self.folder / self.top


class Simulation(Verilator):
    """cocotb's Verilator runner with only the marked signals public, own tools, and output as it comes.

    cocotb makes every signal public (``--public-flat-rw``), which costs several times in speed and build time. Signals
    that Python touches are marked in the source or in a ``.vlt`` file instead.
    """

    def __init__(
        self,
        toolchain: Toolchain,
        *,
        waves: bool,
        jobs: int = 1,
        runtime: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        pass_fds: Sequence[int] = (),
    ):
        super().__init__()
        for name in ("WAVES", "GUI"):
            switch(name)  # cocotb reads them too, and gives up at other values
        self.log.disabled = True
        self._toolchain, self._fst, self._jobs, self._runtime = toolchain, waves, jobs, runtime
        self._on_line, self._pass_fds = on_line, pass_fds

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(self._toolchain.verilator)

    def _set_env_common(self) -> None:
        given = dict(self.env)
        self.env.setdefault("PATH", os.defpath)
        super()._set_env_common()
        set_by_cocotb = {name: self.env[name] for name in ("PATH", "PYTHONPATH", "PYGPI_PYTHON_BIN")}
        libraries = str(cocotb_tools.config.libs_dir)
        self.env = {
            **own_environment(),
            **given,
            **set_by_cocotb,
            "GPI_USERS": f"{find_libpython.find_libpython()};{cocotb_tools.config.pygpi_entry_point()}",
            # Where the program was linked they may not be any more: a checkout can be moved.
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, (libraries, os.environ.get("LD_LIBRARY_PATH")))),
        }

    def _get_sim_cmd_prefix(self) -> list[str]:
        return []  # cocotb would take it from the environment

    def _get_sim_cmd_suffix(self) -> list[str]:
        return []

    def _set_env_build(self) -> None:
        super()._set_env_build()
        self.env.update(self._toolchain.environment)

    def _build_command(self) -> Any:
        self.waves = self._fst  # cocotb would take it from the environment
        verilate, make = super()._build_command()
        verilate = ["--trace-fst" if word == "--trace" else word for word in verilate if word != "--public-flat-rw"]
        make[make.index("-j") + 1] = str(self._jobs)
        make.append(f"CURDIR={self.build_dir}")  # make would take the link for the folder behind it
        return [[self._plain(word) for word in command] for command in (verilate, make)]

    def _plain(self, word: str) -> str:
        """A word of a command line with links for the folders whose names make could not take."""
        for folder in (self.build_dir.parents[1], cocotb_tools.config.libs_dir, cocotb_tools.config.share_dir):
            word = word.replace(str(folder), str(plain(folder)))
        return word

    def _test_command(self) -> Any:
        self.waves, self.gui = self._fst, False
        return super()._test_command()

    def _execute_cmds(self, cmds: Any, cwd: Any, stdout: Any = None) -> None:
        for command in cmds:
            if command[0] == "make" and self._runtime is not None:
                take_objects(self._runtime, Path(cwd))
            with running(command, cwd=cwd, env=self.env, pass_fds=self._pass_fds) as process:
                assert process.stdout is not None
                if isinstance(stdout, io.TextIOWrapper):
                    stdout.reconfigure(errors="replace")  # a compiler may write letters that the locale lacks
                for line in process.stdout:
                    if stdout is not None:
                        stdout.write(line)
                    if self._on_line is not None:
                        self._on_line(line.rstrip("\n"))
                code = process.wait()
            if code:
                raise subprocess.CalledProcessError(code, command[0])
        if self._runtime is not None:
            keep_objects(Path(cwd), self._runtime)

    def simulate(self, build: Build, module: str, folder: Path, **options: Any) -> None:
        """Run a cocotb test module; its output goes to ``run.log`` in `folder`.

        Raises
        ------
        UserError
            If the simulator was ended by a signal.
        RuntimeError
            If the simulation or a test in it fails, with the end of the log.
        """
        log, results = folder / "run.log", folder / "results.xml"
        failure = ""
        try:
            with using(build.folder):
                self.test(
                    test_module=module, hdl_toplevel=build.top, hdl_toplevel_lang="verilog", build_dir=build.folder,
                    test_dir=folder, results_xml=str(results), log_file=log, **options,
                )  # fmt: skip
        except SystemExit as left:
            if isinstance(left.code, int) and left.code < 0:
                raise UserError(
                    f"the simulator of {build.name} was ended by {signal_name(-left.code)}, perhaps for want of "
                    f"memory: run this again with fewer --jobs; its log is {log}\n{tail(log)}"
                ) from None
            failure = f"exit code {left.code}"
        try:
            tests, failed = get_results(results)
        except RuntimeError:
            tests, failed = 0, 0
        if failed or not tests or failure:
            reason = f"{failed} of {tests} tests failed" if failed else failure or "it left no results"
            raise RuntimeError(f"simulation of {build.name} failed ({reason}), see {log}:\n{tail(log)}")


def tail(log: Path, lines: int = 30) -> str:
    """Last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"
