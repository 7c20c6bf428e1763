"""Fold a trained quantised model into the integers of an artifact. Every Brevitas call of the export is here.

A layer's current is ``gain * (weight_scale * input_scale * acc + linear_bias - mean) + norm_bias`` with ``acc`` the
exact integer sum and ``gain`` batch norm's weight over its deviation. That is ``alpha * (acc + B)``, per channel; where
alpha is negative the channel's weights change sign, which the narrow range makes exact. Only B is rounded, to
``2^-f``.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sw.artifact import Artifact, LayerParameters
from sw.data import DataSet
from sw.errors import UserError
from sw.model import Spikformer, SpikingLayer
from sw.network import NEURON_THRESHOLD, Layer

BIAS_FRACTION_BITS = 4
"""``f``: fractional bits of B."""

SILENT_ALPHA = NEURON_THRESHOLD / 64
"""alpha of a channel whose batch norm gain is 0: all of its constant current is in B."""


@dataclass(frozen=True)
class FoldedLayer:
    """A layer as ``alpha * (acc + B)`` before B is rounded.

    Attributes
    ----------
    weight : Tensor
        int8 weights of the shape of the layer's, signs already flipped.
    alpha, bias : Tensor
        float64 ``[out]``, alpha positive; `bias` is B in units of the accumulator.
    """

    weight: Tensor
    alpha: Tensor
    bias: Tensor


def export_artifact(
    model: Spikformer,
    data: DataSet,
    *,
    bias_fraction_bits: int = BIAS_FRACTION_BITS,
    provenance: dict[str, Any] | None = None,
    accuracy: dict[str, dict[str, Any]] | None = None,
) -> Artifact:
    """Fold a quantised model.

    Parameters
    ----------
    model : Spikformer
        Trained, with quantised weights; it is not changed.
    data : DataSet
        What it was trained on: brings the pixel table and the class names.
    bias_fraction_bits : int
        Fractional bits of the biases.
    provenance, accuracy : dict, optional
        Recorded in the artifact as they are.

    Returns
    -------
    Artifact
        All integers of the network.

    Raises
    ------
    UserError
        If the model is float, a quantiser was never calibrated, or a number does not fit the format.
    """
    if model.weight_bits is None:
        raise UserError("the model has float weights; train the quantised phase first")
    exact = copy.deepcopy(model).double().eval()
    tensors = {}
    for layer in model.config.layers():
        if layer.has_weights:
            tensors[layer.name] = _integers(layer, fold(exact, layer, data.image_scale), model, bias_fraction_bits)
    return Artifact(
        network=model.config,
        weight_bits=model.weight_bits,
        bias_fraction_bits=bias_fraction_bits,
        tensors=tensors,
        image_table=_image_table(exact, data),
        image_scale=data.image_scale,
        dataset=data.name,
        class_names=data.class_names,
        provenance=provenance or {},
        accuracy=accuracy or {},
    )


def fold(model: Spikformer, layer: Layer, image_scale: float) -> FoldedLayer:
    """Fold one layer of a float64 model in eval mode.

    Raises
    ------
    UserError
        If the layer's weight quantiser is uncalibrated.
    """
    module = model.get_submodule(layer.name)
    if layer.kind == "head":
        weight, scale = _quantised_weight(layer, module)
        alpha = (scale / (layer.positions * model.config.timesteps)).expand(layer.out_channels)
        return FoldedLayer(weight, alpha, module.get_parameter("bias").detach() / alpha)
    assert isinstance(module, SpikingLayer)
    weight, scale = _quantised_weight(layer, module.weights)
    unit = scale.flatten() * (image_scale if layer.source == "image" else 1.0)
    norm = module.norm
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    own_bias = module.weights.bias
    linear_bias = own_bias.detach() if isinstance(own_bias, Tensor) else torch.zeros_like(gain)
    constant = gain * (linear_bias - norm.running_mean) + norm.bias.detach()
    silent = gain == 0
    alpha = torch.where(silent, SILENT_ALPHA, gain.abs() * unit)
    sign = gain.sign().to(torch.int8).view(-1, *(1,) * (weight.ndim - 1))
    return FoldedLayer(weight * sign, alpha, constant / alpha)


def _quantised_weight(layer: Layer, module: nn.Module) -> tuple[Tensor, Tensor]:
    """Integer weights and scale of a Brevitas layer, with the proof that they are its weights."""
    name = layer.name
    scaling = module.weight_quant.tensor_quant.scaling_impl  # type: ignore[union-attr]
    if not getattr(scaling, "init_done", True):
        raise UserError(f"the weight quantiser of {name} was never calibrated; train the quantised phase first")
    with torch.no_grad():
        quantised = module.quant_weight()  # type: ignore[operator]
        scale: Tensor = quantised.scale
        if not bool((torch.isfinite(scale) & (scale > 0)).all()):
            raise UserError(f"the weight quantiser of {name} has the scale {scale.min().item()}; train it again")
        integers: Tensor = quantised.int()
        limit = layer.weight_limit(int(quantised.bit_width))
        assert bool((integers * scale == quantised.value).all()), f"{name}: integers times scale are not the weights"
        assert int(integers.abs().max()) <= limit, f"{name}: weights are not narrow range"
    return integers.to(torch.int8), scale


def _integers(layer: Layer, folded: FoldedLayer, model: Spikformer, fraction: int) -> LayerParameters:
    """Round B and compute the thresholds."""
    bias = (folded.bias * 2**fraction).round()
    limit = 2**31 - 1
    if float(bias.abs().max()) > limit:
        channel = int(bias.abs().argmax())
        raise UserError(
            f"{layer.name}: bias {folded.bias[channel].item():.6g} of channel {channel} exceeds "
            f"{limit / 2**fraction:.6g}; its batch norm gain is next to nothing: train longer, or set that gain to 0"
        )
    thresholds = None if layer.kind == "head" else thresholds_of(folded.alpha, model.config.membrane_bits + fraction)
    return LayerParameters(
        weight=folded.weight.contiguous().numpy(),
        bias=bias.to(torch.int32).numpy(),
        threshold=thresholds,
        scale=folded.alpha.contiguous().numpy(),
    )


def thresholds_of(alpha: Tensor, shift: int) -> NDArray[np.int64]:
    """``ceil(2^shift * theta / alpha)`` per channel, computed as fractions: a float quotient could round up or down.

    Parameters
    ----------
    alpha : Tensor
        float64 ``[out]``, positive.
    shift : int
        Fractional bits of the membrane and of the bias.
    """
    theta = Fraction(NEURON_THRESHOLD) * 2**shift
    return np.array([math.ceil(theta / Fraction(value)) for value in alpha.tolist()], dtype=np.int64)


def _image_table(model: Spikformer, data: DataSet) -> NDArray[np.int8]:
    """The data set's pixel table, proven to pass through the model's image quantiser unchanged."""
    table = data.image_table()
    values = table.to(torch.float64) * data.image_scale
    assert bool((model.image_quantiser(values) == values).all()), "the image quantiser changes the encoded pixels"
    return table.numpy()
