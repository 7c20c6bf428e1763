"""Packs a layer's parameters and weights in the order the accelerator streams them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.config import PARAMETER_BITS, TABLE_INPUTS, WEIGHT_BITS, HardwareConfig
from hw.integers import ceil_div
from sw.artifact.artifact import Artifact
from sw.compiler.heads import is_per_head, padded_head, reads_heads, spread_heads
from sw.layer import Layer
from sw.network import NetworkConfig

NEVER = -(1 << 31)
"""Bias of a padding class: no logit is smaller."""


@dataclass(frozen=True)
class OutputTiles:
    """How output channels are cut.

    Attributes
    ----------
    count : int
        Output tiles.
    pieces, last_pieces : int
        Pieces of channels in every tile but the last, and in the last.
    """

    count: int
    pieces: int
    last_pieces: int

    @property
    def total_pieces(self) -> int:
        """Pieces of all tiles."""
        return (self.count - 1) * self.pieces + self.last_pieces


def output_tiles(config: HardwareConfig, network: NetworkConfig, layer: Layer) -> OutputTiles:
    """Cut the output channels that a descriptor of a layer writes: a head's, or all.

    Silent channels fill the words of a head, and before a pool the last tile, so that all tiles are alike.
    """
    channels = padded_head(config, network) if is_per_head(layer) else layer.out_channels
    total = ceil_div(channels, config.piece)
    pieces = min(total, config.tile_pieces)
    count = ceil_div(total, pieces)
    return OutputTiles(count, pieces, pieces if layer.pool else total - (count - 1) * pieces)


def weight_matrix(artifact: Artifact, layer: Layer) -> NDArray[np.int8]:
    """Weights as ``[out, taps, in]``; the first layer's patch is one tap of ``9 * channels`` inputs, tap-major."""
    weight = artifact.tensors[layer.name].weight
    matrix = weight.reshape(layer.out_channels, layer.in_channels, layer.taps).transpose(0, 2, 1)
    return matrix.reshape(layer.out_channels, 1, -1) if layer.reads_input else matrix


def split_weights(weights: NDArray[np.int8], *, image: bool) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """High and low halves of 8-bit weights: ``weight = 16 * high + low``.

    The low half is unsigned, 0 to 15, and so are its sums of spikes. In the image layer, whose inputs are signed, it
    is signed, -8 to 7, which reaches weights up to `sw.layer.IMAGE_WEIGHT_LIMIT`.
    """
    low = (weights & 15 ^ 8) - 8 if image else weights & 15
    # Shifted before the subtraction: `weights - low` could leave 8 bits.
    return (weights >> WEIGHT_BITS) + (low < 0), low


def segments(artifact: Artifact, layer: Layer) -> tuple[NDArray[np.int8], ...]:
    """The layer's weights as often as an output tile streams them, each ``[out, taps, in]`` of 4-bit integers.

    High and low half of 8-bit weights; in the image layer each of them negated first, for the sign plane.
    """
    matrix, image = weight_matrix(artifact, layer), layer.source == "image"
    halves = split_weights(matrix, image=image) if artifact.weight_bits > WEIGHT_BITS else (matrix,)
    if not image:
        return halves
    negated = split_weights(-matrix, image=True) if artifact.weight_bits > WEIGHT_BITS else (-matrix,)
    return tuple(segment for pair in zip(negated, halves, strict=True) for segment in pair)


def stored_thresholds(
    threshold: NDArray[np.int64], config: HardwareConfig, network: NetworkConfig, bits: int
) -> NDArray[np.int64]:
    """Thresholds as the neurons compare them, with a membrane of the configuration's last time step.

    That has a fractional bit for every step of the configuration, where an artifact's threshold has one for every step
    of the network; without leak for every step but the first (`hw.neurons.lif.Lif`), where it has none.

    Neurons are as wide as their membranes need, and no membrane reaches the largest threshold of so many bits: it
    stands for all that are larger.

    Parameters
    ----------
    threshold : int64 array
        Not negative; scaled it may leave 64 bits.
    config : HardwareConfig
    network : NetworkConfig
    bits : int
        Width of the unsigned field, below 63.
    """
    steps = config.max_timesteps - (network.timesteps if network.leaky else 1)
    largest = (1 << bits) - 1
    scaled: NDArray[np.int64] = np.minimum(threshold, (largest >> steps) + 1) << steps
    return np.minimum(scaled, largest)


def pack_weights(artifact: Artifact, config: HardwareConfig, layer: Layer, channels: range) -> NDArray[np.uint64]:
    """Pack some output channels of one layer.

    Per output tile: the parameters of each of its channels (signed bias, from bit `HardwareConfig.threshold_offset` on
    signed threshold), then the segments of weights ``[slice][tap]``, each a slice as
    `hw.array.weight_array.WeightArray` takes it: four rows, row k with input k of every four, ``[output][input / 4]``.
    Channels and inputs beyond the layer's are zero weights and never fire.

    Parameters
    ----------
    artifact : Artifact
        The network; it must fit `config`.
    config : HardwareConfig
        The accelerator.
    layer : Layer
        A layer with weights.
    channels : range
        Output channels; an attention head's of q, k or v, else all.

    Returns
    -------
    uint64 array
        Whole beats.
    """
    count = output_tiles(config, artifact.network, layer).count
    parameters = _parameter_words(artifact, config, layer, channels, count * config.outputs)
    weights = _weight_words(artifact, config, layer, channels, count)
    return np.concatenate([parameters.reshape(count, -1), weights], axis=1).reshape(-1)


def _weight_words(
    artifact: Artifact, config: HardwareConfig, layer: Layer, channels: range, tiles: int
) -> NDArray[np.uint64]:
    """Weights, a row of words per output tile."""
    parts = [segment[channels.start : channels.stop] for segment in segments(artifact, layer)]
    if reads_heads(layer):
        parts = [spread_heads(part, config, artifact.network) for part in parts]
    out, taps, inputs = parts[0].shape
    slices, tables = ceil_div(inputs, config.inputs), config.inputs // TABLE_INPUTS
    weights = np.zeros((len(parts), tiles * config.outputs, taps, slices * config.inputs), np.int8)
    weights[:, :out, :, :inputs] = np.stack(parts)
    # [segment, tile, output, tap, slice, table, k] -> [tile, segment, slice, tap, k, output, table]
    tiled = weights.reshape(len(parts), tiles, config.outputs, taps, slices, tables, TABLE_INPUTS)
    rows = tiled.transpose(1, 0, 4, 3, 6, 2, 5).reshape(-1, config.weight_row_bits // WEIGHT_BITS)
    place = config.memory_bits * config.row_beats // config.beat_rows // WEIGHT_BITS
    nibbles = np.pad(rows, ((0, 0), (0, place - rows.shape[1]))).reshape(-1, 2).view(np.uint8) & 15
    words: NDArray[np.uint64] = (nibbles[:, 0] | nibbles[:, 1] << WEIGHT_BITS).view("<u8").reshape(tiles, -1)
    return words


def _parameter_words(
    artifact: Artifact, config: HardwareConfig, layer: Layer, channels: range, outputs: int
) -> NDArray[np.uint64]:
    """Bias and threshold of each of `outputs` channels; those behind the layer's never fire."""
    chosen, parameters = slice(channels.start, channels.stop), artifact.tensors[layer.name]
    bias = np.full(outputs, NEVER if layer.kind == "head" else 0, np.int64)
    threshold = np.full(outputs, (1 << config.membrane_bits - 1) - 1, np.int64)
    bias[: len(channels)] = parameters.bias[chosen]
    if parameters.threshold is not None:
        limits, bits = parameters.threshold[chosen], config.membrane_bits - 1
        threshold[: len(channels)] = stored_thresholds(limits, config, artifact.network, bits)
    # A wide threshold begins where the neuron's bias ends; the head has no threshold and needs all bits of its bias.
    offset = PARAMETER_BITS // 2 if layer.kind == "head" else config.threshold_offset
    low = np.uint64((1 << min(offset, PARAMETER_BITS // 2)) - 1)
    words: NDArray[np.uint64] = bias.astype(np.uint64) & low | threshold.astype(np.uint64) << np.uint64(offset)
    return words
