"""Where the channels of attention heads lie on the chip: every head begins a word of spikes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.integers import ceil_div
from sw.layer import QKV, Layer
from sw.network import NetworkConfig


@dataclass(frozen=True)
class AttentionHead:
    """An attention head.

    Attributes
    ----------
    number : int
    channels : range
        Of the network.
    places : range
        Channels on the chip: those, in the same order, and behind them silent ones.
    """

    number: int
    channels: range
    places: range

    @property
    def token_buffer(self) -> int:
        """Which of two buffers holds its K and V: one is written while attention reads the other."""
        return self.number % 2


def heads(config: HardwareConfig, network: NetworkConfig) -> Iterator[AttentionHead]:
    """The heads of a block, in their order."""
    size, padded = network.head_dim, padded_head(config, network)
    for number in range(network.heads):
        channels = range(number * size, (number + 1) * size)
        yield AttentionHead(number, channels, range(number * padded, (number + 1) * padded))


def padded_head(config: HardwareConfig, network: NetworkConfig) -> int:
    """Channels of a head on the chip: whole words, the last one filled up with channels that never fire."""
    return ceil_div(network.head_dim, config.inputs) * config.inputs


def is_per_head(layer: Layer) -> bool:
    """Whether a layer writes head by head: q, k, v and attention."""
    return layer.kind == "attention" or layer.part in QKV


def reads_heads(layer: Layer) -> bool:
    """Whether a layer reads what attention writes."""
    return layer.part == "proj"


def input_channels(config: HardwareConfig, network: NetworkConfig, layer: Layer) -> int:
    """Input channels on the chip; those of the network's input are whole 3x3 patches."""
    if layer.reads_input:
        return layer.taps * layer.in_channels
    return network.heads * padded_head(config, network) if reads_heads(layer) else layer.in_channels


def spread_heads(weights: NDArray[np.int8], config: HardwareConfig, network: NetworkConfig) -> NDArray[np.int8]:
    """Input channels ``[..., heads * head_dim]`` of the layer after attention to those on the chip.

    The channels between the heads get zero weights.
    """
    heads = weights.reshape(*weights.shape[:-1], network.heads, network.head_dim)
    fill = [(0, 0)] * (heads.ndim - 1) + [(0, padded_head(config, network) - network.head_dim)]
    return np.pad(heads, fill).reshape(*weights.shape[:-1], -1)
