"""`spikeloom test`, `sim`, `lint` and `clean`: the project's own chores."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys

import click
from rich.text import Text

from spikeloom.commands.common import Decorator, console, shown
from sw.checkout import BUILD, ROOT
from sw.claims import InUse, delete, users, using
from sw.errors import UserError

MOST_JOBS = 8
"""Test processes at most by default; each may hold a model or compile a simulation."""

KEPT = ("train", "study")
"""Folders of `build` that `clean` leaves alone: hours of training."""

PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}
"""Context settings of a command that hands the rest of its arguments on."""


def _jobs_option() -> Decorator:
    default = min(os.cpu_count() or 1, MOST_JOBS)
    return click.option(
        "-j", "--jobs", type=click.IntRange(1), default=default, show_default="the machine's cores, at most 8",
        help="Test processes.",
    )  # fmt: skip


def run_pytest(arguments: list[str], jobs: int) -> int:
    """Run pytest in the checkout.

    Parameters
    ----------
    arguments : list of str
        Of pytest.
    jobs : int
        Processes.

    Returns
    -------
    int
        0 if all passed, 1 if a test failed.

    Raises
    ------
    UserError
        If there is nothing to run or pytest could not start.
    """
    if not (ROOT / "tests").is_dir():
        raise UserError(f"{ROOT / 'tests'} does not exist: run the tests in a checkout")
    spread = ["-n", str(jobs), "--dist", "loadfile"] if jobs > 1 else []
    command = [sys.executable, "-m", "pytest", *spread, *arguments]
    # One thread per process: the processes are what fills the cores.
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "PYTHONHASHSEED": "0"}
    with using(BUILD / "sim"):
        code = run_child(command, environment)
    if code in (0, 1):
        return code
    reasons = {2: "was interrupted", 4: "did not understand its arguments", 5: "found no such test"}
    raise UserError(f"pytest {reasons.get(code, f'ended with code {code}')}; see its output above")


def run_child(command: list[str], environment: dict[str, str] | None = None, extra: str = "dev") -> int:
    """Run a Python module of the development tools, of the extra `extra`, in the checkout; its exit code.

    Whatever ends this process ends the child too, and lets it clean up: first as Ctrl-C does, which a terminal has
    told both of them already.

    Raises
    ------
    UserError
        If it is not installed: to Python that is exit code 1, which would say that it found something.
    """
    module = command[2]
    if importlib.util.find_spec(module) is None:
        raise UserError(f"{module} is not installed: pip install --constraint constraints.txt --editable '.[{extra}]'")
    with subprocess.Popen(command, cwd=ROOT, env=environment) as child:
        try:
            return child.wait()
        except BaseException as error:
            if not isinstance(error, KeyboardInterrupt):
                child.send_signal(signal.SIGINT)
            child.wait()
            raise


@click.command(context_settings=PASS_ON)
@_jobs_option()
@click.option("--long", "run_long", is_flag=True, help="The long tests too, such as RTL over 500 images.")
@click.argument("arguments", nargs=-1, metavar="[-- PYTEST ARGUMENTS]")
def test(jobs: int, run_long: bool, arguments: tuple[str, ...]) -> int:
    """Run the test suite: golden model, hardware units, simulation, command line.

    Arguments after the options go to pytest: spikeloom test -k attention.
    """
    return run_pytest([*([] if run_long else ["-m", "not long"]), *arguments], jobs)


@click.command(context_settings=PASS_ON)
@_jobs_option()
@click.argument("arguments", nargs=-1, metavar="[-- PYTEST ARGUMENTS]")
def sim(jobs: int, arguments: tuple[str, ...]) -> int:
    """Run the cocotb/Verilator suite: units, engines and whole networks, with and without stalls.

    WAVES=1 in the environment writes waveforms (FST) and GTKWave save files into build/.
    """
    return run_pytest(["tests/sim", "-m", "not long", *arguments], jobs)


@click.command()
@click.option("--fix", is_flag=True, help="Mend style and formatting where that is mechanical.")
def lint(fix: bool) -> int:
    """Check style (ruff), formatting (ruff format) and types (mypy)."""
    checks = {
        "style": ["ruff", "check", *(["--fix"] if fix else []), "."],
        "formatting": ["ruff", "format", *([] if fix else ["--check"]), "."],
        "types": ["mypy"],
    }
    failed = []
    for name, command in checks.items():
        console.print(Text.assemble((name, "bold"), f": {' '.join(command)}"))
        if run_child([sys.executable, "-m", *command]):
            failed.append(name)
    if failed:
        console.print(f"found problems: {', '.join(failed)}")
    return int(bool(failed))


@click.command()
@click.option(
    "--all", "everything", is_flag=True, help="Training runs in build/train, build/study and fetched data sets too."
)
def clean(everything: bool) -> None:
    """Delete what builds and tests have written; keeps build/train, build/study and data/cache."""
    from sim.verilator.plain_path import links_into

    doomed = [path for path in BUILD.glob("*") if everything or path.name not in KEPT]
    doomed += [ROOT / name for name in (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis")]
    if everything:
        doomed.append(ROOT / "data" / "cache")
    doomed.append(ROOT / "docs" / "reference")
    for folder in ("golden", "hw", "sim", "spikeloom", "sw", "tests"):
        doomed += (ROOT / folder).rglob("__pycache__")
    doomed += links_into(ROOT)
    doomed = [path for path in doomed if path.exists() or path.is_symlink()]
    for path in doomed:
        if path.is_dir() and not path.is_symlink() and (holders := users(path)):
            raise InUse(path, holders[0])
    for path in doomed:
        delete(path, BUILD)
        if path.name != "__pycache__":
            console.print(f"deleted {shown(path)}")
