"""The command line: `spikeloom <command>`.

Exit codes: 0 success, 1 a comparison or a test suite found a difference, 2 anything the user can mend (bad input,
missing tool, no space, interrupted), always with one line on standard error that says what and how.
"""

from __future__ import annotations

import errno
import importlib
import keyword
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from sw.errors import UserError

COMMANDS = {
    "compare": ("compare", "Run a model in RTL, golden model and Brevitas; compare every spike; print the table."),
    "test": ("project", "Run the test suite."),
    "sim": ("project", "Run the cocotb/Verilator part of the test suite."),
    "verilog": ("verilog", "Write the accelerator's Verilog and its description, and lint it."),
    "synth": ("synth", "Synthesise with Yosys and count what it takes, in total and by module."),
    "fmax": ("fmax", "Place and route on an ECP5 with nextpnr: clock frequency and slowest paths."),
    "train": ("train", "Train a model by a recipe, then export it."),
    "study": ("study", "Train variants of a recipe, export them, and compare what they gain and cost."),
    "training-speed": ("training_speed", "Time training on this machine, beside SpikingJelly's if it is installed."),
    "split": ("parts", "Cut a checkpoint into parts below 16 MB."),
    "join": ("parts", "Put the parts of a checkpoint together."),
    "export": ("export", "Export a finished training run as an artifact."),
    "import": ("import_checkpoint", "Make an artifact of somebody else's Spikformer checkpoint, without training."),
    "random": ("random_model", "Write an artifact of random weights, for any size."),
    "info": ("info", "Show what an artifact holds."),
    "energy": ("energy", "Show operations and energy of every layer: the paper's formula beside what is counted."),
    "statistics": ("statistics", "Show firing rates, residual integers, and the planes and words that are zero."),
    "codesign": ("codesign", "Compare artifacts: accuracy against cycles, bytes and energy, as table and plot."),
    "data": ("data", "Fetch and verify data sets."),
    "samples": ("data", "Write the committed samples again from the whole data sets."),
    "bench": ("bench", "Measure the figures of merit and show them beside their targets."),
    "docs": ("docs", "Write the generated reference tables in docs/."),
    "lint": ("project", "Check style, formatting and types."),
    "clean": ("project", "Delete what builds and tests have written."),
}
"""Command name to its module in `sw.commands` and its line of help; nothing is imported before it is called."""

MENDABLE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}
"""Errors of the operating system that are the user's to mend."""

LEAST_FREE = 1 << 20
"""Bytes; with less than that a disk is full for the purposes of this program."""

EXIT_DIFFERENT = 1
EXIT_MENDABLE = 2


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that help is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of `COMMANDS`, which is that of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"sw.commands.{COMMANDS[cmd_name][0]}")
        name = cmd_name.replace("-", "_")
        command = getattr(module, f"{name}_" if keyword.iskeyword(name) else name)  # Python keeps `import` to itself
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _version() -> str:
    try:
        return version("spikeloom")
    except PackageNotFoundError:
        return "not installed"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(_version(), prog_name="spikeloom")
def cli() -> None:
    """Spikformer on an FPGA: train, export, simulate the accelerator, and prove it equal spike for spike."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process by default.

    Returns
    -------
    int
        The exit code.
    """
    try:
        code = cli.main(arguments, prog_name="spikeloom", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return EXIT_MENDABLE
    except (Exception, KeyboardInterrupt) as error:
        text = explain(error)
        if text is None:
            raise
        sys.stdout.flush()
        # What follows a first line, such as the end of a log, is in the file that the first line names.
        sys.stderr.write(f"spikeloom: {text.splitlines()[0].rstrip(':')}\n")
        return EXIT_MENDABLE
    return code if isinstance(code, int) else 0


def explain(error: BaseException) -> str | None:
    """What the user can do about an exception; None if it is a bug."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, click.UsageError):
        where = error.ctx.command_path if error.ctx else "spikeloom"
        return f"{error.format_message().rstrip('.')}; see {where} --help"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return "interrupted; nothing half-written is left, run the command again"
    if isinstance(error, OSError) and error.errno in MENDABLE:
        place = f"{error.filename}: " if error.filename else ""
        remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose a place you may write to"
        return f"{place}{(error.strerror or 'not possible').lower()}; {remedy}"
    if (full := full_disk()) is not None:
        # Libraries and child processes report a full disk in ways of their own.
        return f"{full}: no space left on device ({type(error).__name__}); free some space"
    return None


def full_disk() -> Path | None:
    """First of the places that commands write to whose disk is full; None if all have room."""
    for place in (Path(__file__).resolve().parents[1], Path.cwd(), Path(tempfile.gettempdir())):
        if shutil.disk_usage(place).free < LEAST_FREE:
            return place
    return None


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
