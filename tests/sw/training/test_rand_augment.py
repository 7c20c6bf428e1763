"""RandAugment: equalising against Pillow, seeded choices, what each operation leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from sw.data.samples import load_sample
from sw.training.rand_augment import equalise, rand_augment

FILL = torch.tensor([125, 123, 114], dtype=torch.uint8)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return load_sample("cifar10").images[:200]


def test_equalise_equals_pillow(images):
    flat = torch.full((1, 3, 32, 32), 7, dtype=torch.uint8)  # a single value stays
    for image, ours in zip([*images, *flat], equalise(torch.cat((images, flat))), strict=True):
        theirs = np.asarray(ImageOps.equalize(Image.fromarray(image.permute(1, 2, 0).numpy())))
        assert np.array_equal(ours.permute(1, 2, 0).numpy(), theirs)


def test_same_generator_state_gives_the_same_images(images):
    first, second, third = (
        rand_augment(images, 9.0, FILL, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )  # fmt: skip
    assert torch.equal(first, second) and not torch.equal(first, third)


def test_half_of_the_images_change_at_the_strongest_setting(images):
    changed = rand_augment(images, 10.0, FILL, torch.Generator().manual_seed(1)).ne(images).flatten(1).any(1)
    assert 0.4 < changed.float().mean() < 0.6


def test_shifts_bring_in_the_fill_and_move_whole_pixels_to_their_place():
    image = torch.zeros(400, 3, 32, 32, dtype=torch.uint8)
    image[:, :, 16, 16] = 255
    changed = rand_augment(image, 10.0, FILL, torch.Generator().manual_seed(2))
    # A shift of 45 % leaves 14 rows or columns of fill at one side, and the rest of the other axis as it was.
    left = (changed == FILL.view(1, 3, 1, 1)).all(1)
    columns, rows = left.all(1).sum(1), left.all(2).sum(1)
    assert int((columns == 14).sum()) > 10 and int((rows == 14).sum()) > 10
    assert int(((columns > 0) & (rows > 0)).sum()) == 0
