"""Training batches on the device that trains: which images, how changed, and what the network should say of them.

Every random choice is drawn from a generator seeded with (recipe seed, phase, epoch, step, process), so a run that was
stopped anywhere continues to the same weights, and nothing about randomness has to be stored.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from sw.augment import augment
from sw.data import DataSet, ImageSet
from sw.distributed import Processes
from sw.rand_augment import rand_augment
from sw.recipe import Phase, Recipe


class Batches:
    """Batches of every epoch of a run.

    An epoch is a random order of the images, cut into whole batches; what is left over waits for the next epoch.

    Parameters
    ----------
    recipe : Recipe
        Batch size, seed, label smoothing.
    data : DataSet
        Brings the pixel encoding.
    train : ImageSet
        Raw images.
    processes : Processes
        Who trains; each takes its part of every batch, on its device.
    """

    def __init__(self, recipe: Recipe, data: DataSet, train: ImageSet, processes: Processes) -> None:
        self._recipe, self._processes = recipe, processes
        self._device = processes.device
        self._images, self._labels = train.images.to(self._device), train.labels.to(self._device)
        self._table = data.image_table().to(self._device)
        self._fill = torch.tensor([round(255 * mean) for mean in data.mean], dtype=torch.uint8, device=self._device)
        self._scale, self._classes = data.image_scale, len(data.class_names)
        self._size = min(recipe.batch_size, len(train))
        self._order = torch.empty(0, dtype=torch.int64)
        self._order_of = (-1, -1)
        self.steps = len(train) // self._size
        """Batches of an epoch."""

    def batch(self, number: int, phase: Phase, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Make one batch, or this process's part of it.

        Parameters
        ----------
        number : int
            Place of the phase in the run.
        phase : Phase
            How images are changed.
        epoch, step : int
            From 0.

        Returns
        -------
        images : Tensor
            float32 ``[B, C, H, W]``, normalised.
        targets : Tensor
            float32 ``[B, classes]``, probabilities.
        """
        if self._order_of != (number, epoch):
            order = torch.randperm(len(self._labels), generator=Generator().manual_seed(self._seed(number, epoch)))
            self._order, self._order_of = order.to(self._device), (number, epoch)
        part = self._size // self._processes.count
        first = step * self._size + self._processes.rank * part
        chosen = self._order[first : first + part]
        seed = self._seed(number, epoch, step + 1, self._processes.rank)
        generator = Generator(self._device).manual_seed(seed)
        pixels, labels = self._images[chosen], self._labels[chosen]
        if phase.augmentation.rand_augment:
            pixels = rand_augment(pixels, phase.augmentation.rand_augment, self._fill, generator)
        channel = torch.arange(pixels.shape[1], device=self._device).view(1, -1, 1, 1)
        encoded = self._table[channel, pixels.long()]
        images = augment(encoded, phase.augmentation, generator).float() * self._scale
        smoothing = self._recipe.label_smoothing
        targets = functional.one_hot(labels, self._classes) * (1 - smoothing) + smoothing / self._classes
        if phase.mixup and epoch < phase.mixup_epochs:
            share = np.random.default_rng(seed).beta(phase.mixup, phase.mixup)
            images = share * images + (1 - share) * images.flip(0)
            targets = share * targets + (1 - share) * targets.flip(0)
        return images, targets

    def _seed(self, *numbers: int) -> int:
        seed = 0
        for number in (self._recipe.seed, *numbers):
            seed = (seed * 1_000_003 + number + 1) % (2**63)
        return seed
