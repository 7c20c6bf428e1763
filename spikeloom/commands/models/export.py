"""`spikeloom export`: a training run becomes an artifact with its measured accuracies, an artifact a file of others."""

from __future__ import annotations

import csv
import hashlib
import importlib
import shlex
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hw.user_text import listed
from spikeloom.commands.common import console, data_option, progress_console, recorded, shown
from sw.checkout import BUILD
from sw.errors import UserError
from sw.outputs import OUTPUT_FILE, check_output
from sw.tables import compact_table

if TYPE_CHECKING:
    from torch import Tensor

    from sw.artifact.artifact import Artifact
    from sw.data.sets import ImageSet
    from sw.model.spikformer import Spikformer
    from sw.training.recipe import Recipe

LARGEST_GAP = 0.3
"""Percentage points by which golden and Brevitas model may differ before the export warns; they should be equal."""


FORMATS = {
    "nir": "sw.formats.nir.write:write_nir",
    "qonnx": "sw.formats.qonnx.write:write_qonnx",
}
"""Formats of others by name, each with what writes it: called with an artifact and a path."""


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path), metavar="RECIPE|MODEL")
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)),
    help="Write the artifact MODEL in a format of others, to --out: nir, the Neuromorphic Intermediate Representation; "
    "qonnx, ONNX with quantised weights.",
)  # fmt: skip
@click.option(
    "--run", "folder_of_run", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Folder of the training run.  [default: build/train/<name>]",
)  # fmt: skip
@click.option(
    "--out", type=OUTPUT_FILE, metavar="FILE",
    help="Artifact to write.  [default: <run>/<name>.spikeloom]",
)  # fmt: skip
@click.option(
    "--brevitas-images", type=click.IntRange(1), metavar="N",
    help="Test images for the Brevitas model, which runs in float64 and takes longest.  [default: all]",
)  # fmt: skip
@data_option()
def export(
    recipe: Path, form: str | None, folder_of_run: Path | None, out: Path | None, brevitas_images: int | None,
    folder: Path | None,
) -> None:  # fmt: skip
    """Export the finished training run of RECIPE as an artifact, or, with --format, the artifact MODEL.

    Folds batch norm, proves accumulator and membrane widths, and measures four accuracies over the whole test set:
    the float model, the quantised model as trained, the Brevitas model of the artifact, and the golden model. An
    artifact outside the run's folder gets the run's log and curve as <name>.csv and <name>.png beside it.
    """
    if form is not None:
        _export_format(recipe, form, out)
        return
    from sw.artifact.file import check_path
    from sw.data import sets as data
    from sw.training.recipe import load_recipe

    settings = load_recipe(recipe)
    folder_of_run = folder_of_run or BUILD / "train" / settings.name
    out = check_output(out or folder_of_run / f"{settings.name}.spikeloom")
    check_path(out)

    def read_test() -> ImageSet:
        with progress_console.status(f"reading {settings.data}"):
            return data.load(settings.data, "test", folder=folder)

    export_run(settings, training_command(recipe), folder_of_run, read_test, out, brevitas_images)


def _export_format(model: Path, form: str, out: Path | None) -> None:
    """Write an artifact in a format of others."""
    from sw.artifact.file import load

    context = click.get_current_context()
    unused = [
        param.opts[0]
        for param in context.command.params
        if param.name not in ("recipe", "form", "out")
        and context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
    ]
    if unused:
        raise UserError(
            f"{listed(unused)} {'is' if len(unused) == 1 else 'are'} of training runs; leave out with --format"
        )
    if out is None:
        raise UserError(f"--format {form} needs --out; name the file to write")
    module, name = FORMATS[form].split(":")
    artifact = load(model)
    write = getattr(importlib.import_module(module), name)
    with progress_console.status(f"writing {form}"):
        write(artifact, out)
    console.print(f"{form}: {shown(out)}, {out.stat().st_size:,} bytes")


def training_command(recipe: Path) -> str:
    """What made the run of a recipe, for the artifact's provenance."""
    return shlex.join(["spikeloom", "train", recorded(recipe)])


def export_run(
    settings: Recipe,
    command: str,
    run: Path,
    read_test: Callable[[], ImageSet],
    out: Path,
    brevitas_images: int | None = None,
) -> Artifact:
    """Export a run's quantised model, measure it, and write the artifact.

    Parameters
    ----------
    settings : Recipe
    command : str
        What trained the run.
    run : Path
        The run's folder.
    read_test : callable
        Gives the whole test set; called when the run's models have been read.
    out : Path
        The artifact's path.
    brevitas_images : int, optional
        Test images, the first ones, for the Brevitas model; by default all.

    Raises
    ------
    UserError
        If the run is not finished or does not belong to the recipe.
    """
    import dataclasses

    from golden.evaluate import evaluate as evaluate_golden
    from sw.artifact import file as artifact_file
    from sw.artifact.accuracy import counts
    from sw.data.sets import data_set
    from sw.export.deployed import deployed_model
    from sw.export.fold import export_artifact
    from sw.model.spikformer import Spikformer

    info = data_set(settings.data)
    has_float = settings.float_phase is not None
    float_model = _load(run / "float.pt", lambda: Spikformer(settings.network)) if has_float else None
    quantised = _load(
        run / "quantised.pt", lambda: Spikformer(settings.network, settings.weight_bits, info.image_scale)
    )
    test = read_test()
    artifact = export_artifact(quantised, info, provenance=_provenance(settings, command, run))
    encoded = info.encode(test.images)
    with progress_console.status("measuring the float, the quantised and the Brevitas model on the test set"):
        models = {
            "float": (float_model, len(test), info.image_scale),
            "quantised": (quantised, len(test), info.image_scale),
            "brevitas": (deployed_model(artifact), min(brevitas_images or len(test), len(test)), 1.0),
        }
        accuracy = {
            name: counts(_correct(model, encoded[:images], test.labels[:images], scale), images, test.name)
            for name, (model, images, scale) in models.items()
            if model is not None
        }
    golden = evaluate_golden(artifact, test.images, test.labels)
    accuracy["golden"] = counts(golden.correct, golden.images, test.name)
    artifact = dataclasses.replace(artifact, accuracy=accuracy)
    out.parent.mkdir(parents=True, exist_ok=True)
    artifact_file.save(artifact, out)
    if out.parent.resolve() != run.resolve():
        for record in ("log.csv", "curve.png"):
            if (run / record).is_file():
                shutil.copy(run / record, out.with_suffix(Path(record).suffix))

    table = compact_table("model", "of", "images", "correct", "accuracy", texts=2)
    for name, entry in accuracy.items():
        share = entry["correct"] / entry["images"]
        table.add_row(name, entry["image_set"], f"{entry['images']:,}", f"{entry['correct']:,}", f"{share:.2%}")
    console.print(table)
    gap = 100 * abs(accuracy["golden"]["correct"] - accuracy["brevitas"]["correct"]) / len(test)
    if brevitas_images is None and gap > LARGEST_GAP:
        progress_console.print(f"golden and Brevitas model differ by {gap:.2f} points; they should not", style="yellow")
    console.print(f"artifact: {shown(out)}, {out.stat().st_size:,} bytes")
    return artifact


def _load(path: Path, make: Callable[[], Spikformer]) -> Spikformer:
    import torch

    if not path.is_file():
        raise UserError(f"{path} does not exist: finish the training run first (spikeloom train --resume)")
    model = make()
    try:
        model.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise UserError(f"{path} does not hold this recipe's model ({type(error).__name__}); train again") from error
    return model.eval()


def _correct(model: Spikformer, images: Tensor, labels: Tensor, scale: float) -> int:
    from sw.training.evaluation import evaluate

    return round(evaluate(model, images, labels, scale) * len(labels) / 100)


def _provenance(settings: Recipe, command: str, run: Path) -> dict[str, Any]:
    """How the artifact was made, as plain JSON values."""
    provenance: dict[str, Any] = {
        "command": command,
        "recipe": settings.to_dict(),
        "seed": settings.seed,
        "versions": {name: version(name) for name in ("spikeloom", "torch", "brevitas")},
    }
    log = run / "log.csv"
    if log.is_file():
        text = log.read_text()
        provenance["log"] = list(csv.DictReader(text.splitlines()))
        provenance["log_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return provenance
