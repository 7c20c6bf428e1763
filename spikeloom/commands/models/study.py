"""`spikeloom study`: variants of a recipe are trained, exported and compared."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spikeloom.commands.common import (
    config_option,
    console,
    data_option,
    hold,
    progress_console,
    recorded,
    shown,
    tensorboard_option,
)
from sw.checkout import BUILD
from sw.claims import claimed
from sw.errors import UserError
from sw.outputs import OUTPUT_FOLDER, check_output

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from sw.data.sets import ImageSet
    from sw.training.recipe import Recipe
    from sw.training.run.checkpoint import Progress

BREVITAS_IMAGES = 256
"""Test images of a variant that the Brevitas model runs on at export; all of them would take longer than the rest."""


@click.command()
@click.argument("study_file", type=click.Path(path_type=Path), metavar="STUDY")
@config_option()
@data_option()
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="What trains.  [default: a GPU if there is one]")
@tensorboard_option()
@click.option(
    "--images", "count", type=click.IntRange(1), metavar="N",
    help="Compare on the first N test images only.  [default: all]",
)  # fmt: skip
@click.option(
    "--out", type=OUTPUT_FOLDER, metavar="DIR",
    help="Folder of the study: a run's folder for each variant, table and plot.  [default: build/study/<name>]",
)  # fmt: skip
def study(
    study_file: Path, config: HardwareConfig, folder: Path | None, device: str | None, tensorboard: bool,
    count: int | None, out: Path | None,
) -> None:  # fmt: skip
    """Train the variants of STUDY, export them, and compare them as `spikeloom codesign` does.

    STUDY is a TOML file: `recipe`, a path relative to it, and a table [variants.NAME] for each variant, whose keys
    replace the recipe's. What an earlier call finished is not trained again, what it left half-done goes on. Variants
    that differ in weight_bits and [quantised_phase] alone share one float phase. Accuracies are of the golden model
    over the test set, cycles of the cycle model on --config. Figures and plot are codesign.json and codesign.png in the
    study's folder.
    """
    from sw.training.memory import keep_memory

    keep_memory()
    from spikeloom.commands.images import ImageChoice, first_images
    from spikeloom.commands.measuring.codesign import measure_all, report
    from spikeloom.commands.models.export import export_run
    from sw.artifact.file import SUFFIX
    from sw.data import sets as data
    from sw.training.processes import Processes
    from sw.training.run.event_log import EventLog, check_tensorboard
    from sw.training.study import load_study
    from sw.training.trainer import Trainer

    if tensorboard:
        check_tensorboard()
    settings = load_study(study_file)
    out = check_output(out or BUILD / "study" / settings.name, folder=True)
    finished = {name: _is_finished(recipe, out / name) for name, recipe in settings.variants.items()}
    processes = Processes.start(device)
    if processes.count > 1:
        raise UserError(
            f"a study trains in one process, not {processes.count}: call it without torchrun, or train the variants "
            "one by one and compare them with spikeloom codesign"
        )

    hold(claimed(out))

    @cache
    def images(name: str, split: data.Split) -> ImageSet:
        with progress_console.status(f"reading {name}"):
            return data.load(name, split, folder=folder)

    for name in dict.fromkeys(recipe.data for recipe in settings.variants.values() if count is not None):
        first_images(images(name, "test"), count)  # said before anything is trained
    artifacts = {name: out / name / f"{name}{SUFFIX}" for name in settings.variants}
    earlier: list[tuple[Recipe, Path]] = []
    for number, (name, recipe) in enumerate(settings.variants.items(), 1):
        console.print(f"variant {number} of {len(artifacts)}, {name}: {'finished' if finished[name] else 'training'}")
        run = out / name
        if not finished[name]:
            run.mkdir(parents=True, exist_ok=True)
            artifacts[name].unlink(missing_ok=True)  # of a run that is not there any more
            train, test = images(recipe.data, "train"), images(recipe.data, "test")
            begin = _shared_float_run(recipe, run, earlier)
            Trainer(
                recipe, train, test, run, resume=True, begin=begin, console=progress_console, processes=processes,
                on_epoch=hold(EventLog(run, recipe, test)).epoch if tensorboard else None,
            ).run()  # fmt: skip
        earlier.append((recipe, run))
        if not artifacts[name].is_file():
            command = f"{shlex.join(['spikeloom', 'study', recorded(study_file)])}, variant {name}"
            test_set = partial(images, recipe.data, "test")
            export_run(recipe, command, run, test_set, artifacts[name], BREVITAS_IMAGES)
    console.print(f"runs and artifacts: {shown(out)}")
    report(
        measure_all(artifacts, config, ImageChoice(folder=folder, whole=True, count=count)),
        config,
        out / "codesign.json",
    )


def _shared_float_run(recipe: Recipe, run: Path, earlier: Sequence[tuple[Recipe, Path]]) -> Progress | None:
    """Take the float phase of an earlier variant that had the same, if there is one.

    Returns
    -------
    Progress, optional
        Where the variant begins: at its quantised phase, with the models of the phases before in its folder.
    """
    from sw.training.phases import phases_of
    from sw.training.run import checkpoint
    from sw.training.study import same_float_run

    if (run / checkpoint.FILE).exists():
        return None
    phases = [phase.name for phase in phases_of(recipe)[:-1]]
    for other, folder in earlier:
        if phases and same_float_run(recipe, other) and all((folder / f"{name}.pt").is_file() for name in phases):
            for name in phases:
                shutil.copyfile(folder / f"{name}.pt", run / f"{name}.pt")
            progress, _, _ = checkpoint.load(folder / checkpoint.FILE, other.to_dict())
            console.print(f"its float phase is that of {other.name}")
            return checkpoint.Progress(phase=len(phases), rows=[row for row in progress.rows if row["phase"] in phases])
    return None


def _is_finished(recipe: Recipe, run: Path) -> bool:
    """Whether a variant's run is over.

    Raises
    ------
    UserError
        If its folder holds the run of another recipe: said before anything is trained.
    """
    from sw.training.phases import phases_of
    from sw.training.run import checkpoint

    path = run / checkpoint.FILE
    if not path.exists():
        return False
    try:
        progress, _, _ = checkpoint.load(path, recipe.to_dict())
    except UserError as error:
        raise UserError(f"variant {recipe.name}: {error}") from error
    return progress.phase == len(phases_of(recipe))
