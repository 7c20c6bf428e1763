"""The command line: `spikeloom <command>`.

Exit codes: 0 success, 1 a comparison or a test suite found a difference, 2 anything the user can mend (bad input,
missing tool, no space, interrupted), always with one line on standard error that says what and how.
"""

from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import click

from sw.errors import UserError

COMMANDS = {
    "compare": ("compare", "Run a model in RTL, golden model and Brevitas; compare every spike; print the table."),
    "test": ("project", "Run the test suite."),
    "sim": ("project", "Run the cocotb/Verilator part of the test suite."),
    "verilog": ("verilog", "Write the accelerator's Verilog and its description, and lint it."),
    "synth": ("synth", "Synthesise with Yosys and count what it takes."),
    "train": ("train", "Train a model by a recipe, then export it."),
    "export": ("export", "Export a finished training run as an artifact."),
    "info": ("info", "Show what an artifact holds."),
    "data": ("data", "Fetch and verify data sets."),
    "samples": ("data", "Write the committed samples again from the whole data sets."),
    "bench": ("bench", "Measure the speed of golden model, simulation and accelerator."),
    "docs": ("docs", "Write the generated reference tables in docs/."),
    "lint": ("project", "Check style, formatting and types."),
    "clean": ("project", "Delete what builds and tests have written."),
}
"""Command name to its module in `sw.commands` and its line of help; nothing is imported before it is called."""

MENDABLE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR}
"""Errors of the operating system that are the user's to mend."""

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
        command = getattr(module, cmd_name)
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
    except UserError as error:
        return _complain(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return EXIT_MENDABLE
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "spikeloom"
        return _complain(f"{error.format_message().rstrip('.')}; see {where} --help")
    except click.ClickException as error:
        return _complain(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted; nothing half-written is left, run the command again")
    except OSError as error:
        if error.errno not in MENDABLE:
            raise
        place = f"{error.filename}: " if error.filename else ""
        remedy = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose a place you may write to"
        return _complain(f"{place}{(error.strerror or 'not possible').lower()}; {remedy}")
    return code if isinstance(code, int) else 0


def _complain(text: str) -> int:
    """Write an error the way all of them look; returns the exit code."""
    sys.stdout.flush()
    sys.stderr.write(f"spikeloom: {text}\n")
    return EXIT_MENDABLE


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
