"""`spikeloom import`: a checkpoint of somebody else's Spikformer, or a NIR graph, becomes an artifact, untrained."""

from __future__ import annotations

import dataclasses
import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from hw.user_text import listed, quoted
from spikeloom.commands.common import console, data_option, progress_console, shown
from spikeloom.commands.images import split_option
from sw.errors import UserError
from sw.layer import IMAGE_BITS, WEIGHT_WIDTHS
from sw.outputs import OUTPUT_FILE
from sw.tables import compact_table

if TYPE_CHECKING:
    from spikeloom.measure.agreement import Agreement
    from sw.artifact.artifact import Artifact
    from sw.data.event_stream import SplitBy
    from sw.data.sets import DataSet, ImageSet
    from sw.importer.images import ImageOptions
    from sw.network import NetworkConfig

TIMESTEPS, EVENT_TIMESTEPS = 4, 16
"""Time steps of every network of images in the paper, and of its best one of event frames."""

LARGEST_LOSS = 1.0
"""Percentage points of accuracy above which the command says what can be done."""


class NumbersType(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them, one for each image channel."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Read them."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(number) for number in value.split(","))
        except ValueError:
            self.fail(f"{quoted(value)} is not a list of numbers such as 0.485,0.456,0.406", param, ctx)


@click.command("import")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", type=OUTPUT_FILE, required=True, help="Artifact to write.")
@click.option(
    "--bits", type=click.Choice([str(bits) for bits in WEIGHT_WIDTHS]), default="4", show_default=True,
    help="Bits of a weight.",
)  # fmt: skip
@click.option(
    "--calibrate", metavar="NAME|FILE|DIR",
    help="Images to correct batch norm with and to measure on: the data set by its name (training images for the one, "
    "test images for the other), or a file of images and labels, frames of events (.npz), a recording (.aedat4), or a "
    "folder with a folder of these for each class.  [default: the committed sample]",
)  # fmt: skip
@split_option
@click.option(
    "--weights", metavar="KEY",
    help="Which weights, where CHECKPOINT holds several, such as state_dict_ema.  [default: the first, no average]",
)  # fmt: skip
@click.option("--heads", type=int, help="Attention heads.  [default: the paper's for this shape]")
@click.option("--timesteps", type=int, help=f"Time steps T.  [default: {TIMESTEPS}, event frames: {EVENT_TIMESTEPS}]")
@click.option(
    "--dataset", "name", metavar="NAME",
    help="Data set it was trained on.  [default: cifar10, imagenet or cifar10-dvs, if channels, classes and pools are "
    "theirs]",
)  # fmt: skip
@click.option("--size", type=int, help="Height and width of the image, if the data set is not built in.")
@click.option(
    "--event-bits", type=click.IntRange(1, IMAGE_BITS),
    help=f"Bits of the largest count of event frames; fewer take fewer cycles.  [default: {IMAGE_BITS}]",
)  # fmt: skip
@click.option("--mean", type=NumbersType(), metavar="R,G,B", help="Means that the training subtracted, in 0..1.")
@click.option("--std", type=NumbersType(), metavar="R,G,B", help="Deviations that it divided by, in 0..1.")
@click.option(
    "--images", "count", type=click.IntRange(1), default=512, show_default=True,
    help="Most images to calibrate with, and to measure agreement and accuracy on.",
)  # fmt: skip
@data_option()
def import_(
    checkpoint: Path, out: Path, bits: str, calibrate: str | None, split_by: SplitBy, weights: str | None,
    heads: int | None, timesteps: int | None, name: str | None, size: int | None, event_bits: int | None,
    mean: tuple[float, ...] | None, std: tuple[float, ...] | None, count: int, folder: Path | None,
) -> None:  # fmt: skip
    """Make an artifact of CHECKPOINT, trained by the Spikformer authors' code, CML's or SpikingJelly's, or a NIR file.

    Weights are rounded to --bits, nothing is trained. The shape of the network is read from the tensors; --heads,
    --timesteps and the normalisation of the images are in no tensor. Batch norm is corrected so that currents keep
    the mean and deviation that they had before the rounding. Agreement of every layer's spikes and accuracy are
    measured, float model against golden model.

    A NIR file of `spikeloom export --format nir` holds every integer: it takes --out only.
    """
    from sw.artifact.file import check_path
    from sw.formats.nir.signature import is_hdf5

    check_path(out)
    if is_hdf5(checkpoint):
        _import_nir(checkpoint, out)
        return
    from spikeloom.measure.agreement import measure_agreement
    from sw.export.fold import export_artifact
    from sw.importer.checkpoint_file import read_weights
    from sw.importer.float_model import float_model
    from sw.importer.images import ImageOptions, image_format
    from sw.importer.quantise import quantise
    from sw.importer.shape import check_tensors, find_layout, network_of
    from sw.importer.weights import shown_name

    chosen = read_weights(checkpoint, weights)
    tensors = chosen.tensors
    options = ImageOptions(name=name, size=size, mean=mean, std=std, event_bits=event_bits)
    try:
        found = find_layout(tensors)
        data = image_format(options, found)
        usual = EVENT_TIMESTEPS if data.event_bits else TIMESTEPS
        network = network_of(
            found, image_size=data.image_size, heads=heads, timesteps=usual if timesteps is None else timesteps,
            event_bits=data.event_bits,
        )  # fmt: skip
        ignored = check_tensors(found.layout, network, tensors)
        model = float_model(found.layout, network, tensors)
    except UserError as error:
        raise UserError(f"{checkpoint}: {error}") from error
    console.print(f"{shown(checkpoint)}: {found.layout.title}, {_shape(network)} ({data.name})")
    if chosen.others:
        taken, others = listed([shown_name(chosen.name)], 60), listed(map(shown_name, chosen.others))
        console.print(f"several weights: {taken} taken, not {others}; --weights KEY takes others")
    if assumed := _assumed(network, data, heads, timesteps, options):
        console.print(f"assumed, for no tensor tells: {', '.join(assumed)}")
    if ignored:
        console.print(f"ignored, for nothing reads them: {listed(ignored)}")
    calibration, measured = _images(data, network, calibrate, split_by, count, folder)
    with progress_console.status("quantising"):
        grid = None if calibration is None else data.encode(calibration.images).float() * data.image_scale
        quantised = quantise(model, int(bits), data.image_scale, grid)
    with checkpoint.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    artifact = export_artifact(
        quantised,
        data,
        provenance={
            "made_by": "spikeloom import",
            "checkpoint": checkpoint.name,
            "checkpoint_sha256": digest,
            "weights": chosen.name,
            "layout": found.layout.name,
            "ignored": ignored,
            "calibration_images": 0 if calibration is None else len(calibration),
            "calibration_set": None if calibration is None else calibration.name,
            "versions": {package: version(package) for package in ("spikeloom", "torch", "brevitas")},
        },
    )
    if measured is not None:
        with progress_console.status(f"running float and golden model on {len(measured)} images"):
            agreement = measure_agreement(model, artifact, data, measured.images, measured.labels)
        if measured.labelled:
            artifact = dataclasses.replace(artifact, accuracy=agreement.accuracy(measured.name))
        _show(agreement, artifact)
    else:
        console.print("no images: nothing was calibrated or measured; give --calibrate")
    _save(artifact, out)


def _import_nir(path: Path, out: Path) -> None:
    """Make an artifact of a NIR file, which tells everything."""
    from sw.formats.nir.read import read_nir

    context = click.get_current_context()
    given = [
        param.opts[0]
        for param in context.command.params
        if param.name not in ("checkpoint", "out")
        and context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise UserError(f"{path} is a NIR file, which tells everything: leave out {listed(given)}")
    with progress_console.status("reading the graph"):
        artifact, exported = read_nir(path)
    console.print(f"{shown(path)}: NIR graph, {_shape(artifact.network)} ({artifact.dataset})")
    console.print(
        "every integer and field as it was exported"
        if exported
        else "numbers were changed since the export, so its accuracies are not kept"
    )
    _save(artifact, out)


def _save(artifact: Artifact, out: Path) -> None:
    from sw.artifact.file import save

    out.parent.mkdir(parents=True, exist_ok=True)
    save(artifact, out)
    console.print(f"artifact: {shown(out)}, {out.stat().st_size:,} bytes")


def _shape(network: NetworkConfig) -> str:
    """What a network is, in a line."""
    return (
        f"Spikformer-{network.depth}-{network.embed_dim}, {network.heads} heads, T = {network.timesteps}, "
        f"{network.image_size}x{network.image_size}x{network.image_channels} to {network.classes} classes"
    )


def _assumed(
    network: NetworkConfig, data: DataSet, heads: int | None, timesteps: int | None, images: ImageOptions
) -> list[str]:
    """Defaults that were taken for what the checkpoint does not tell, each with its option."""
    from sw.data.sets import DATA_SETS

    described, normalised = data.name not in DATA_SETS, not network.events
    defaults = (
        (heads is None, f"{network.heads} heads (--heads)"),
        (timesteps is None, f"T = {network.timesteps} (--timesteps)"),
        (images.name is None, f"{'event frames' if network.events else 'images'} of {data.title} (--dataset)"),
        (described and images.size is None, f"{network.image_size} pixels a side (--size)"),
        (network.events and images.event_bits is None, f"counts up to {network.largest_pixel} (--event-bits)"),
        (described and normalised and images.mean is None, f"means {', '.join(map(str, data.mean))} (--mean)"),
        (described and normalised and images.std is None, f"deviations {', '.join(map(str, data.std))} (--std)"),
    )
    return [text for taken, text in defaults if taken]


def _images(
    data: DataSet, network: NetworkConfig, calibrate: str | None, split_by: SplitBy, count: int, folder: Path | None
) -> tuple[ImageSet | None, ImageSet | None]:
    """Images to calibrate with and images to measure on, None where there are none."""
    from spikeloom.commands.own_images import own_images
    from sw.data.event_frames import SUFFIXES
    from sw.data.samples import load_sample
    from sw.data.sets import DATA_SETS, load

    calibration = measured = None
    if folder is not None and calibrate != data.name:
        raise UserError(f"--data-dir {folder} would not be read: it goes with --calibrate and the data set's name")
    if calibrate is not None and calibrate == data.name and calibrate in DATA_SETS:
        with progress_console.status(f"reading {data.title}"):
            calibration, measured = (load(data.name, split, folder=folder) for split in ("train", "test"))
    elif calibrate is not None and (calibrate.endswith(SUFFIXES) or _is_folder(calibrate)):
        with progress_console.status("reading images"):
            calibration = measured = own_images(Path(calibrate), network, split_by, count)
    elif calibrate is not None:
        raise UserError(
            f"--calibrate is {quoted(calibrate)}; give "
            + ("recordings or a folder of them" if network.events else "an .npz file of images and labels")
            + (f", or {data.name} itself" if data.name in DATA_SETS else "")
        )
    elif data.name in DATA_SETS:
        calibration = measured = load_sample(data.name)
    if calibration is None or measured is None:
        return None, None
    return calibration.first(count), measured.first(count)


def _is_folder(text: str) -> bool:
    """Whether a text, which may be anything, is the path of a folder."""
    try:
        return Path(text).is_dir()
    except (OSError, ValueError):  # too long, or with a byte of 0
        return False


def _show(agreement: Agreement, artifact: Artifact) -> None:
    """Print what the integers cost."""
    table = compact_table("layer", "neurons firing,\nfloat", "golden", "equal\nspikes")
    for name, layer in agreement.layers.items():
        table.add_row(
            name,
            f"{layer.float_spikes / layer.neurons:.2%}",
            f"{layer.golden_spikes / layer.neurons:.2%}",
            f"{layer.share:.3%}",
        )
    console.print(table)
    counts = artifact.accuracy
    if not counts:
        console.print(f"{agreement.equal_predictions:,} of {agreement.images:,} predictions are equal; no labels")
        return
    shares = ", ".join(f"{name} {each['correct'] / each['images']:.2%}" for name, each in counts.items())
    console.print(
        f"accuracy on {agreement.images:,} images of {counts['golden']['image_set']}: {shares}, "
        f"lost {agreement.lost:.2f} points; {agreement.equal_predictions:,} predictions are equal"
    )
    if agreement.lost > LARGEST_LOSS:
        advice = "try --bits 8, or " if artifact.weight_bits < 8 else ""
        console.print(
            f"more than {LARGEST_LOSS:g} point lost: {advice}fine-tune it with quantised weights", style="yellow"
        )
