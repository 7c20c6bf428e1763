"""`spikeloom codesign`: artifacts side by side, accuracy against what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn
from rich.table import Table

from spikeloom.commands.common import config_option, console, out_option, progress_console, shown, write_json
from spikeloom.commands.images import ImageChoice, measured_images, measuring_options
from sw.errors import UserError
from sw.plain_console import text_column
from sw.tables import compact_table

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from spikeloom.measure.codesign import Variant


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="ARTIFACT...")
@config_option()
@measuring_options
@out_option("codesign.json", "Where the figures go; a plot goes beside them, as .png.")
def codesign(artifacts: tuple[Path, ...], config: HardwareConfig, choice: ImageChoice, out: Path) -> None:
    """Compare artifacts: accuracy of the golden model against cycles, bytes and energy, as table and plot.

    ARTIFACT is a file, or a folder whose artifacts are all taken. Cycles are those of the cycle model on --config; what
    does not fit it keeps its row, with the reason. Pareto fronts are of artifacts that classified the same images.
    """
    report(measure_all(named(find_artifacts(artifacts)), config, choice), config, out)


def measure_all(paths: Mapping[str, Path], config: HardwareConfig, choice: ImageChoice) -> list[Variant]:
    """Measure artifacts, in their order, with a bar for each.

    Parameters
    ----------
    paths : mapping of str to Path
        Artifacts by the name of their row.
    config : HardwareConfig
        What cycles and programs are of.
    choice : ImageChoice
        Which images.

    Raises
    ------
    UserError
        If an artifact cannot be read, or has no images.
    """
    from sim.rtl import MEMORY_LATENCY
    from spikeloom.measure.codesign import measure_variant
    from sw.artifact.file import load

    variants = []
    columns = (text_column("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=progress_console) as bars:
        for name, path in paths.items():
            artifact = load(path)
            data = measured_images(artifact, choice)
            variant = measure_variant(
                name,
                artifact,
                config,
                data.images,
                data.labels,
                memory_latency=MEMORY_LATENCY,
                image_set=data.name,
                labelled=data.labelled,
                progress=partial(_advance, bars, bars.add_task(name, total=len(data))),
            )
            variants.append(variant)
    return variants


def report(variants: Sequence[Variant], config: HardwareConfig, out: Path) -> None:
    """Write and print the comparison of artifacts measured on `config`, and draw it beside `out`."""
    from sim.rtl import MEMORY_LATENCY
    from spikeloom.measure.codesign import COSTS, fronts
    from spikeloom.measure.codesign_plot import write_codesign

    unbeaten = {
        cost: {image_set: [variant.name for variant in front] for image_set, front in fronts(variants, cost).items()}
        for cost in COSTS
    }
    figures = {
        "config": config.to_dict(),
        "memory_latency": MEMORY_LATENCY,
        "variants": [variant.to_dict() for variant in variants],
        "fronts": unbeaten,
    }
    write_json(out, figures)
    for measured in sorted({(variant.image_set, variant.images) for variant in variants}):
        rows = [variant for variant in variants if (variant.image_set, variant.images) == measured]
        for table in (variant_table(rows, *measured), cost_table(rows)):
            console.print(table)
    for variant in variants:
        if variant.refusal is not None:
            console.print(f"{variant.name} does not fit {config.name}: {variant.refusal}")
    for cost, by_set in unbeaten.items():
        for image_set, names in by_set.items():
            console.print(f"unbeaten in accuracy and {cost}, {image_set}: {', '.join(names)}")
    if all(variant.accuracy is None for variant in variants):
        console.print(f"figures: {shown(out)}; no plot, for no accuracy means anything")
        return
    picture = out.with_suffix(".png")
    write_codesign(picture, variants)
    console.print(f"figures: {shown(out)}, plot: {shown(picture)}")


def _advance(bars: Progress, task: TaskID, done: int) -> None:
    bars.update(task, completed=done)


def find_artifacts(places: Sequence[Path]) -> list[Path]:
    """Files as they are, folders as all artifacts below them, in the order of their names; none twice.

    Raises
    ------
    UserError
        If a folder holds none.
    """
    from sw.artifact.file import SUFFIX

    found: list[Path] = []
    for place in places:
        inside = sorted(place.rglob(f"*{SUFFIX}")) if place.is_dir() else [place]
        if not inside:
            raise UserError(f"{place}: the folder holds no artifact (*{SUFFIX}); train one or name another folder")
        found += inside
    return list({path.resolve(): path for path in found}.values())


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Paths by the file's name without suffix, or by the whole path where names are the same."""
    count = Counter(path.stem for path in paths)
    return {path.stem if count[path.stem] == 1 else shown(path): path for path in paths}


def variant_table(variants: Sequence[Variant], image_set: str, images: int) -> Table:
    """A row for every artifact that was measured on the same images: what it is and how often it is right."""
    table = compact_table(
        "artifact", "network", "T", "bits", "correct", "cycles", "counted: uJ", texts=2,
        title=f"Accuracy over {images:,} images of {image_set}, and what an image costs",
    )  # fmt: skip
    for variant in variants:
        table.add_row(
            variant.name,
            f"{variant.depth}-{variant.embed_dim} {variant.residual_mode}{'' if variant.neuron == 'lif' else ' if'}",
            str(variant.timesteps),
            str(variant.weight_bits),
            "-" if variant.accuracy is None else f"{variant.accuracy:.2%}",
            "-" if variant.cycles is None else f"{variant.cycles:,}",
            f"{variant.counted_j * 1e6:.2f}",
        )
    return table


def cost_table(variants: Sequence[Variant]) -> Table:
    """The same rows: bytes, spikes, operations, and the energy of the paper's formula."""
    table = compact_table("artifact", "weights, kB", "program, kB", "spikes", "executed Mops", "paper: uJ")
    for variant in variants:
        table.add_row(
            variant.name,
            f"{variant.weight_bytes / 1e3:,.1f}",
            "-" if variant.program_bytes is None else f"{variant.program_bytes / 1e3:,.1f}",
            f"{variant.spikes:,.0f}",
            f"{variant.executed_sops / 1e6:,.2f}",
            f"{variant.paper_j * 1e6:.2f}",
        )
    return table
