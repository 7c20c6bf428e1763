"""What images or event frames an imported network reads: their size and their encoding, which no tensor tells."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from hw.user_text import quoted
from sw.data.sets import DATA_SETS, RANDOM, DataSet
from sw.data.sources import DataSource
from sw.errors import UserError
from sw.importer.shape import Found
from sw.layer import IMAGE_BITS

IMAGENET = "imagenet"
IMAGENET_SIZE = 224
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Normalisation of the authors' ImageNet settings (imagenet.yml)."""

DVS = "cifar10-dvs"
DVS_SIZE = 128
"""Of the recordings behind the authors' network for event cameras, whose classes are those of CIFAR-10."""

NAME = re.compile(r"[\w.+-]{1,48}", re.ASCII)
"""A data set's name."""

SIZES = "--size, --mean and --std"
"""Options that describe images."""

LEAST_STD = 1 / 255
"""Deviation of one step of a pixel: pixels that differ by less are all the same."""


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """What the user says about the images; None where nothing was said.

    Attributes
    ----------
    name : str, optional
        Of the data set.
    size : int, optional
        Height and width.
    mean, std : tuple of float, optional
        Normalisation of each channel, for pixels in 0..1.
    event_bits : int, optional
        Bits of a count of event frames.
    """

    name: str | None = None
    size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    event_bits: int | None = None


def image_format(options: ImageOptions, found: Found) -> DataSet:
    """Data set of a checkpoint's images or event frames: a known one, or one made of the options.

    Without a name it is CIFAR-10, ImageNet or CIFAR10-DVS where channels, classes and pools are theirs.

    Raises
    ------
    UserError
        If options are missing, contradict the data set, or do not fit the checkpoint.
    """
    channels, classes = found.fields["image_channels"], found.fields["classes"]
    name = _usual(found) if options.name is None else options.name
    if name is None:
        raise UserError(
            f"no tensor tells the data set of a network of {channels} image channels and {classes} classes: "
            f"give --dataset, and for one that is not built in {'--size' if found.layout.events else SIZES}"
        )
    if options.event_bits is not None and not found.layout.events:
        raise UserError(f"--event-bits is of event frames, but {found.layout.title} reads images; leave it out")
    if found.layout.events:
        data = _event_frames(name, options, channels, classes)
    elif name in DATA_SETS:
        data = DATA_SETS[name]
        if (options.size or data.image_size) != data.image_size or options.mean or options.std:
            raise UserError(
                f"--size, --mean and --std of {name} are known; leave them out, or give --dataset another name"
            )
    else:
        data = _described(name, options, classes)
    if data.image_channels != channels:
        raise UserError(
            f"the checkpoint reads {channels} image channels, but {data.title} has {data.image_channels}; "
            "give the data set it was trained on"
        )
    if len(data.class_names) != classes:
        raise UserError(
            f"the checkpoint has {classes} classes, but {data.title} {len(data.class_names)}; "
            "give the data set it was trained on"
        )
    return data


def _usual(found: Found) -> str | None:
    """The data set that the authors trained such a network on."""
    kind = tuple(found.fields[key] for key in ("image_channels", "classes", "pools"))
    if found.layout.events:
        return DVS if kind == (2, 10, 4) else None
    return {(3, 10, 2): "cifar10", (3, 1000, 4): IMAGENET}.get(kind)


def _event_frames(name: str, options: ImageOptions, channels: int, classes: int) -> DataSet:
    if options.mean or options.std:
        raise UserError("--mean and --std are of images, event frames are read as they are; leave them out")
    if name in DATA_SETS:
        raise UserError(f"{name} holds images, but the checkpoint reads event frames; give its own data set")
    _check_name(name)
    size = options.size or (DVS_SIZE if name == DVS else None)
    if size is None:
        raise UserError(f"{name} is not a known data set: give --size of its event frames")
    known = name == DVS and classes == len(DATA_SETS["cifar10"].class_names)
    return DataSet(
        name=name,
        title=name,
        image_size=size,
        image_channels=channels,
        class_names=DATA_SETS["cifar10"].class_names if known else tuple(map(str, range(classes))),
        mean=(),
        std=(),
        image_scale=1.0,
        source=DataSource((), "", _nowhere, ""),
        event_bits=options.event_bits or IMAGE_BITS,
    )


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name) or name == RANDOM:
        raise UserError(
            f"--dataset must be 1 to 48 letters, digits and '.', '_', '+', '-', and not {RANDOM}, not {quoted(name)}"
        )


def _described(name: str, options: ImageOptions, classes: int) -> DataSet:
    size, mean, std = options.size, options.mean, options.std
    if name == IMAGENET:
        size, mean, std = size or IMAGENET_SIZE, mean or IMAGENET_MEAN, std or IMAGENET_STD
    _check_name(name)
    if size is None or mean is None or std is None:
        raise UserError(f"{name} is not a built-in data set: give {SIZES} of its images")
    if len(mean) != len(std):
        raise UserError(f"--mean has {len(mean)} numbers and --std {len(std)}; give one for each channel")
    if not all(0 <= value <= 1 for value in mean) or not all(0 < value <= 1 for value in std):
        raise UserError(
            f"--mean {quoted(mean)} and --std {quoted(std)} must be of pixels in 0..1; divide those of 0..255 by 255"
        )
    if min(std) < LEAST_STD:
        raise UserError(f"--std {quoted(std)} must be at least 1/255, one step of a pixel; give that of the training")
    return DataSet(
        name=name,
        title=name,
        image_size=size,
        image_channels=len(mean),
        class_names=tuple(map(str, range(classes))),
        mean=mean,
        std=std,
        image_scale=_image_scale(mean, std),
        source=DataSource((), "", _nowhere, ""),
    )


def _image_scale(mean: tuple[float, ...], std: tuple[float, ...]) -> float:
    """Smallest power of two with which every normalised pixel is a signed integer of the image."""
    largest = max(max(m, 1 - m) / s for m, s in zip(mean, std, strict=True))
    return 2.0 ** math.ceil(math.log2(largest / (2 ** (IMAGE_BITS - 1) - 1)))


def _nowhere(folder: Path) -> dict[str, bytes]:
    raise UserError("the data set of an imported network is not built in; give images as an .npz file")
