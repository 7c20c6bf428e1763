"""Every Brevitas quantiser of the project: weights of 2, 3, 4 or 8 bits, and the signed 8-bit image.

All are symmetric and narrow range (``-1..1``, ``-3..3``, ``-7..7`` and ``-127..127``, less where a layer's
`weight_limit` is less), so flipping a sign is exact and zero stays zero.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sw.interrupts import interrupts_kept
from sw.layer import IMAGE_BITS, Layer

with interrupts_kept():  # a bare `except:` in it would swallow them
    import brevitas.nn as qnn
    from brevitas.core.quant import IntQuant
    from brevitas.core.restrict_val import RestrictValueType
    from brevitas.core.scaling import ScalingImplType
    from brevitas.inject.enum import ScalingPerOutputType
    from brevitas.quant.scaled_int import Int8ActPerTensorFloat, Int8WeightPerChannelFloat

FEW_LEVELS = 7
"""Largest integers below this one are few: then the best scale may clip most of the range of the weights."""


class LimitedIntQuant(IntQuant):  # type: ignore[misc]
    """Integers of ``-limit..limit``, whatever the bit width would allow."""

    def __init__(
        self, limit: int, input_view_impl: nn.Module, float_to_int_impl: nn.Module, tensor_clamp_impl: nn.Module
    ) -> None:
        super().__init__(True, True, input_view_impl, float_to_int_impl, tensor_clamp_impl)
        self.limit = limit

    def min_int(self, bit_width: Tensor) -> Tensor:
        """Smallest integer, in the type of `bit_width`."""
        return torch.full_like(bit_width, -self.limit)

    def max_int(self, bit_width: Tensor) -> Tensor:
        """Largest integer, in the type of `bit_width`."""
        return torch.full_like(bit_width, self.limit)


class LimitScaling(nn.Module):
    """The integer that the largest weight becomes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, bit_width: Tensor, signed: bool | None = None) -> Tensor:
        """Return the limit in the type of `bit_width`; `signed` is Brevitas's and changes nothing."""
        return torch.full_like(bit_width, self.limit)


class ChannelWeightQuant(Int8WeightPerChannelFloat):  # type: ignore[misc]
    """Weights with one learned scale per output channel, begun at the largest weight.

    The scale is learned in the logarithm: a step of the optimiser changes it by a fraction of itself, however small the
    weights are.
    """

    int_quant = LimitedIntQuant
    int_scaling_impl = LimitScaling
    scaling_impl_type = ScalingImplType.PARAMETER_FROM_STATS
    restrict_scaling_type = RestrictValueType.LOG_FP


class TensorWeightQuant(ChannelWeightQuant):
    """Weights with one scale for the whole tensor, for the head: its integers are compared with each other."""

    scaling_per_output_type = ScalingPerOutputType.TENSOR


class ImageQuant(Int8ActPerTensorFloat):  # type: ignore[misc]
    """Signed 8-bit image with one constant scale, so that the zero padding of the first convolution is zero."""

    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.FP
    narrow_range = True
    bit_width = IMAGE_BITS


def quantised_conv(layer: Layer, *, bits: int) -> nn.Module:
    """3x3 convolution, pad 1, no bias, weights of `bits` bits with one scale per output channel."""
    conv: nn.Module = qnn.QuantConv2d(
        layer.in_channels, layer.out_channels, 3, padding=1, bias=False, **_weight_quantiser(layer, bits)
    )
    return conv


def quantised_linear(layer: Layer, *, bits: int) -> nn.Module:
    """Linear layer, weights of `bits` bits; one scale per output channel, one in all for the head."""
    linear: nn.Module = qnn.QuantLinear(
        layer.in_channels, layer.out_channels, bias=layer.bias, **_weight_quantiser(layer, bits)
    )
    return linear


def _weight_quantiser(layer: Layer, bits: int) -> dict[str, Any]:
    quant = TensorWeightQuant if layer.kind == "head" else ChannelWeightQuant
    return {"weight_quant": quant, "weight_bit_width": bits, "weight_limit": layer.weight_limit(bits)}


def quantised_image(scale: float) -> nn.Module:
    """Image quantiser with the constant scale `scale` per integer step."""
    identity: nn.Module = qnn.QuantIdentity(act_quant=ImageQuant, scaling_init=scale * (2 ** (IMAGE_BITS - 1) - 1))
    return identity


def begin_scales(model: nn.Module) -> None:
    """Set every weight scale of a quantised model to the one of least squared error for its present weights.

    Candidates for the largest integer are 40 % to 100 % of the largest magnitude, per channel or tensor as the
    quantiser goes; of weights of 2 and 3 bits 10 % to 100 %. (Of a normal distribution ``-1..1`` are best at 1.22
    deviations, and the largest of a thousand weights is at more than 3.)
    """
    for module in model.modules():
        if not isinstance(module, qnn.QuantConv2d | qnn.QuantLinear):
            continue
        weight = module.weight.detach()
        per_channel = isinstance(module.quant_weight().scale, Tensor) and module.quant_weight().scale.numel() > 1
        rows = weight.flatten(1) if per_channel else weight.reshape(1, -1)
        top = module.weight_quant.tensor_quant.int_quant.limit
        largest = rows.abs().amax(1, keepdim=True).clamp_min(1e-6)
        best, least = largest, torch.full_like(largest, torch.inf)
        for fraction in torch.linspace(0.1 if top < FEW_LEVELS else 0.4, 1.0, 61):
            scale = largest * fraction / top
            error = ((rows / scale).round().clamp(-top, top) * scale - rows).square().sum(1, keepdim=True)
            best = torch.where(error < least, largest * fraction, best)
            least = torch.minimum(error, least)
        _begin_scale(module, best)


def _begin_scale(module: nn.Module, largest: Tensor) -> None:
    """Set the scales of a quantised layer so that these weights become the largest integer."""
    scaling: Any = module.weight_quant.tensor_quant.scaling_impl  # type: ignore[union-attr]
    scaling.load_state_dict({"value": largest.log2().reshape(scaling.value.shape)})


def set_weights(module: nn.Module, integers: Tensor, scale: Tensor) -> Tensor:
    """Give a layer that learns, float or quantised, the weights ``integers * scale``.

    Parameters
    ----------
    module : nn.Module
        Convolution or linear layer, or one of Brevitas that is not fixed.
    integers : Tensor
        Weights as integers, shape of the layer's weight.
    scale : Tensor
        float64 ``[out]``, or ``[1]`` for the whole layer.

    Returns
    -------
    Tensor
        float64, the scales as they have become in the precision of the layer.
    """
    weight = module.get_parameter("weight")
    if isinstance(module, qnn.QuantConv2d | qnn.QuantLinear):
        limit = module.weight_quant.tensor_quant.int_quant.limit
        _begin_scale(module, scale * limit)
        scale = module.quant_weight().scale.detach().double().flatten()
    weight.data = (integers.to(torch.float64) * scale.view(-1, *(1,) * (integers.ndim - 1))).to(weight.dtype)
    return scale


class FixedScale(nn.Module):
    """Scaling of a Brevitas quantiser that is exactly the given numbers: nothing learned, nothing divided."""

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor, threshold: Tensor | None = None) -> Tensor:
        """Return the scale; the arguments are Brevitas's and change nothing."""
        scale: Tensor = self.get_buffer("scale")
        return scale


def fix_weights(module: nn.Module, integers: Tensor, scale: Tensor) -> None:
    """Give a quantised layer exactly these quantised weights.

    Parameters
    ----------
    module : nn.Module
        Brevitas layer in float64.
    integers : Tensor
        Weights as integers, shape of the layer's weight.
    scale : Tensor
        float64 ``[out]``, or one number if the layer quantises per tensor.
    """
    shape = (-1, *(1,) * (integers.ndim - 1)) if scale.ndim else ()
    quantiser: Any = module.weight_quant
    quantiser.tensor_quant.scaling_impl = FixedScale(scale.reshape(shape))
    module.weight.data = integers.to(torch.float64) * scale.reshape(shape)
