"""What a model does with a set of images: how many it classifies right, how often its neurons fire."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sw.model.spikformer import Spikformer, Trace

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


class _Rates(Trace):
    """A trace that keeps of each layer only the share of its neurons that fire.

    Attributes
    ----------
    rates : dict of str to float
        By layer, over images and time steps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rates: dict[str, float] = {}

    def add_neurons(self, name: str, current: Tensor, spikes: Tensor, threshold: float, *, leaky: bool) -> None:
        """Take the mean of spikes ``[T, B, C, H, W]``."""
        self.rates[name] = spikes.float().mean().item()


def firing_rates(model: Spikformer, images: Tensor, image_scale: float) -> dict[str, float]:
    """Share of the neurons of every layer that fire, over images and time steps, before any pool.

    Parameters
    ----------
    model : Spikformer
        Put into eval mode, and left so.
    images : Tensor
        Encoded int8 images ``[n, C, H, W]``, run as one batch.
    image_scale : float
        Value of one integer step of the image.
    """
    model.eval()
    parameter, trace = next(model.parameters()), _Rates()
    with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
        model(images.to(parameter.device).to(parameter.dtype) * image_scale, trace)
    return trace.rates
