"""Augmentation of batches."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from sw.training.augment import augment
from sw.training.recipe import Augmentation

IMAGES = torch.arange(1, 1 + 64 * 2 * 12 * 12).reshape(64, 2, 12, 12)


def test_nothing_asked_nothing_changed():
    assert torch.equal(augment(IMAGES, Augmentation(), Generator()), IMAGES)


def test_same_generator_same_images():
    settings = Augmentation(shift=3, flip=True, erase=0.5)
    first, second, other = (augment(IMAGES, settings, Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_flip_mirrors_some_images_whole():
    flipped = augment(IMAGES, Augmentation(flip=True), Generator().manual_seed(0))
    mirrored = [torch.equal(new, old.flip(-1)) for new, old in zip(flipped, IMAGES, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(flipped, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 < sum(mirrored) < 48


@pytest.mark.parametrize("shift", [1, 2])
def test_shift_moves_and_fills_with_zero(shift):
    seen = set()
    for new, old in zip(augment(IMAGES, Augmentation(shift=shift), Generator().manual_seed(0)), IMAGES, strict=True):
        padded = torch.nn.functional.pad(old, (shift,) * 4)
        reach = range(2 * shift + 1)
        (where,) = [(y, x) for y in reach for x in reach if torch.equal(padded[:, y : y + 12, x : x + 12], new)]
        seen.add(where)
    assert len(seen) > 2 * shift


def test_erase_blanks_one_rectangle_in_all_channels():
    erased = augment(IMAGES, Augmentation(erase=1.0), Generator().manual_seed(0)) == 0
    assert torch.equal(erased[:, 0], erased[:, 1])
    for blank in erased[:, 0]:
        rows, columns = blank.any(1), blank.any(0)
        assert torch.equal(blank, rows[:, None] & columns[None])
        assert 0 < blank.float().mean() < 0.4
