"""A teacher that is cheap for what it knows: a residual network of ten layers whose first one is computed, not learnt.

It follows the networks of arXiv 2404.00498. The first layer whitens patches of 2x2 pixels with the covariance of the
training images, so that all that follows begins with inputs of one size. The convolutions begin as identities, norms
have no scale, and the head divides its logits. No artifact contains it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

PATCH = 2
"""Pixels of a side of what the first layer sees."""

LEAST_VARIANCE = 5e-4
"""Added to the variances that the first layer divides by: the smallest are noise."""

CALM = 9.0
"""What logits are divided by."""


QUICK = 8.0
"""What the norms' biases are multiplied by: so they learn its square times as fast as they would."""


class _Norm(nn.BatchNorm2d):
    """Batch norm with a bias alone, which learns quickly."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        bias = QUICK * self.bias
        assert self.momentum is not None
        means, variances = self.running_mean, self.running_var
        return functional.batch_norm(x, means, variances, self.weight, bias, self.training, self.momentum, self.eps)


class _Stage(nn.Module):
    """A convolution that halves the image, and two more beside a shortcut."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.first, self.second, self.third = (
            nn.Conv2d(channels, c_out, 3, padding=1, bias=False) for channels in (c_in, c_out, c_out)
        )
        self.first_norm, self.second_norm, self.third_norm = (_Norm(c_out) for _ in range(3))
        with torch.no_grad():
            for conv in (self.first, self.second, self.third):
                nn.init.dirac_(conv.weight[: conv.in_channels])

    def forward(self, x: Tensor) -> Tensor:
        # An image of one pixel, after the stages of a small one, stays.
        x = functional.gelu(self.first_norm(functional.max_pool2d(self.first(x), min(2, len(x[0, 0])))))
        hidden = functional.gelu(self.second_norm(self.second(x)))
        return functional.gelu(self.third_norm(self.third(hidden)) + x)


class WhitenedTeacher(nn.Module):
    """Classify images ``[B, C, H, W]`` into logits ``[B, classes]``.

    Parameters
    ----------
    image_channels, classes : int
        Of the data set.
    width : int
        Channels of the first of three stages; the others have four times as many.
    """

    def __init__(self, image_channels: int, classes: int, width: int) -> None:
        super().__init__()
        patch = image_channels * PATCH**2
        self.whitening = nn.Conv2d(image_channels, 2 * patch, PATCH)
        self.whitening.weight.requires_grad_(False)
        nn.init.zeros_(self.whitening.bias)  # type: ignore[arg-type]
        self.stages = nn.Sequential(
            _Stage(2 * patch, width), _Stage(width, 4 * width), _Stage(4 * width, 4 * width)
        )  # fmt: skip
        self.head = nn.Linear(4 * width, classes, bias=False)

    def whiten(self, images: Tensor) -> None:
        """Compute the first layer from training images ``[n, C, H, W]``, float32.

        A filter is an eigenvector of the covariance of the images' patches, over the root of its eigenvalue; each is
        there with both signs.
        """
        size = self.whitening.weight.shape[1:]
        patches = functional.unfold(images, PATCH).transpose(1, 2).reshape(-1, size.numel()).double()
        variances, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (variances + LEAST_VARIANCE).sqrt()).T.reshape(-1, *size).float()
        self.whitening.weight.copy_(torch.cat((filters, -filters)))

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``[B, classes]``."""
        x = functional.gelu(self.whitening(image.contiguous(memory_format=torch.channels_last)))
        logits: Tensor = self.head(self.stages(x).amax(dim=(2, 3))) / CALM
        return logits
