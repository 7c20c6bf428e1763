"""Training batches on the device that trains: which images, how changed, and what the network should say of them.

Every random choice is drawn from a generator seeded with (recipe seed, phase, epoch, place in it, process), so a run
that was stopped anywhere continues to the same weights, and nothing about randomness has to be stored.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

from sw.data.image_table import lookup
from sw.data.sets import DataSet, ImageSet
from sw.training.augment import augment
from sw.training.processes import Processes
from sw.training.rand_augment import rand_augment
from sw.training.recipe import Phase, Recipe

AT_ONCE = {"cpu": 1, "cuda": 8}
"""Batches changed together, by kind of device: on a GPU the many small steps of a change cost more than its work."""


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
        self._part = self._size // processes.count
        self._at_once = AT_ONCE[self._device.type]
        self._order = self._labels_there = torch.empty(0, dtype=torch.int64)
        self._order_of = (-1, -1)
        self._images_there = torch.empty(0)
        self._place = (-1, -1, -1)
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
        place = (number, epoch, step // self._at_once)
        if self._place != place:
            self._images_there, self._labels_there = self._changed(*place, phase)
            self._place = place
        first = step % self._at_once * self._part
        images, labels = (part[first : first + self._part] for part in (self._images_there, self._labels_there))
        smoothing = self._recipe.label_smoothing
        targets = functional.one_hot(labels, self._classes) * (1 - smoothing) + smoothing / self._classes
        if phase.mixup and epoch < phase.mixup_epochs:
            seed = self._seed(number, epoch, step + 1, self._processes.rank)
            share = np.random.default_rng(seed).beta(phase.mixup, phase.mixup)
            images = share * images + (1 - share) * images.flip(0)
            targets = share * targets + (1 - share) * targets.flip(0)
        return images, targets

    def _changed(self, number: int, epoch: int, group: int, phase: Phase) -> tuple[Tensor, Tensor]:
        """Images, augmented and normalised, and labels of a group of batches."""
        if self._order_of != (number, epoch):
            order = torch.randperm(len(self._labels), generator=Generator().manual_seed(self._seed(number, epoch)))
            # [step, process, image]: a process takes its part of every batch
            whole = order[: self.steps * self._size].view(self.steps, self._processes.count, self._part)
            self._order, self._order_of = whole[:, self._processes.rank].to(self._device), (number, epoch)
        chosen = self._order[group * self._at_once : (group + 1) * self._at_once].flatten()
        generator = Generator(self._device)
        generator.manual_seed(self._seed(number, epoch, group + 1, self._processes.rank))
        pixels = self._images[chosen]
        if phase.augmentation.rand_augment:
            pixels = rand_augment(pixels, phase.augmentation.rand_augment, self._fill, generator)
        encoded = lookup(self._table, pixels.long())
        mirrored = self._first_mirrored(number)[chosen] ^ bool(epoch % 2) if phase.augmentation.by_turns else None
        changed = augment(encoded, phase.augmentation, generator, mirrored)
        return changed.float() * self._scale, self._labels[chosen]

    def _first_mirrored(self, number: int) -> Tensor:
        """Which images a phase mirrors in its first epoch, and in every second one after it: bool ``[n]``."""
        generator = Generator().manual_seed(self._seed(number))
        return (torch.rand(len(self._labels), generator=generator) < 0.5).to(self._device)

    def _seed(self, *numbers: int) -> int:
        seed = 0
        for number in (self._recipe.seed, *numbers):
            seed = (seed * 1_000_003 + number + 1) % (2**63)
        return seed
