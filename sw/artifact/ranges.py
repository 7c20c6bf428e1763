"""Worst-case integer ranges of every layer, proven from its weights and the range of its input.

Hardware widths, the golden model's choice of arithmetic and the refusal of artifacts that do not fit all rest
on these numbers, so they are bounds over every possible input, never observed values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sw.artifact.artifact import Artifact
from sw.layer import Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray


def signed_bits(low: int, high: int) -> int:
    """Width of the two's complement number that holds every integer of ``low..high``.

    Examples
    --------
    >>> signed_bits(-8, 7), signed_bits(-9, 7), signed_bits(0, 8)
    (4, 5, 5)
    """
    return max(high.bit_length() if high > 0 else 0, (-low - 1).bit_length() if low < 0 else 0) + 1


@dataclass(frozen=True, kw_only=True)
class LayerRange:
    """Bounds of one layer's integers over all inputs.

    Attributes
    ----------
    accumulator : tuple[int, int]
        Smallest and largest sum of weight times input at one position and time step (attention: of
        ``Q (K^T V)``). Zero lies inside, and so does the sum over any subset of the terms: a running sum in any
        order stays within these bounds.
    result : tuple[int, int]
        Smallest and largest membrane ``G_t`` before its reset, over all ``t`` and channels, in units of
        ``2^-(f+t)`` (without leak, ``2^-f``); for the head, of the logits.
    result_name : str
        ``membrane``, or ``logit`` for the head.
    """

    accumulator: tuple[int, int]
    result: tuple[int, int]
    result_name: str

    @property
    def accumulator_bits(self) -> int:
        """Two's complement width of the accumulator."""
        return signed_bits(*self.accumulator)

    @property
    def result_bits(self) -> int:
        """Two's complement width of the membrane or logit."""
        return signed_bits(*self.result)

    def to_dict(self) -> dict[str, object]:
        """Form of the artifact's header, plain JSON values."""
        return {
            "accumulator": list(self.accumulator),
            "accumulator_bits": self.accumulator_bits,
            self.result_name: list(self.result),
            f"{self.result_name}_bits": self.result_bits,
        }


def input_range(layer: Layer, image_table: NDArray[np.int8] | NDArray[np.uint8]) -> tuple[int, int]:
    """Smallest and largest input integer of `layer`, zero included (convolutions pad with it)."""
    if layer.source == "image":
        return min(0, int(image_table.min())), max(0, int(image_table.max()))
    return 0, layer.input_max


def accumulator_range(weight: NDArray[np.int8], low: int, high: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bounds of each output channel's sum for inputs of ``low..high``.

    Parameters
    ----------
    weight : int8 array [out, ...]
        Any number of weights for each output channel.
    low, high : int
        Input range with ``low <= 0 <= high``.

    Returns
    -------
    smallest, largest : int64 arrays [out]
    """
    rows = weight.reshape(weight.shape[0], -1).astype(np.int64)
    positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
    return positive * low + negative * high, positive * high + negative * low


def membrane_range(
    current_low: NDArray[np.int64],
    current_high: NDArray[np.int64],
    threshold: NDArray[np.int64],
    timesteps: int,
    *,
    leaky: bool = True,
) -> tuple[int, int]:
    """Bounds of ``G_t`` before its reset over all time steps and channels.

    A membrane that survives step ``t`` without a spike lies below its threshold, which caps what is carried.

    Parameters
    ----------
    current_low, current_high : int64 arrays [out]
        Bounds of the current ``C``.
    threshold : int64 array [out]
        Firing threshold in units of ``2^-(f+T)``; without leak, of ``2^-f``.
    timesteps : int
        Time steps ``T``.
    leaky : bool
        Whether ``G_t`` gains a bit at every step.
    """
    smallest, largest = 0, 0
    carried_low = np.zeros_like(current_low)
    carried_high = np.zeros_like(current_high)
    for t in range(1, timesteps + 1):
        gained, left = (t - 1, timesteps - t) if leaky else (0, 0)
        low = carried_low + (current_low << gained)
        high = carried_high + (current_high << gained)
        smallest, largest = min(smallest, int(low.min())), max(largest, int(high.max()))
        below_threshold = (threshold - 1) >> left
        carried_low = np.minimum(low, 0)
        carried_high = np.clip(high, 0, below_threshold)
    return smallest, largest


def layer_ranges(artifact: Artifact) -> dict[str, LayerRange]:
    """Bounds of every layer of `artifact`, by layer name in order of execution."""
    network, shift = artifact.network, artifact.bias_fraction_bits
    ranges = {}
    for layer in network.layers():
        if layer.kind == "attention":
            highest = network.head_dim * network.tokens
            zero, top = np.zeros(1, np.int64), np.full(1, highest, np.int64)
            limit = np.full(1, network.attention_threshold, np.int64)
            membrane = membrane_range(zero, top, limit, network.timesteps, leaky=network.leaky)
            ranges[layer.name] = LayerRange(accumulator=(0, highest), result=membrane, result_name="membrane")
            continue
        parameters = artifact.tensors[layer.name]
        low, high = accumulator_range(parameters.weight, *input_range(layer, artifact.image_table))
        bias = parameters.bias.astype(np.int64)
        accumulator = (int(low.min()), int(high.max()))
        if layer.kind == "head":
            count = layer.positions * network.timesteps
            result = (int((((low * count) << shift) + bias).min()), int((((high * count) << shift) + bias).max()))
            ranges[layer.name] = LayerRange(accumulator=accumulator, result=result, result_name="logit")
        else:
            assert parameters.threshold is not None
            result = membrane_range(
                (low << shift) + bias,
                (high << shift) + bias,
                parameters.threshold,
                network.timesteps,
                leaky=network.leaky,
            )
            ranges[layer.name] = LayerRange(accumulator=accumulator, result=result, result_name="membrane")
    return ranges
