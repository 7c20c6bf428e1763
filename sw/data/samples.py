"""The committed samples, 300 test images of each data set: for tests and first runs without any download."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch

from sw.checkout import ROOT
from sw.data.npz import read_arrays
from sw.data.sets import CACHE, DATA_SETS, ImageSet, data_set, load
from sw.errors import UserError
from sw.files import write_atomically

SAMPLES = ROOT / "data" / "samples"
"""Their folder."""

SAMPLE_PER_CLASS = 30
"""Test images of each class in a sample: the first ones in test order."""


def load_sample(name: str, *, folder: Path = SAMPLES) -> ImageSet:
    """Load the committed sample of a data set: 30 test images of each class.

    Raises
    ------
    UserError
        If there is no such data set, or its sample is missing.
    """
    path = folder / f"{data_set(name).name}.npz"
    if not path.is_file():
        raise UserError(f"sample {path} is missing; restore it from git or make the samples again")
    arrays = read_arrays(path, ("images", "labels", "indices")).values()
    images, labels, indices = (torch.from_numpy(array) for array in arrays)
    return ImageSet(images=images, labels=labels, indices=indices, name=f"{name} sample")


def make_samples(*, folder: Path | None = None, cache: Path = CACHE, out: Path = SAMPLES) -> list[Path]:
    """Write the sample of every data set.

    Parameters
    ----------
    folder, cache : Path
        As for `sw.data.sets.load`.
    out : Path
        Folder to write to.

    Returns
    -------
    list of Path
        The files written, byte for byte the same every time.
    """
    paths = []
    for name, info in DATA_SETS.items():
        test = load(name, "test", folder=folder, cache=cache)
        chosen = torch.cat(
            [torch.nonzero(test.labels == label)[:SAMPLE_PER_CLASS, 0] for label in range(len(info.class_names))]
        )
        chosen = chosen.sort().values
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, images=test.images[chosen].numpy(), labels=test.labels[chosen].numpy(), indices=chosen.numpy()
        )
        paths.append(out / f"{name}.npz")
        write_atomically(paths[-1], buffer.getvalue())
    return paths
