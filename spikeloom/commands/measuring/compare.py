"""`spikeloom compare`: the main job."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeElapsedColumn
from rich.text import Text

from spikeloom.commands.common import (
    config_option,
    console,
    hold,
    model_option,
    progress_console,
    recorded,
    shown,
    technology_option,
    write_json,
)
from spikeloom.commands.images import ImageChoice, data_options, images_for
from sw.checkout import BUILD
from sw.claims import first_free, using
from sw.outputs import OUTPUT_FILE, check_output
from sw.plain_console import text_column

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from hw.parts.technology import Technology
    from sw.data.event_stream import SplitBy

IMAGES = 16
"""Images in RTL, if no number is given."""

STALL_PERCENT = 30
"""Share of cycles in which memory stalls with ``--stalls``."""


@click.command()
@model_option()
@click.option(
    "--images", "count", type=click.IntRange(1), metavar="N",
    help=f"Images to run in RTL.  [default: {IMAGES}, or all of your file if it has fewer]",
)  # fmt: skip
@click.option(
    "--traced", type=click.IntRange(0), default=4, show_default=True, help="Of these, images compared spike by spike."
)
@click.option(
    "--brevitas", type=click.IntRange(0), metavar="N",
    help="Images compared spike by spike between Brevitas and golden model.  [default: those traced]",
)  # fmt: skip
@config_option()
@technology_option()
@data_options
@click.option("--full", "whole", is_flag=True, help="Golden model over the whole test set, fetched if need be.")
@click.option("--stalls", is_flag=True, help=f"External memory stalls at random, {STALL_PERCENT} % of cycles.")
@click.option(
    "--flip", "flips", multiple=True, metavar="LAYER.PART|BEAT:BIT",
    help="Corrupt a bit of the memory image: PART is descriptor, bias, threshold or weight. Must end in a mismatch.",
)  # fmt: skip
@click.option(
    "-j", "--jobs", type=click.IntRange(1), default=2, show_default=True, help="Simulators, and compilers, at a time."
)
@click.option(
    "--out", type=OUTPUT_FILE, metavar="FILE",
    help="Where the figures go.  [default: build/compare.json; build/compare-2.json beside a run that works there]",
)  # fmt: skip
def compare(
    model: Path,
    count: int | None,
    traced: int,
    brevitas: int | None,
    config: HardwareConfig,
    technology: Technology,
    file: Path | None,
    split_by: SplitBy,
    folder: Path | None,
    whole: bool,
    stalls: bool,
    flips: tuple[str, ...],
    jobs: int,
    out: Path | None,
) -> int:
    """Run a model in RTL, golden model and Brevitas; compare every spike; print the table.

    The golden model classifies all images of the sample (or of the whole test set); the first --images also run
    through the Verilog in Verilator, and of those the first --traced are compared neuron by neuron in every layer.
    Exit code 1 if anything differs, with the place of the first difference. WAVES=1 in the environment writes
    waveforms.
    """
    from sim.comparison.compare import Comparison
    from sim.comparison.report import render
    from sim.faults import find_flip
    from spikeloom.measure.compare_file import PROVENANCE, provenance, sealed
    from sw.artifact.file import load
    from sw.compiler.compiler import compile_artifact

    artifact = load(model)
    program = compile_artifact(artifact, config)
    data = images_for(artifact, ImageChoice(file=file, split_by=split_by, folder=folder, whole=whole, count=count))
    if count is None and len(data) < IMAGES:
        progress_console.print(f"{data.name} has fewer images than the usual {IMAGES}: all of its {len(data)} run")
    hold(using(BUILD / "sim"))
    run_folder = hold(first_free(check_output(BUILD / "compare", folder=True), _taken))
    out = out or check_output(run_folder.with_suffix(".json"))
    comparison = Comparison(
        artifact=artifact,
        program=program,
        data=data,
        name=shown(model),
        images=min(IMAGES, len(data)) if count is None else count,
        traced=traced,
        brevitas=brevitas,
        stall_percent=STALL_PERCENT if stalls else 0,
        flips=tuple(find_flip(program, flip) for flip in flips),
        technology=technology,
        jobs=jobs,
        folder=run_folder,
    )
    command = shlex.join(["spikeloom", *sys.argv[1:]])
    origin = provenance(command, recorded(model), model.read_bytes(), program, recorded(run_folder))
    (run_folder / PROVENANCE).unlink(missing_ok=True)  # what lies there is about to be another run's
    with _progress() as progress:
        report = comparison.run(progress)
    figures = report.to_dict()
    write_json(run_folder / PROVENANCE, origin)
    write_json(out, sealed({**figures, "provenance": origin}))
    render(figures, console)
    console.print(f"figures: {shown(out)}")
    if report.mismatch is not None:
        console.print(Text("MISMATCH", "bold red"), report.mismatch, soft_wrap=True)
        return 1
    console.print(Text.assemble(("equal", "bold green"), ": no mismatch of any kind"))
    return 0


def _taken(holder: str) -> None:
    """Say why this run has a folder with a number."""
    progress_console.print(f"{shown(BUILD / 'compare')} is in use by {holder}: this run has a folder of its own")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar per phase; the function it yields takes the phase's name, what is done and the total."""
    columns = (text_column("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=progress_console) as bars:

        def show(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase)
            bars.update(tasks[phase], completed=done, total=total)

        yield show
