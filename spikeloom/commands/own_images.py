"""Images and event frames of the user's, checked before they run: files, and folders by class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hw.user_text import quoted
from sw.data.event_stream import SplitBy
from sw.data.npz import holds_array, read_arrays
from sw.errors import UserError

if TYPE_CHECKING:
    from sw.data.sets import ImageSet
    from sw.network import NetworkConfig


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


def own_images(path: Path, network: NetworkConfig, split_by: SplitBy = "number", count: int | None = None) -> ImageSet:
    """Images or event frames of the user's.

    Parameters
    ----------
    path : Path
        A file as `images_from_file` reads it, a recording, or a folder of recordings by class; see
        `sw.data.event_frames`.
    network : NetworkConfig
        What they are for.
    split_by : str
        How recordings of events become frames.
    count : int, optional
        How many recordings of a folder are wanted.

    Raises
    ------
    UserError
        If it cannot be read or holds something else.
    """
    from sw.data.aedat4 import SUFFIX
    from sw.data.event_frames import FRAMES, recordings_from_file, recordings_from_folder

    if path.is_dir() and network.events:
        return recordings_from_folder(path, network, split_by, count)
    if path.suffix == SUFFIX or holds_array(path, FRAMES):
        return recordings_from_file(path, network, split_by)
    return images_from_file(path, network)


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

    wanted = "an .npz of images and labels, or --data-dir with the data set's files"
    if network.events:
        wanted = "an .npz of frames, an .aedat4 recording, or a folder with a folder of these for each class"
    if path.is_dir():
        raise UserError(f"{path}: a folder; give {wanted}")
    if path.suffix != ".npz":
        state = "no .npz file" if path.exists() else "no such file"
        raise UserError(f"{path}: {state}; give {wanted}")
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
