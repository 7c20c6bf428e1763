"""Post-training quantisation: integers for a float model without training it again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hw.integers import ceil_div
from sw.model.quantizers import begin_scales
from sw.model.spikformer import Spikformer

BATCH = 32
"""Images at a time: enough that the statistics of a batch are near those of all."""


def quantise(model: Spikformer, weight_bits: int, image_scale: float, images: Tensor | None = None) -> Spikformer:
    """Quantise a float model.

    Every weight scale is the one of least squared error for its channel (the head: for all). Rounded weights shift
    and widen the currents; if there are images, batch norm takes that back: see `calibrate_norms`.

    Parameters
    ----------
    model : Spikformer
        Float, in eval mode; it is not changed.
    weight_bits : int
        One of `sw.layer.WEIGHT_WIDTHS`.
    image_scale : float
        Value of one integer step of the image.
    images : Tensor, optional
        Normalised calibration images ``[n, C, H, W]`` on the image's grid.

    Returns
    -------
    Spikformer
        Quantised, in eval mode, ready for `sw.export.fold.export_artifact`.
    """
    quantised = Spikformer(model.config, weight_bits, image_scale)
    missing, unexpected = quantised.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected and all("_quant." in name for name in missing), (missing, unexpected)
    quantised.eval()
    begin_scales(quantised)
    if images is not None:
        calibrate_norms(model, quantised, images)
    return quantised


@dataclass
class _Sums:
    """Mean and variance of the sums that enter a batch norm, ``[C]`` each."""

    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, sums: Tensor) -> _Sums:
        variance, mean = torch.var_mean(sums, dim=(0, 2, 3), correction=0)
        return cls(mean, variance)


def calibrate_norms(model: Spikformer, quantised: Spikformer, images: Tensor) -> None:
    """Correct the batch norms of a quantised model by what rounding did to the sums in front of them.

    The running variance changes by the ratio of the variances of both models' sums over the images, and the running
    mean so that the mean current stays. So a channel's currents have the mean and the deviation of the float model's,
    and nothing changes where rounding changed nothing: the images need not be spread as the training's were.

    While a batch is measured, every norm is corrected for this very batch: what lies behind it already sees currents
    as they will be.

    Parameters
    ----------
    model, quantised : Spikformer
        The float model, and the same with rounded weights, whose norms are changed; both in eval mode.
    images : Tensor
        Normalised ``[n, C, H, W]``.
    """
    exact, rounded = _norms(model), _norms(quantised)
    floats: dict[str, _Sums] = {}
    means = {name: torch.zeros_like(norm.bias) for name, norm in rounded.items()}
    variances = {name: torch.zeros_like(norm.bias) for name, norm in rounded.items()}
    share = 0.0  # of the images, in the batch at hand

    def measure(name: str, sums: Tensor) -> None:
        floats[name] = _Sums.of(sums)

    def correct(name: str, sums: Tensor) -> None:
        old, norm, ours, theirs = exact[name], rounded[name], _Sums.of(sums), floats[name]
        ratio = (ours.variance + norm.eps) / (theirs.variance + norm.eps)
        offset = theirs.mean - old.get_buffer("running_mean")
        mean, variance = (
            ours.mean - offset * ratio.sqrt(),
            (old.get_buffer("running_var") + norm.eps) * ratio - norm.eps,
        )
        norm.running_mean, norm.running_var = mean, variance
        means[name] += share * mean
        variances[name] += share * variance

    hooks = [
        norm.register_forward_pre_hook(lambda _norm, inputs, name=name, act=act: act(name, inputs[0]))
        for norms, act in ((exact, measure), (rounded, correct))
        for name, norm in norms.items()
    ]
    with torch.no_grad():
        for batch in torch.tensor_split(images, ceil_div(len(images), BATCH)):
            share = len(batch) / len(images)
            model(batch)
            quantised(batch)
    for hook in hooks:
        hook.remove()
    for name, norm in rounded.items():
        norm.running_mean, norm.running_var = means[name], variances[name]


def _norms(model: Spikformer) -> dict[str, nn.BatchNorm2d]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
