"""The teacher of a distilled run: a residual network of 18 layers for small images (arXiv 1512.03385), not spiking.

It is trained by the same recipe just before, and only its opinions survive: a student learns its softened
probabilities beside the labels (arXiv 1503.02531). No artifact contains it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(c_out)
        self.second = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(c_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or c_in != c_out:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.first_norm(self.first(x)))
        summed: Tensor = self.second_norm(self.second(hidden)) + self.shortcut(x)
        return functional.relu(summed)


class Teacher(nn.Module):
    """Classify images ``[B, C, H, W]`` into logits ``[B, classes]``.

    Parameters
    ----------
    image_channels, classes : int
        Of the data set.
    width : int
        Channels of the first of four stages; each doubles them.
    """

    def __init__(self, image_channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_channels, width, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        blocks = []
        channels = width
        for stage in range(4):
            for first in (True, False):
                out = width << stage
                blocks.append(_Block(channels, out, 2 if first and stage else 1))
                channels = out
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, classes]``."""
        x = functional.relu(self.stem_norm(self.stem(image.contiguous(memory_format=torch.channels_last))))
        logits: Tensor = self.head(self.blocks(x).mean(dim=(2, 3)))
        return logits
