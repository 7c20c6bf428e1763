"""Which images a command runs on: the committed sample, the whole test set, or a file or a folder of the user's."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from hw.user_text import quoted
from spikeloom.commands.own_images import check_images, own_images
from sw.data.event_stream import SplitBy
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
        Images or recordings of the user's, see `own_images`: these or none.
    split_by : str
        How recordings of events become frames.
    folder : Path, optional
        Holds the files of the artifact's data set: these or none.
    whole : bool
        The whole test set, fetched if need be.
    count : int, optional
        How many; more than the sample holds means the whole test set too.
    """

    file: Path | None = None
    split_by: SplitBy = "number"
    folder: Path | None = None
    whole: bool = False
    count: int | None = None


def split_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option ``--split-by`` to a command."""
    return click.option(
        "--split-by", type=click.Choice(get_args(SplitBy)), default="number", show_default=True,
        help="Frames of a recording hold equally many events, or last equally long.",
    )(function)  # fmt: skip


def data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options ``--data``, ``--split-by`` and ``--data-dir`` to a command."""
    options = (
        click.option(
            "--data", "file", type=click.Path(path_type=Path), metavar="FILE|DIR",
            help="Of your own: images and labels (.npz), frames of events (.npz), a recording of events (.aedat4), or "
            "a folder with a folder of these for each class.  [default: the committed sample]",
        ),
        split_option,
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
        *, file: Path | None, split_by: SplitBy, folder: Path | None, whole: bool, count: int | None, **others: Any
    ) -> Any:  # fmt: skip
        choice = ImageChoice(file=file, split_by=split_by, folder=folder, whole=whole, count=count)
        return function(choice=choice, **others)

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
        return own_images(choice.file, artifact.network, choice.split_by, choice.count)
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
            "with --data"
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
