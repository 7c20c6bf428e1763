"""Which images a command runs on: the committed sample, the whole test set, or a file of the user's."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from hw.user_text import quoted
from sw.data.npz import read_arrays
from sw.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sw.artifact.artifact import Artifact
    from sw.data.sets import ImageSet
    from sw.network import NetworkConfig

RANDOM_IMAGES = 16
"""Images for a network of random weights, if no number is given."""


@dataclass(frozen=True, kw_only=True)
class ImageChoice:
    """Which images a command was asked for; by default the committed sample.

    Attributes
    ----------
    file : Path, optional
        An ``.npz`` file of the user's with ``images`` and ``labels``: this or none.
    folder : Path, optional
        Holds the files of the artifact's data set: these or none.
    whole : bool
        The whole test set, fetched if need be.
    count : int, optional
        How many; more than the sample holds means the whole test set too.
    """

    file: Path | None = None
    folder: Path | None = None
    whole: bool = False
    count: int | None = None


def data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options ``--data`` and ``--data-dir`` to a command."""
    options = (
        click.option(
            "--data", "file", type=click.Path(path_type=Path), metavar="FILE.npz",
            help="Images and labels of your own.  [default: the committed sample]",
        ),
        click.option(
            "--data-dir", "folder", type=click.Path(path_type=Path), metavar="DIR",
            help="Folder of yours that holds the data set's files: all of its test images.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def measuring_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose images to a command, which gets them as a `choice`."""

    @functools.wraps(function)
    def chosen(
        *, file: Path | None, folder: Path | None, whole: bool, count: int | None, **others: Any
    ) -> Any:  # fmt: skip
        return function(choice=ImageChoice(file=file, folder=folder, whole=whole, count=count), **others)

    options = (
        click.option(
            "--images", "count", type=click.IntRange(1), metavar="N",
            help="The first N images only.  [default: all of the sample; 16 for random weights]",
        ),
        data_options,
        click.option("--full", "whole", is_flag=True, help="The whole test set, fetched if need be."),
    )  # fmt: skip
    for option in reversed(options):
        chosen = option(chosen)
    return chosen


def measured_images(artifact: Artifact, choice: ImageChoice) -> ImageSet:
    """Images of a choice, no more than it counts.

    Raises
    ------
    UserError
        If there are none, fewer than asked for, or they do not fit the network.
    """
    return first_images(images_for(artifact, choice), choice.count)


def first_images(images: ImageSet, count: int | None) -> ImageSet:
    """The first `count` images, or all if no number is given.

    Raises
    ------
    UserError
        If there are fewer.
    """
    if count is None:
        return images
    check_count(count, len(images), images.name)
    return images.first(count)


def check_count(count: int, there: int, name: str) -> None:
    """Refuse more images than there are of a set."""
    if count > there:
        raise UserError(f"{count:,} images were asked for, there are {there:,} of {name}: ask for at most so many")


def images_for(artifact: Artifact, choice: ImageChoice) -> ImageSet:
    """All images of a choice for an artifact, at least as many as it counts if there are.

    Parameters
    ----------
    artifact : Artifact
        Says which data set, and what shape the images must have.
    choice : ImageChoice

    Raises
    ------
    UserError
        If there are none, or they do not fit the network.
    """
    if choice.file is not None:
        if choice.folder is not None:
            raise UserError(f"--data {choice.file} and --data-dir {choice.folder} are both images to run: give one")
        return images_from_file(choice.file, artifact.network)
    images = _images_of_set(artifact, choice)
    check_images(images, artifact.network)
    return images


def _images_of_set(artifact: Artifact, choice: ImageChoice) -> ImageSet:
    from sw.data import sets as data
    from sw.data.samples import load_sample
    from sw.data.sets import RANDOM

    if artifact.dataset == RANDOM and choice.folder is None:
        return random_set(artifact.network, choice.count or RANDOM_IMAGES, _random_seed(artifact))
    if artifact.dataset not in data.DATA_SETS:
        folder = "" if choice.folder is None else f" and cannot be read from the folder {choice.folder}"
        raise UserError(
            f"the network's data set, {artifact.dataset}, is not built in{folder}: give images of it and their labels "
            "with --data FILE.npz"
        )
    if choice.count is not None:  # before anything is fetched
        there = data.DATA_SETS[artifact.dataset].test_images
        check_count(choice.count, there, data.split_name(artifact.dataset, "test"))
    if choice.folder is not None or choice.whole:
        return data.load(artifact.dataset, "test", folder=choice.folder)
    sample = load_sample(artifact.dataset)
    return sample if (choice.count or 0) <= len(sample) else data.load(artifact.dataset, "test")


def _random_seed(artifact: Artifact) -> int:
    seed = artifact.provenance.get("seed")
    if type(seed) is not int or seed < 0:
        raise UserError(
            f"the provenance of an artifact of random weights must have a seed from 0 on, not {quoted(seed)}: "
            "make it again with spikeloom random, or give images with --data"
        )
    return seed


def random_set(network: NetworkConfig, count: int, seed: int = 0) -> ImageSet:
    """Random images that a network takes; their labels mean nothing."""
    import torch

    from golden.random_artifact import random_images
    from sw.data.sets import RANDOM, ImageSet

    pixels = random_images(network, count, seed=seed)
    labels = torch.zeros(count, dtype=torch.int64)
    return ImageSet(images=pixels, labels=labels, indices=torch.arange(count), name=RANDOM, labelled=False)


def check_images(images: ImageSet, network: NetworkConfig) -> None:
    """Refuse images that are not of the shape a network takes, and event frames with counts above its range.

    Raises
    ------
    UserError
        Naming both shapes, or the count and the limit.
    """
    from sw.data.image_table import check_counts

    expected = list(network.input_shape)
    if list(images.images.shape[1:]) != expected:
        raise UserError(
            f"the images are {list(images.images.shape[1:])}, the network takes {expected} "
            f"({'time steps, ' if network.events else ''}channels, height, width): "
            "use images of that size, or another model"
        )
    try:
        check_counts(images.images, network)
    except ValueError as error:
        raise UserError(f"{images.name}: {error}") from error


def images_from_file(path: Path, network: NetworkConfig) -> ImageSet:
    """Images and labels of the user's.

    Parameters
    ----------
    path : Path
        ``.npz`` file with ``images``, uint8 ``[n, channels, height, width]``, and ``labels``, an integer for each.
    network : NetworkConfig
        What they are for.

    Raises
    ------
    UserError
        If it cannot be read or holds something else.
    """
    import torch

    from sw.data.sets import ImageSet

    if path.is_dir():
        raise UserError(f"{path}: a folder; give an .npz of images and labels, or --data-dir with the data set's files")
    if path.suffix != ".npz":
        state = "no .npz file" if path.exists() else "no such file"
        raise UserError(f"{path}: {state}; give an .npz of images and labels, or --data-dir with the data set's files")
    images, labels = read_arrays(path, ("images", "labels")).values()
    if images.dtype != np.uint8 or images.ndim not in (4, 5):
        raise UserError(
            f"{path}: images are {images.dtype} {quoted(list(images.shape))}; they must be uint8 "
            "[n, channels, height, width], pixels 0 to 255, or event frames [n, time steps, channels, height, width]"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != images.shape[:1] or not len(labels):
        raise UserError(
            f"{path}: labels are {labels.dtype} {quoted(list(labels.shape))}; they must be one integer for each image, "
            f"here {len(images)}, and at least one"
        )
    lowest, highest = int(labels.min()), int(labels.max())
    if not 0 <= lowest <= highest < network.classes:
        raise UserError(
            f"{path}: the labels are {lowest} to {highest}, the network has classes 0 to {network.classes - 1}; "
            "give its own labels"
        )
    found = ImageSet(
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels.astype(np.int64)),
        indices=torch.arange(len(labels)),
        name=path.name,
    )
    check_images(found, network)
    return found
