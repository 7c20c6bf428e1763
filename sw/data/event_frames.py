"""Event frames as users have them: SpikingJelly's frame files, recordings, and folders of either, a folder a class."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hw.user_text import listed, quoted
from sw.data.aedat4 import SUFFIX, read_aedat4
from sw.data.event_stream import POLARITIES, SplitBy, integrate
from sw.data.image_table import check_counts
from sw.data.npz import read_arrays
from sw.data.sets import ImageSet
from sw.errors import UserError
from sw.network import NetworkConfig

FRAMES = "frames"
"""Array of a frame file: ``[T, polarities, height, width]``."""

SUFFIXES = (".npz", SUFFIX)
"""Of the files that are recordings."""

RECORDINGS = 256
"""Recordings of a folder that are read if no number is given: thousands would take gigabytes."""

LISTED = 60
"""Characters of folders that a message names."""


def read_recording(path: Path, network: NetworkConfig, split_by: SplitBy) -> NDArray[np.uint8]:
    """Event frames of one recording.

    Parameters
    ----------
    path : Path
        An ``.npz`` file with `FRAMES`, or an AEDAT4 file.
    network : NetworkConfig
        What they are for.
    split_by : str
        How the events of an AEDAT4 file become frames.

    Returns
    -------
    uint8 array [T, channels, height, width]

    Raises
    ------
    UserError
        If the file cannot be read, or its frames are not the network's.
    """
    if not network.events:
        raise UserError(f"{path}: event frames, but the network reads images; give images of its data set")
    frames = read_arrays(path, (FRAMES,))[FRAMES] if path.suffix == ".npz" else _integrated(path, network, split_by)
    if list(frames.shape) != list(network.input_shape):
        raise UserError(
            f"{path}: the frames are {quoted(list(frames.shape))}, the network takes {list(network.input_shape)} "
            f"(time steps, polarities, height, width); {_remedy(frames, network)}"
        )
    if not _are_counts(frames):
        raise UserError(f"{path}: the frames of {frames.dtype} hold values that are no counts; give whole numbers")
    try:
        check_counts(frames, network)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    return frames.astype(np.uint8)


def _are_counts(values: NDArray[Any]) -> bool:
    """Whether all values are whole numbers from 0 on, in any type."""
    if values.dtype.kind not in "uif":
        return False
    return bool(np.all(np.isfinite(values) & (values >= 0) & (values == np.floor(values))))


def _remedy(frames: NDArray[Any], network: NetworkConfig) -> str:
    """What to do about frames of another shape."""
    shape = list(network.input_shape)
    if list(frames.shape[1:]) == shape[1:]:
        return f"split the recordings into {network.timesteps} frames, or import the network with --timesteps"
    return "crop or scale the recordings, or use another network"


def _integrated(path: Path, network: NetworkConfig, split_by: SplitBy) -> NDArray[np.int64]:
    """Frames of an AEDAT4 file, whose sensor must be as large as the network's frames."""
    stream, size = read_aedat4(path), network.image_size
    if (stream.width, stream.height) != (size, size) or network.image_channels != POLARITIES:
        raise UserError(
            f"{path}: the sensor has {stream.width}x{stream.height} pixels of {POLARITIES} polarities, the network "
            f"takes {size}x{size} of {network.image_channels}; crop or scale the recordings, or use another network"
        )
    try:
        return integrate(stream, network.timesteps, split_by)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def recordings_from_file(path: Path, network: NetworkConfig, split_by: SplitBy = "number") -> ImageSet:
    """Event frames of one recording, whose class is not known.

    Raises
    ------
    UserError
        As `read_recording`.
    """
    return _image_set([read_recording(path, network, split_by)], [0], path.name, labelled=False)


def recordings_from_folder(
    folder: Path, network: NetworkConfig, split_by: SplitBy = "number", count: int | None = None
) -> ImageSet:
    """Event frames of a folder of classes, each a folder of recordings.

    Classes are numbered in the order of their names, as SpikingJelly's data sets do it. Recordings are taken from all
    classes in turn, so that the first ones are of all of them.

    Parameters
    ----------
    folder : Path
    network : NetworkConfig
        What they are for.
    split_by : str
        How the events of AEDAT4 files become frames.
    count : int, optional
        Most recordings to read; by default `RECORDINGS`.

    Raises
    ------
    UserError
        If there are not as many classes as the network has, no recordings, or one of those read is wrong.
    """
    classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes and _recordings(folder):
        raise UserError(
            f"{folder}: {len(_recordings(folder))} recordings without classes; put them into a folder for each of the "
            f"network's {network.classes} classes, or give one of them"
        )
    if len(classes) != network.classes:
        names = listed([entry.name for entry in classes], LISTED) or "none"
        raise UserError(
            f"{folder}: {len(classes)} folders ({names}), the network has {network.classes} classes; give a folder "
            "that holds one folder of recordings for each class"
        )
    of_class = [[(path, label) for path in _recordings(entry)] for label, entry in enumerate(classes)]
    in_turn = [pair for turn in itertools.zip_longest(*of_class) for pair in turn if pair is not None]
    if not in_turn:
        raise UserError(f"{folder}: no recordings in its folders; give files of {' or '.join(SUFFIXES)}")
    chosen = in_turn[: count or RECORDINGS]
    frames = [read_recording(path, network, split_by) for path, _ in chosen]
    return _image_set(frames, [label for _, label in chosen], folder.name, labelled=True)


def _recordings(folder: Path) -> list[Path]:
    """Files of a folder that are recordings, in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())


def _image_set(frames: Sequence[NDArray[np.uint8]], labels: Sequence[int], name: str, *, labelled: bool) -> ImageSet:
    return ImageSet(
        images=torch.from_numpy(np.stack(frames)),
        labels=torch.tensor(labels, dtype=torch.int64),
        indices=torch.arange(len(frames)),
        name=name,
        labelled=labelled,
    )
