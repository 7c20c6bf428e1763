"""Builds Verilator simulations, cached by the content of everything that goes into them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cocotb_tools.config
import find_libpython
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import Verilator

from sim.verilator.environment import own_environment, switch
from sim.verilator.plain_path import plain
from sim.verilator.seals import is_whole, seal
from sim.verilator.toolchain import Toolchain, find_toolchain, has_lz4
from sw.checkout import BUILD
from sw.claims import scratch, using
from sw.errors import UserError
from sw.files import check_room, write_atomically

BUILD_FOLDER = BUILD / "sim"
"""Where builds are kept."""

LZ4_STORED = Path(__file__).parent / "lz4_stored" / "lz4.h"

VERILATOR_FLAGS = (
    "-O3",
    "--timing",  # the clock is made in the testbench
    "--timescale", "1ns/1ps",
    "-Wno-fatal", "-Wno-lint", "-Wno-style",  # `hw.verilog.lint` is where warnings count
    "--x-assign", "fast", "--x-initial", "unique",
    "--no-assert",
)  # fmt: skip


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
    ):
        super().__init__()
        for name in ("WAVES", "GUI"):
            switch(name)  # cocotb reads them too, and gives up at other values
        self.log.disabled = True
        self._toolchain, self._fst, self._jobs, self._runtime = toolchain, waves, jobs, runtime
        self._on_line = on_line

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
            with running(command, cwd=cwd, env=self.env) as process:
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


def signal_name(number: int) -> str:
    """Name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


_running: set[subprocess.Popen[str]] = set()


def kill_running() -> None:
    """Kill every child process under way: for an interrupted caller whose worker threads wait for them."""
    for process in list(_running):
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def running(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A child process in a group of its own, of which nothing is left when the block is left, however that happens."""
    process = subprocess.Popen(
        command, cwd=cwd, env=env, encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    _running.add(process)
    try:
        yield process
    finally:
        _kill(process)
        process.wait()
        _running.discard(process)
        if process.stdout is not None:
            process.stdout.close()


def take_objects(runtime: Path, work: Path) -> None:
    """Copy the compiled parts of Verilator's own library into a build; they are most of a small build's time."""
    for path in runtime.glob("verilated*.o"):
        if is_whole(path):
            shutil.copy(path, work)


def keep_objects(work: Path, runtime: Path) -> None:
    """Keep the compiled parts of Verilator's own library for the next build."""
    for path in work.glob("verilated*.o"):
        kept = runtime / path.name
        if not is_whole(kept):
            write_atomically(kept, path.read_bytes())
            seal(kept)


def tail(log: Path, lines: int = 30) -> str:
    """Last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"


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
        Whether the compiler optimises: it takes twice as long, and the program a fifth of the time.

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
    settings = {
        "flags": VERILATOR_FLAGS, "waves": waves, "tools": toolchain.version,
        "make": toolchain.environment["MAKEFLAGS"], "lz4": LZ4_STORED.read_text() if stored else "library",
    }  # fmt: skip
    content = {"sources": dict(sources), "order": list(sources), "top": top, "cocotb": version("cocotb")}
    if not optimise:  # the design; what is kept of Verilator's own library stays as it is
        content["optimise"] = "no"
        make_flags = f"{toolchain.environment['MAKEFLAGS']} OPT_FAST=-O0"  # the last one counts
        toolchain = replace(toolchain, environment={**toolchain.environment, "MAKEFLAGS": make_flags})
    final = folder / f"{name}{'-waves' if waves else ''}-{content_hash(settings | content)}"
    runtime = folder / f"runtime-{content_hash(settings)}"
    build = Build(name, final, top, waves)
    if is_whole(build.program):
        return build
    with scratch(folder, ".build-") as temporary:
        work = temporary.resolve() / "build"
        work.mkdir()
        paths = []
        for file, text in sources.items():
            paths.append(work / file)
            paths[-1].write_text(text, encoding="utf-8")
        flags = [*VERILATOR_FLAGS, *(lz4_flags(work) if stored else ())]
        try:
            Simulation(toolchain, waves=waves, jobs=jobs, runtime=runtime).build(
                sources=paths, hdl_toplevel=top, build_dir=work, always=True, build_args=flags,
                log_file=work / "build.log",
            )  # fmt: skip
        except subprocess.CalledProcessError:
            check_room(work)
            log = (work / "build.log").replace(final.with_name(final.name + ".log"))
            raise UserError(f"the Verilator build of {name} failed, see {log}:\n{tail(log)}") from None
        for leftover in (*work.glob("*.o"), *work.glob("*.a"), *work.glob("*.gch")):
            leftover.unlink()
        seal(work / top)
        if final.exists() and not is_whole(build.program):
            final.rename(temporary / "damaged")
        with contextlib.suppress(OSError):  # another process was faster: its build is the same
            work.rename(final)
    return build


def lz4_flags(work: Path) -> list[str]:
    """Flags that make `LZ4_STORED` and an empty archive stand in for the library, which the makefile asks for."""
    shutil.copy(LZ4_STORED, work)
    (work / "liblz4.a").write_bytes(b"!<arch>\n")
    return ["-CFLAGS", f"-I{work}", "-LDFLAGS", f"-L{work}"]
