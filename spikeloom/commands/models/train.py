"""`spikeloom train`: a recipe becomes a trained model and an artifact."""

from __future__ import annotations

from pathlib import Path

import click

from spikeloom.commands.common import console, data_option, hold, progress_console, shown, tensorboard_option
from sw.checkout import BUILD
from sw.claims import claimed
from sw.outputs import OUTPUT_FOLDER, check_output


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@data_option()
@click.option(
    "--out", type=OUTPUT_FOLDER, metavar="DIR",
    help="Folder of the run: checkpoint, log, curve, models.  [default: build/train/<name>]",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Continue from the folder's checkpoint.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="What trains.  [default: a GPU if there is one]")
@click.option(
    "--evaluate-every", type=click.IntRange(1), default=1, show_default=True, help="Epochs between test accuracies."
)
@tensorboard_option()
@click.option("--export/--no-export", "export_it", default=True, show_default=True, help="Export when done.")
def train(
    recipe: Path,
    folder: Path | None,
    out: Path | None,
    resume: bool,
    device: str | None,
    evaluate_every: int,
    tensorboard: bool,
    export_it: bool,
) -> None:
    """Train a model by RECIPE, then export it.

    A teacher if the recipe has one, a float phase, then quantisation-aware training from its weights. Ctrl-C ends the
    run after the step in progress with its checkpoint written; --resume continues to the same weights. The run's folder
    gets log.csv (a row per epoch, with the seed), curve.png, float.pt, quantised.pt and <name>.spikeloom.

    Several devices or machines: torchrun --nproc-per-node 8 -m spikeloom.cli train RECIPE. Each process takes its
    part of every batch.
    """
    from sw.training.memory import keep_memory

    keep_memory()
    from spikeloom.commands.models.export import export_run, training_command
    from sw.data import sets as data
    from sw.training.processes import Processes
    from sw.training.recipe import load_recipe
    from sw.training.run.event_log import EventLog, check_tensorboard
    from sw.training.trainer import Trainer, run_folder

    if tensorboard:
        check_tensorboard()
    settings = load_recipe(recipe)
    out = check_output(out or BUILD / "train" / settings.name, folder=True)
    run_folder(settings, out).check(resume=resume)
    processes = Processes.start(device)
    if processes.rank == 0:
        hold(claimed(out))
    with processes.first_alone(), progress_console.status(f"reading {settings.data}"):
        images = data.load(settings.data, "train", folder=folder)
        test = data.load(settings.data, "test", folder=folder)
        out.mkdir(parents=True, exist_ok=True)
    Trainer(
        settings, images, test, out, resume=resume, console=progress_console, processes=processes,
        evaluate_every=evaluate_every, on_epoch=hold(EventLog(out, settings, test)).epoch if tensorboard else None,
    ).run()  # fmt: skip
    if processes.rank > 0:
        return
    console.print(f"trained: {shown(out / 'log.csv')}, {shown(out / 'curve.png')}")
    if export_it:
        export_run(settings, training_command(recipe), out, lambda: test, out / f"{settings.name}.spikeloom")
