"""RandAugment with the five operations of the Spikformer authors' CIFAR-10 recipe, on whole batches.

One operation per image, applied to half of the images: equalise, rotate, shear along x, shift along x or along y. A
magnitude ``m`` of 10 is the strongest: 30 degrees, a shear of 0.3, a shift of 45 % of the image; every image draws its
own from a normal distribution of deviation 0.4 around ``m``, and its own direction.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

STRONGEST = 10.0
"""Magnitude of the strongest change."""

SPREAD = 0.4
"""Standard deviation of an image's magnitude."""

OPERATIONS = 5


def rand_augment(images: Tensor, magnitude: float, fill: Tensor, generator: Generator) -> Tensor:
    """Change half of the images of a batch, each by one random operation.

    Parameters
    ----------
    images : Tensor
        uint8 ``[B, C, H, W]``.
    magnitude : float
        0 to 10; equalising has no strength.
    fill : Tensor
        uint8 ``[C]``, the pixel that comes in from outside.
    generator : Generator
        On the device of `images`.

    Returns
    -------
    Tensor
        uint8 ``[B, C, H, W]``.
    """
    device, batch = images.device, len(images)
    applied, which, sign = torch.rand(3, batch, device=device, generator=generator)
    strength = magnitude + SPREAD * torch.randn(batch, device=device, generator=generator)
    strength = strength.clamp(0, STRONGEST) / STRONGEST * torch.where(sign < 0.5, -1.0, 1.0)
    operation = torch.where(applied < 0.5, (which * OPERATIONS).long(), OPERATIONS)
    images = torch.where((operation == 0).view(-1, 1, 1, 1), equalise(images), images)
    angle = torch.where(operation == 1, math.radians(30) * strength, 0.0)
    shear = torch.where(operation == 2, 0.3 * strength, 0.0)
    shift_x = torch.where(operation == 3, 2 * 0.45 * strength, 0.0)  # grids reach from -1 to 1
    shift_y = torch.where(operation == 4, 2 * 0.45 * strength, 0.0)
    rows = torch.stack(
        (angle.cos(), shear - angle.sin(), shift_x, angle.sin(), angle.cos(), shift_y), dim=1
    ).view(-1, 2, 3)  # fmt: skip
    background = fill.view(1, -1, 1, 1).float()
    grid = functional.affine_grid(rows, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images.float() - background, grid, align_corners=False) + background
    geometric = ((operation > 0) & (operation < OPERATIONS)).view(-1, 1, 1, 1)
    return torch.where(geometric, moved.round().clamp(0, 255).to(torch.uint8), images)


def equalise(images: Tensor) -> Tensor:
    """Flatten the histogram of every channel of every image.

    Parameters
    ----------
    images : Tensor
        uint8 ``[B, C, H, W]``.

    Returns
    -------
    Tensor
        uint8 ``[B, C, H, W]``: a pixel becomes the share of pixels below it, of 255; as Pillow's ``ImageOps.equalize``.
    """
    flat = images.flatten(2).long()
    histogram = torch.zeros(*flat.shape[:2], 256, dtype=torch.int64, device=images.device)
    histogram.scatter_add_(2, flat, torch.ones_like(flat))
    values = torch.arange(256, device=images.device)
    last = torch.where(histogram > 0, values, 0).amax(2, keepdim=True)
    step = (flat.shape[2] - histogram.gather(2, last)) // 255
    below = histogram.cumsum(2) - histogram
    table = ((below + step // 2) // step.clamp_min(1)).clamp_max(255)
    table = torch.where(step > 0, table, values)  # too few pixels or a single value: as they are
    return table.gather(2, flat).view_as(images).to(torch.uint8)
