"""Random shifts, mirrors and blank rectangles on whole batches of encoded images."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from sw.training.recipe import Augmentation


def augment(images: Tensor, settings: Augmentation, generator: Generator, mirrored: Tensor | None = None) -> Tensor:
    """Change every image of a batch at random.

    Pixels that come in from outside, and blank rectangles, are 0: the padding value of the network.

    Parameters
    ----------
    images : Tensor
        ``[B, C, H, W]``, any dtype.
    settings : Augmentation
        Which changes, and how strong.
    generator : Generator
        Source of randomness on the images' device: the same generator state gives the same images.
    mirrored : Tensor, optional
        bool ``[B]``, which images `settings.flip` mirrors; by default a random half.

    Returns
    -------
    Tensor
        ``[B, C, H, W]``.
    """
    batch, channels, height, width = images.shape
    device = images.device
    rows = torch.arange(height, device=device).expand(batch, height)
    columns = torch.arange(width, device=device).expand(batch, width)
    if settings.flip:
        if mirrored is None:
            mirrored = torch.rand(batch, device=device, generator=generator) < 0.5
        columns = torch.where(mirrored.unsqueeze(1), width - 1 - columns, columns)
    if settings.shift:
        reach = settings.shift
        offsets = torch.randint(0, 2 * reach + 1, (2, batch, 1), device=device, generator=generator)
        images = functional.pad(images, (reach,) * 4)
        rows, columns = rows + offsets[0], columns + offsets[1]
    image = torch.arange(batch, device=device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=device).view(1, -1, 1, 1)
    images = images[image, channel, rows.view(batch, 1, height, 1), columns.view(batch, 1, 1, width)]
    if settings.erase:
        images = images.masked_fill(_rectangles(batch, height, width, settings.erase, generator), 0)
    return images


def _rectangles(batch: int, height: int, width: int, probability: float, generator: Generator) -> Tensor:
    """Mask ``[B, 1, H, W]`` of one rectangle in some images: 2 % to 25 % of the area, sides within 1:3 and 3:1."""
    device = generator.device
    chosen, area, aspect, top, left = torch.rand(5, batch, 1, 1, 1, device=device, generator=generator)
    area = (0.02 + 0.23 * area) * height * width
    aspect = torch.exp((2 * aspect - 1) * math.log(3.0))
    tall, wide = (area * aspect).sqrt().clamp_max(height), (area / aspect).sqrt().clamp_max(width)
    row = torch.arange(height, device=device).view(1, 1, -1, 1) - top * (height - tall)
    column = torch.arange(width, device=device).view(1, 1, 1, -1) - left * (width - wide)
    inside: Tensor = (row >= 0) & (row < tall) & (column >= 0) & (column < wide)
    return inside.logical_and(chosen < probability)
