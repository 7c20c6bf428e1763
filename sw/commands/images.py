"""Which images a command runs on: the committed sample, the whole test set, or a file of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import click
import numpy as np

from hw.user_text import quoted
from sw.errors import UserError
from sw.npz import read_arrays

if TYPE_CHECKING:
    from collections.abc import Callable

    from sw.artifact import Artifact
    from sw.data import ImageSet
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
    from sw.data import ImageSet

    found = images_for(artifact, place, whole=full, count=count or RANDOM_IMAGES)
    if count is None:
        return found
    if count > len(found):
        raise UserError(f"{count:,} images were asked for, there are {len(found):,}: ask for at most so many")
    return ImageSet(images=found.images[:count], labels=found.labels[:count], indices=found.indices[:count])


def has_labels(artifact: Artifact, place: Path | None) -> bool:
    """Whether the labels of `measured_images` mean anything: those of random networks do not, unless they are yours."""
    from sw.random_artifact import RANDOM

    return artifact.dataset != RANDOM or is_file(place)


def is_file(place: Path | None) -> TypeGuard[Path]:
    """Whether a place of images is a file of the user's."""
    return place is not None and place.suffix == ".npz"


def images_for(artifact: Artifact, place: Path | None, *, whole: bool, count: int = 1) -> ImageSet:
    """Images for an artifact.

    Parameters
    ----------
    artifact : Artifact
        Says which data set, and what shape the images must have.
    place : Path, optional
        An ``.npz`` file with ``images`` and ``labels``, or a folder that holds the data set's files.
    whole : bool
        The whole test set, fetched if need be, instead of the committed sample.
    count : int
        Images needed: more than the sample holds means the whole test set too.

    Raises
    ------
    UserError
        If there are none, or they do not fit the network.
    """
    from sw import data
    from sw.random_artifact import RANDOM

    if is_file(place):
        images = images_from_file(place)
    elif artifact.dataset == RANDOM:
        images = _random(artifact, count)
    elif place is not None or whole:
        images = data.load(artifact.dataset, "test", folder=place)
    else:
        images = data.load_sample(artifact.dataset)
        if count > len(images):
            images = data.load(artifact.dataset, "test")
    check_images(images, artifact.network)
    return images


def _random(artifact: Artifact, count: int) -> ImageSet:
    """Images for a network of random weights; their labels mean nothing."""
    import torch

    from sw.data import ImageSet
    from sw.random_artifact import random_images

    seed = artifact.provenance.get("seed")
    if type(seed) is not int or seed < 0:
        raise UserError(
            f"the provenance of an artifact of random weights must have a seed from 0 on, not {quoted(seed)}: "
            "make it again with spikeloom random, or give images with --data"
        )
    pixels = random_images(artifact.network, count, seed=seed)
    return ImageSet(images=pixels, labels=torch.zeros(count, dtype=torch.int64), indices=torch.arange(count))


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


def images_from_file(path: Path) -> ImageSet:
    """Images and labels of the user's.

    Parameters
    ----------
    path : Path
        ``.npz`` file with ``images``, uint8 ``[n, channels, height, width]``, and ``labels``, an integer for each.

    Raises
    ------
    UserError
        If it cannot be read or holds something else.
    """
    import torch

    from sw.data import ImageSet

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
    return ImageSet(
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels.astype(np.int64)),
        indices=torch.arange(len(labels)),
    )
