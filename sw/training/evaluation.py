"""Accuracy of a model over a set of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BATCH = 250
"""Images at once."""


def evaluate(model: nn.Module, images: Tensor, labels: Tensor, image_scale: float) -> float:
    """Percent of images classified correctly, in the model's own precision.

    Parameters
    ----------
    model : nn.Module
        `Spikformer` or `Teacher`; put into eval mode, and left so.
    images, labels : Tensor
        Encoded int8 images ``[n, C, H, W]`` and int64 labels ``[n]``.
    image_scale : float
        Value of one integer step of the image.
    """
    model.eval()
    parameter = next(model.parameters())
    correct = 0
    # cuDNN would round fp32 convolutions to TF32.
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
        for batch, truth in zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True):
            batch, truth = batch.to(parameter.device), truth.to(parameter.device)
            correct += int((model(batch.to(parameter.dtype) * image_scale).argmax(1) == truth).sum())
    return 100 * correct / len(labels)
