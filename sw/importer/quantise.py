"""Post-training quantisation: integers for a float model without training it again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sw.model import Spikformer
from sw.quantizers import begin_scales

BATCH = 32
"""Images at a time: enough that the statistics of a batch are near those of all."""


def quantise(model: Spikformer, weight_bits: int, image_scale: float, images: Tensor | None = None) -> Spikformer:
    """Quantise a float model.

    Every weight scale is the one of least squared error for its channel (the head: for all). Rounded weights shift
    and widen the currents; if there are images, the statistics of batch norm are taken anew from them, so that
    currents have mean and deviation again what training made them.

    Parameters
    ----------
    model : Spikformer
        Float, in eval mode; it is not changed.
    weight_bits : int
        4 or 8.
    image_scale : float
        Value of one integer step of the image.
    images : Tensor, optional
        Normalised calibration images ``[n, C, H, W]`` on the image's grid.

    Returns
    -------
    Spikformer
        Quantised, in eval mode, ready for `sw.export.export_artifact`.
    """
    quantised = Spikformer(model.config, weight_bits, image_scale)
    missing, unexpected = quantised.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected and all("_quant." in name for name in missing), (missing, unexpected)
    quantised.eval()
    begin_scales(quantised)
    if images is not None:
        _estimate_norms(quantised, images)
    return quantised


def _estimate_norms(model: Spikformer, images: Tensor) -> None:
    """Replace the statistics of every batch norm by the mean of those of the batches, which normalise themselves."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.train()
    with torch.no_grad():
        for batch in images.tensor_split(-(-len(images) // BATCH)):
            model(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
