"""Currents of a layer from byte dot products: unsigned bytes times 8-bit weights, several times as fast as float32.

oneDNN, which PyTorch brings, multiplies bytes into 32-bit sums, then applies a factor and a bias for each channel in
float32. That is exact where two bounds hold, and `ByteSums.proven` asks for both:

- Every number behind the sum is an integer below 2^24, which float32 holds.
- CPUs without byte dot products (VNNI) add the products in pairs that saturate at 16 bits; no pair may reach that.
"""

from __future__ import annotations

import torch
from torch import Tensor

from golden.arithmetic import EXACT_FLOAT32
from sw.artifact.artifact import LayerParameters
from sw.artifact.ranges import LayerRange
from sw.layer import Layer

LARGEST_PAIR = 2**15 - 1
"""What a saturating sum of two products may reach."""


class ByteSums:
    """A convolution or linear layer up to its neuron's input current.

    Parameters
    ----------
    layer : Layer
        Of kind ``conv`` or ``linear``, one that is `proven`.
    parameters : LayerParameters
        Of this layer.
    shift : int
        Fractional bits of the bias.
    """

    def __init__(self, layer: Layer, parameters: LayerParameters, shift: int):
        weight = torch.tensor(parameters.weight)
        self._weight = weight if layer.kind == "conv" else weight[:, :, None, None]  # linear: a 1x1 convolution
        self._padding = [self._weight.shape[-1] // 2] * 2
        self._scale = torch.full((len(weight),), 2.0**shift)
        self._zero = torch.zeros(len(weight), dtype=torch.int64)
        self._bias = torch.tensor(parameters.bias, dtype=torch.float32)
        self._packed: dict[torch.Size, Tensor] = {}

    @staticmethod
    def proven(layer: Layer, parameters: LayerParameters, shift: int, bounds: LayerRange) -> bool:
        """Whether currents are exact for every input of `layer`, whose range is `bounds`."""
        largest_weight = max(int(parameters.weight.max()), -int(parameters.weight.min()))
        largest_bias = max(int(parameters.bias.max()), -int(parameters.bias.min()))
        low, high = bounds.accumulator
        return (
            layer.source != "image"  # whose pixels are signed
            and 2 * layer.input_max * largest_weight <= LARGEST_PAIR
            and (max(-low, high) << shift) + largest_bias < EXACT_FLOAT32
            and hasattr(torch.ops.onednn, "qconv_pointwise")
        )

    def __call__(self, inputs: Tensor) -> Tensor:
        """Currents ``(acc << shift) + B``, int32 [T, B, H, W, out], of `inputs`, uint8 [T, B, H, W, in]."""
        images = inputs.flatten(0, 1).permute(0, 3, 1, 2)
        packed = self._packed.get(images.shape)
        if packed is None:
            # The order of weights in memory depends on the batch; in another one they are sorted again in every call.
            packed = self._packed[images.shape] = torch.ops.onednn.qconv_prepack(
                self._weight, self._scale, 1.0, 0, [1, 1], self._padding, [1, 1], 1, list(images.shape)
            )
        currents: Tensor = torch.ops.onednn.qconv_pointwise(
            images, 1.0, 0, packed, self._scale, self._zero, self._bias, [1, 1], self._padding, [1, 1], 1,
            1.0, 0, torch.float32, "none", [], "",
        )  # fmt: skip
        integers = currents.view(torch.int32).copy_(currents)  # in place, for fresh memory is slow to get
        return integers.permute(0, 2, 3, 1).reshape(*inputs.shape[:4], -1)
