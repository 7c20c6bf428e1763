"""The command line: `spikeloom <command>`.

Exit codes: 0 success; 1 a comparison, a test suite or a check found a difference, and nothing else; 2 anything the user
can mend (bad input, missing tool, no space, interrupted), always with one line on standard error that says what and
how; 70 a bug of Spikeloom, with its traceback; 141 whoever read the output left before its end.
"""

from __future__ import annotations

import errno
import importlib
import keyword
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from sw.checkout import BUILD, ROOT
from sw.errors import UserError
from sw.files import is_full
from sw.interrupts import Terminated, termination_unwinds
from sw.outputs import PLACES
from sw.streams import discard_output, prepare_streams

COMMANDS = {
    "compare": (
        "measuring.compare",
        "Run a model in RTL, golden model and Brevitas; compare every spike; print the table.",
    ),
    "report": ("measuring.report", "Write a page about a comparison: one HTML file that opens from disk."),
    "run": ("hardware.run", "Classify images on a board or its simulation: accuracy, throughput, counters."),
    "test": ("project", "Run the test suite."),
    "sim": ("project", "Run the cocotb/Verilator part of the test suite."),
    "verilog": ("hardware.verilog", "Write the accelerator's Verilog and its description, and lint it."),
    "ip": ("hardware.ip", "Write the accelerator as an IP core for Vivado, PYNQ, FuseSoC and bare-metal C."),
    "synth": ("hardware.synth", "Synthesise with Yosys and count what it takes, in total and by module."),
    "bitstream": ("hardware.bitstream", "Build a board's bitstream with open tools: Yosys, nextpnr, ecppack."),
    "board-sim": ("hardware.board_sim", "Classify images on a simulated board, through its serial pins."),
    "fmax": ("hardware.fmax", "Place and route on an ECP5 with nextpnr: clock frequency and slowest paths."),
    "formal": ("hardware.formal", "Prove that the accelerator keeps the rules of AXI at its ports."),
    "train": ("models.train", "Train a model by a recipe, then export it."),
    "study": ("models.study", "Train variants of a recipe, export them, and compare what they gain and cost."),
    "training-speed": (
        "measuring.training_speed",
        "Time training on this machine, beside SpikingJelly's if it is installed.",
    ),
    "export": ("models.export", "Export a finished training run as an artifact, or an artifact in a format of others."),
    "import": (
        "models.import_checkpoint",
        "Make an artifact of somebody else's Spikformer checkpoint, or of a NIR file, without training.",
    ),
    "random": ("models.random_model", "Write an artifact of random weights, for any size."),
    "info": ("models.info", "Show what an artifact holds."),
    "energy": (
        "measuring.energy",
        "Show operations and energy of every layer: the paper's formula beside what is counted.",
    ),
    "statistics": (
        "measuring.statistics",
        "Show firing rates, residual integers, and the planes and words that are zero.",
    ),
    "codesign": (
        "measuring.codesign",
        "Compare artifacts: accuracy against cycles, bytes and energy, as table and plot.",
    ),
    "finn-reports": (
        "measuring.finn_reports",
        "Write cycles, resources and performance in files with FINN's names and keys.",
    ),
    "data": ("models.data", "Fetch and verify data sets."),
    "samples": ("models.data", "Write the committed samples again from the whole data sets."),
    "bench": ("measuring.bench", "Measure the figures of merit and show them beside their targets."),
    "docs": ("docs", "Write the generated reference tables in docs/, and build the site."),
    "lint": ("project", "Check style, formatting and types."),
    "clean": ("project", "Delete what builds and tests have written."),
}
"""Command name to its module in `spikeloom.commands` and its line of help; nothing is imported before it is called."""

FULL = (errno.ENOSPC, errno.EDQUOT)

REMEDIES = {
    **dict.fromkeys(FULL, "free some space"),
    **dict.fromkeys((errno.ENOMEM, errno.EAGAIN), "free some memory, or ask for fewer --jobs"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the limit (ulimit -n), or ask for fewer --jobs"),
    errno.EEXIST: "delete or move what is in the way",
    errno.EIO: "check the disk",
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
        "choose a place you may write to",
    ),
}
"""What to do about errors of the operating system that are the user's to mend."""

EXIT_DIFFERENT = 1
EXIT_MENDABLE = 2
EXIT_BUG = 70
"""EX_SOFTWARE of sysexits.h; Python's own 1 would say that a comparison found a difference."""
EXIT_UNREAD = 141
"""What a shell reports of programs whose reader left: 128 and SIGPIPE."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that help is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of `COMMANDS`, which is that of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"spikeloom.commands.{COMMANDS[cmd_name][0]}")
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
    if not (ROOT / "models").is_dir():
        raise UserError(f"{ROOT} is no checkout, whose models, samples and recipes commands use: clone it, make venv")


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
        with termination_unwinds():
            code = _invoke(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        with suppress(OSError):
            error.show()
        return EXIT_MENDABLE
    except (Exception, KeyboardInterrupt, Terminated) as error:
        if isinstance(error, BrokenPipeError):
            discard_output()
            return EXIT_UNREAD
        text = explain(error)
        if text is None:
            raise
        with suppress(OSError):
            # What follows a first line, such as the end of a log, is in the file that the first line names.
            sys.stderr.write(f"spikeloom: {text.splitlines()[0].rstrip(':')}\n")
        discard_output()
        return EXIT_MENDABLE
    return code if isinstance(code, int) else 0


def _invoke(arguments: list[str]) -> object:
    """What `click.Command.main` does, which takes every EOFError for Ctrl-C and a broken pipe for a failure."""
    if "_SPIKELOOM_COMPLETE" in os.environ:  # a shell asks what a word may become
        cli.main(arguments, prog_name="spikeloom")
    try:
        with cli.make_context("spikeloom", arguments) as context:
            return cli.invoke(context)
    except click.exceptions.Exit as left:
        return left.exit_code


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
    if isinstance(error, Terminated):
        return f"ended by {error}; nothing half-written is left, run the command again"
    if isinstance(error, OSError) and error.errno in REMEDIES:
        place = error.filename or (full_disk() if error.errno in FULL else None)
        where = "" if place is None else f"{os.fspath(place)}: "
        return f"{where}{(error.strerror or 'not possible').lower()}; {REMEDIES[error.errno]}"
    if (full := full_disk()) is not None:
        # Libraries and child processes report a full disk in ways of their own.
        return f"{full}: no space left on device ({type(error).__name__}); free some space"
    if isinstance(error, MemoryError) or "not enough memory" in str(error):  # the latter is PyTorch's
        return f"out of memory; {REMEDIES[errno.ENOMEM]}"
    if isinstance(error, EOFError):
        return "a file ends too early; make or fetch the files of this command again"
    return None


def full_disk() -> Path | None:
    """First of the places that commands write to whose disk is full; None if all have room."""
    return next((place for place in _places() if is_full(place)), None)


def _places() -> Iterator[Path]:
    """Folders that commands write to, those named by options first; each may be a disk of its own."""
    for place in PLACES:
        yield next((folder for folder in (place, *place.absolute().parents) if folder.exists()), place)
    for place in (BUILD, ROOT / "data" / "cache"):
        yield from (place, *sorted(inside for inside in place.glob("*") if inside.is_dir()))
    # Not `tempfile.gettempdir`, which fails where every candidate is full.
    temporary = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    yield from (ROOT, Path.cwd(), *(Path(name) for name in temporary if name), Path("/tmp"))


def main() -> None:
    """Entry point of the console script."""
    prepare_streams()
    try:
        code = run()
    except Exception:
        with suppress(OSError):
            traceback.print_exc()
        discard_output()
        code = EXIT_BUG
    sys.exit(code)


if __name__ == "__main__":
    main()
