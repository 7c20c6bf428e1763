"""Packs a layer's parameters and weights in the order the accelerator streams them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from sw.artifact import Artifact
from sw.image_pack import pack_bits
from sw.network import Layer

NEVER = -(1 << 31)
"""Bias of a padding class: no logit is smaller."""


@dataclass(frozen=True)
class OutputTiles:
    """How a layer's output channels are cut.

    Attributes
    ----------
    count : int
        Output tiles.
    words, last_words : int
        Words of `inputs` channels in every tile but the last, and in the last.
    """

    count: int
    words: int
    last_words: int


def output_tiles(config: HardwareConfig, layer: Layer) -> OutputTiles:
    """Cut a layer's output channels; before a pool all tiles are alike, padded by silent channels."""
    words = -(-layer.out_channels // config.inputs)
    per_tile = min(words, config.outputs // config.inputs)
    count = -(-words // per_tile)
    return OutputTiles(count, per_tile, per_tile if layer.pool else words - (count - 1) * per_tile)


def weight_matrix(artifact: Artifact, layer: Layer) -> NDArray[np.int8]:
    """Weights as ``[out, taps, in]``; the image layer's patch is one tap of ``9 * channels`` inputs, tap-major."""
    weight = artifact.tensors[layer.name].weight
    matrix = weight.reshape(layer.out_channels, layer.in_channels, layer.taps).transpose(0, 2, 1)
    return matrix.reshape(layer.out_channels, 1, -1) if layer.source == "image" else matrix


def pack_weights(artifact: Artifact, config: HardwareConfig, layer: Layer) -> NDArray[np.uint64]:
    """Pack one layer.

    Per output tile: a beat for each of its channels (signed 32-bit bias, signed 32-bit threshold), then the weights
    ``[tap][slice][output][input]``, `weight_bits` each. Channels and inputs beyond the layer's are zero weights and
    never fire.

    Parameters
    ----------
    artifact : Artifact
        The network; it must fit `config`.
    config : HardwareConfig
        The accelerator.
    layer : Layer
        A layer with weights.

    Returns
    -------
    uint64 array
        Beats.
    """
    parameters, matrix = artifact.tensors[layer.name], weight_matrix(artifact, layer)
    out, taps, channels = matrix.shape
    count, slices = output_tiles(config, layer).count, -(-channels // config.inputs)
    weights = np.zeros((count * config.outputs, taps, slices * config.inputs), np.int8)
    weights[:out, :, :channels] = matrix
    # [tile, output, tap, slice, input] -> [tile, tap, slice, output, input]
    tiled = weights.reshape(count, config.outputs, taps, slices, config.inputs).transpose(0, 2, 3, 1, 4)
    bits = ((tiled.reshape(-1, 1).view(np.uint8) >> np.arange(config.weight_bits, dtype=np.uint8)) & 1).astype(np.uint8)
    slice_bits = config.outputs * config.inputs * config.weight_bits
    weight_beats = pack_bits(bits.reshape(-1, slice_bits), slice_bits).reshape(count, -1)

    largest = (1 << config.membrane_bits - 1) - 1
    bias = np.full(count * config.outputs, NEVER if layer.kind == "head" else 0, np.int64)
    threshold = np.full(count * config.outputs, largest, np.int64)
    bias[:out] = parameters.bias
    if parameters.threshold is not None:
        scaled = parameters.threshold << (config.timesteps - artifact.network.timesteps)
        threshold[:out] = np.minimum(scaled, largest)
    words = bias.astype(np.int32).view(np.uint32).astype(np.uint64) | (threshold.astype(np.uint64) << np.uint64(32))
    return np.concatenate([words.reshape(count, -1), weight_beats], axis=1).reshape(-1)
