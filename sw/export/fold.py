"""Fold a trained quantised model into the integers of an artifact. Every Brevitas call of the export is here.

A layer's current is ``gain * (weight_scale * input_scale * acc + linear_bias - mean) + norm_bias`` with ``acc`` the
exact integer sum and ``gain`` batch norm's weight over its deviation. That is ``alpha * (acc + B)``, per channel; where
alpha is negative the channel's weights change sign, which the narrow range makes exact. Only B is rounded, to
``2^-f``. A neuron without a gain to speak of is kept in its smallest form, see `sw.export.constant_neuron`.
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

from sw.artifact.artifact import LARGEST_BIAS, Artifact, LayerParameters
from sw.artifact.ranges import accumulator_range, input_range
from sw.data.sets import DataSet
from sw.errors import UserError
from sw.export.constant_neuron import constant_integers, constant_period
from sw.layer import Layer
from sw.model.spikformer import Spikformer, SpikingLayer
from sw.network import NEURON_THRESHOLD, NetworkConfig

BIAS_FRACTION_BITS = 4
"""``f``: fractional bits of B."""

SILENT_ALPHA = NEURON_THRESHOLD / 2**40
"""alpha of a channel whose batch norm gain is 0: all of its constant current is in B, hardly rounded."""

SMALLEST_ALPHA = 2.0**-256
"""A gain that makes less of a weight is 0 for all that float64 can tell."""

ZERO_HEAD_BITS = 16
"""Bits of the largest bias of a head without weights, in units of its alpha."""

LARGEST_THRESHOLD = 2**63 - 1


@dataclass(frozen=True)
class FoldedLayer:
    """A layer as ``alpha * acc + constant``.

    Attributes
    ----------
    weight : Tensor
        int8 weights of the shape of the layer's, signs already flipped.
    alpha, constant : Tensor
        float64 ``[out]``, alpha positive; ``constant / alpha`` is B before it is rounded.
    """

    weight: Tensor
    alpha: Tensor
    constant: Tensor


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
    table = _image_table(exact, data)
    layers = [layer for layer in model.config.layers() if layer.has_weights]
    folded = {layer: fold(exact, layer, data.image_scale) for layer in layers}
    sums = {layer: accumulator_range(each.weight.numpy(), *input_range(layer, table)) for layer, each in folded.items()}
    widest = max(int(np.abs(bound).max()) for bounds in sums.values() for bound in bounds)
    tensors = {
        layer.name: _integers(layer, folded[layer], model.config, bias_fraction_bits, sums[layer], widest)
        for layer in layers
    }
    return Artifact(
        network=model.config,
        weight_bits=model.weight_bits,
        bias_fraction_bits=bias_fraction_bits,
        tensors=tensors,
        image_table=table,
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
        If the layer's weight quantiser is uncalibrated, or a number is not finite.
    """
    module = model.get_submodule(layer.name)
    if layer.kind == "head":
        weight, scale = _quantised_weight(layer, module)
        constant = module.get_parameter("bias").detach()
        alpha = scale / (layer.positions * model.config.timesteps)
        if not weight.any():  # the scale of no weights says nothing of the biases
            alpha = torch.full_like(scale, (float(constant.abs().max()) or 1.0) / 2**ZERO_HEAD_BITS)
        return _folded(layer, weight, alpha.expand(layer.out_channels), constant)
    assert isinstance(module, SpikingLayer)
    weight, scale = _quantised_weight(layer, module.weights)
    unit = scale.flatten() * (image_scale if layer.source == "image" else 1.0)
    norm = module.norm
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight.detach() / (norm.running_var + norm.eps).sqrt()
    own_bias = module.weights.bias
    linear_bias = own_bias.detach() if isinstance(own_bias, Tensor) else torch.zeros_like(gain)
    constant = gain * (linear_bias - norm.running_mean) + norm.bias.detach()
    silent = gain.abs() * unit < SMALLEST_ALPHA
    alpha = torch.where(silent, SILENT_ALPHA, gain.abs() * unit)
    sign = torch.where(silent, 0, gain.sign()).to(torch.int8).view(-1, *(1,) * (weight.ndim - 1))
    return _folded(layer, weight * sign, alpha, constant)


def _folded(layer: Layer, weight: Tensor, alpha: Tensor, constant: Tensor) -> FoldedLayer:
    finite = torch.isfinite(alpha) & torch.isfinite(constant)
    if not bool(finite.all()):
        channel = int((~finite).int().argmax())
        raise UserError(f"{layer.name}: batch norm or bias of channel {channel} is not a finite number; train it again")
    return FoldedLayer(weight, alpha, constant)


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


def _integers(
    layer: Layer,
    folded: FoldedLayer,
    network: NetworkConfig,
    fraction: int,
    sums: tuple[NDArray[np.int64], NDArray[np.int64]],
    widest: int,
) -> LayerParameters:
    """Round B and compute the thresholds.

    Where either dwarfs all sums of the network, `widest`, and the neuron fires alike whatever its own between `sums`
    are, it gets the smallest integers that do so, and no weights: it must not be what asks for the widest neurons.
    """
    weight, scale = folded.weight.numpy().copy(), folded.alpha.numpy().copy()
    bias = biases_of(folded, fraction)
    if layer.kind == "head":
        _check_size(layer, "bias", bias, LARGEST_BIAS)
        return LayerParameters(weight=weight, bias=np.array(bias, np.int32), threshold=None, scale=scale)
    timesteps, leaky, shift = network.timesteps, network.leaky, network.membrane_bits + fraction
    threshold = thresholds_of(folded.alpha, shift)
    low, high = ([bound << fraction for bound in bounds.tolist()] for bounds in sums)
    usual = widest << fraction
    for channel, (constant, limit) in enumerate(zip(bias, threshold, strict=True)):
        if abs(constant) < usual and limit <= usual << timesteps + 1:
            continue
        period = constant_period(low[channel] + constant, high[channel] + constant, limit, timesteps, leaky=leaky)
        if period is None:
            continue
        weight[channel] = 0
        bias[channel], threshold[channel] = constant_integers(period, timesteps, leaky=leaky)
        # Between this threshold and the one below it: no membrane of the real-valued model comes close to a tie.
        scale[channel] = 2**shift * NEURON_THRESHOLD / (threshold[channel] - 0.5)
    _check_size(layer, "bias", bias, LARGEST_BIAS)
    _check_size(layer, "threshold", threshold, LARGEST_THRESHOLD)
    return LayerParameters(
        weight=weight,
        bias=np.array(bias, np.int32),
        threshold=np.array(threshold, np.int64),
        scale=scale,
    )


def _check_size(layer: Layer, what: str, values: list[int], limit: int) -> None:
    """Refuse numbers that the artifact cannot hold."""
    worst = max(values, key=abs)
    if abs(worst) > limit:
        cause, remedy = "its batch norm gain is", "set that gain to 0"
        if layer.kind == "head":
            cause, remedy = "the weights are, beside the biases,", "set them to 0"
        raise UserError(
            f"{layer.name}: {what} {worst:.6g} of channel {values.index(worst)} exceeds {limit:.6g}; {cause} next to "
            f"nothing: train longer, or {remedy}"
        )


def biases_of(folded: FoldedLayer, fraction: int) -> list[int]:
    """B per channel in units of ``2^-fraction``, of any size; computed as fractions like the thresholds."""
    pairs = zip(folded.constant.tolist(), folded.alpha.tolist(), strict=True)
    return [round(Fraction(constant) / Fraction(alpha) * 2**fraction) for constant, alpha in pairs]


def thresholds_of(alpha: Tensor, shift: int) -> list[int]:
    """``ceil(2^shift * theta / alpha)`` per channel, computed as fractions: a float quotient could round up or down.

    Parameters
    ----------
    alpha : Tensor
        float64 ``[out]``, positive.
    shift : int
        Fractional bits of the membrane and of the bias.
    """
    theta = Fraction(NEURON_THRESHOLD) * 2**shift
    return [math.ceil(theta / Fraction(value)) for value in alpha.tolist()]


def _image_table(model: Spikformer, data: DataSet) -> NDArray[np.int8] | NDArray[np.uint8]:
    """The data set's pixel table, proven to pass through the model's image quantiser unchanged."""
    table = data.image_table()
    values = table.to(torch.float64) * data.image_scale
    assert bool((model.image_quantiser(values) == values).all()), "the image quantiser changes the encoded pixels"
    found: NDArray[np.int8] | NDArray[np.uint8] = table.numpy()
    return found
