"""Which images a command runs on: the committed sample, the whole test set, or a file of the user's."""

from __future__ import annotations

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


def measuring_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options ``--images``, ``--data`` and ``--full`` to a command; `measured_images` takes what they give."""
    options = (
        click.option(
            "--images", "count", type=click.IntRange(1), metavar="N",
            help="The first N images only.  [default: all of the sample; 16 for random weights]",
        ),
        click.option(
            "--data", "place", type=click.Path(path_type=Path), metavar="DIR|FILE.npz",
            help="Folder with the data set's files, or your own images and labels.  [default: the committed sample]",
        ),
        click.option("--full", is_flag=True, help="The whole test set, fetched if need be."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def measured_images(artifact: Artifact, count: int | None, place: Path | None, full: bool) -> ImageSet:
    """Images by the options of `measuring_options`.

    Raises
    ------
    UserError
        If there are none, fewer than asked for, or they do not fit the network.
    """
    return first_images(images_for(artifact, place, whole=full, count=count or RANDOM_IMAGES), count)


def first_images(images: ImageSet, count: int | None) -> ImageSet:
    """The first `count` images, or all if no number is given.

    Raises
    ------
    UserError
        If there are fewer.
    """
    if count is None:
        return images
    if count > len(images):
        raise UserError(
            f"{count:,} images were asked for, there are {len(images):,} of {images.name}: ask for at most so many"
        )
    return images.first(count)


def images_for(artifact: Artifact, place: Path | None, *, whole: bool, count: int = 1) -> ImageSet:
    """Images for an artifact.

    Parameters
    ----------
    artifact : Artifact
        Says which data set, and what shape the images must have.
    place : Path, optional
        An ``.npz`` file with ``images`` and ``labels``, or a folder that holds the data set's files: these or none.
    whole : bool
        The whole test set, fetched if need be, instead of the committed sample.
    count : int
        Images needed: more than the sample holds means the whole test set too.

    Raises
    ------
    UserError
        If there are none, or they do not fit the network.
    """
    from sw.data import sets as data
    from sw.data.samples import load_sample
    from sw.data.sets import RANDOM

    if place is not None and not place.is_dir():
        return images_from_file(place, artifact.network)
    if artifact.dataset == RANDOM and place is None:
        images = random_set(artifact.network, count, _random_seed(artifact))
    elif artifact.dataset not in data.DATA_SETS:
        folder = "" if place is None else f" and cannot be read from the folder {place}"
        raise UserError(
            f"the network's data set, {artifact.dataset}, is not built in{folder}: give images of it and their labels "
            "with --data FILE.npz"
        )
    elif place is not None or whole:
        images = data.load(artifact.dataset, "test", folder=place)
    else:
        images = load_sample(artifact.dataset)
        if count > len(images):
            images = data.load(artifact.dataset, "test")
    check_images(images, artifact.network)
    return images


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
    """Refuse images that are not of the shape a network takes.

    Raises
    ------
    UserError
        Naming both shapes.
    """
    expected = list(network.input_shape)
    if list(images.images.shape[1:]) != expected:
        raise UserError(
            f"the images are {list(images.images.shape[1:])}, the network takes {expected} "
            f"({'time steps, ' if network.events else ''}channels, height, width): "
            "use images of that size, or another model"
        )


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

    if path.suffix != ".npz":
        state = "neither a folder nor an .npz file" if path.exists() else "no such file or folder"
        raise UserError(f"{path}: {state}; give a folder with the data set's files, or an .npz of images and labels")
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
