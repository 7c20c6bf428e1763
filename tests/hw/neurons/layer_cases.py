"""Layers of every destination on machines of many shapes, as the neurons get them."""

from __future__ import annotations

import dataclasses
from typing import Any

from hw.config import HardwareConfig
from hw.descriptor import Destination
from hw.named_configs import BASE, TINY
from tests.hw.batches import Fields, layer_fields


def config_of(**changes: int) -> HardwareConfig:
    return dataclasses.replace(TINY, **changes)


HALF = config_of(outputs=8, inputs=16, weight_bits=8, attention_columns=4, head_channels=32, memory_bits=128)
"""Two pieces in a word, 8-bit weights, as in LARGE."""

FOUR = config_of(outputs=16, inputs=8, positions=4)
CHUNKED = config_of(time_chunks=4)
NARROW_CHUNKED = config_of(time_chunks=2, accumulator_bits=10, timesteps=2)
HALF_CHUNKED = dataclasses.replace(HALF, time_chunks=3)

CASES: dict[str, tuple[HardwareConfig, Destination, dict[str, Any]]] = {
    "spikes": (TINY, Destination.SPIKES, {"positions": 13, "layer": 5, "destination_base": 100}),
    "pooled": (TINY, Destination.SPIKES, {"positions": 16, "pool": 1}),
    "short_last_output_tile": (TINY, Destination.SPIKES, {"positions": 6, "last_pieces": 1, "output_tiles": 3}),
    "start_of_residual": (
        config_of(positions=1, neurons=4), Destination.SPIKES_AND_RESIDUAL, {"positions": 9, "output_tiles": 3},
    ),
    "residual": (TINY, Destination.RESIDUAL, {"positions": 11, "residual_planes_out": 3}),
    "residual_of_fewer_planes": (FOUR, Destination.RESIDUAL, {"positions": 11, "residual_planes_out": 1}),
    "keys": (TINY, Destination.KEYS, {"positions": 13, "token_buffer": 1}),
    "values": (config_of(neurons=1), Destination.VALUES, {"positions": 6, "tile_groups": 3}),
    "keys_of_one_group": (config_of(neurons=4, positions=1), Destination.KEYS, {"positions": 6, "tile_groups": 5}),
    "logits": (TINY, Destination.LOGITS, {"positions": 9, "last_pieces": 1}),
    "fewer_time_steps": (TINY, Destination.SPIKES, {"positions": 5, "timesteps": 3}),
    "one_time_step": (config_of(timesteps=1, positions=1), Destination.SPIKES, {"positions": 5, "output_tiles": 1}),
    "eight_time_steps": (config_of(timesteps=8, positions=1), Destination.KEYS, {"positions": 5}),
    "image": (TINY, Destination.SPIKES, {"positions": 29, "image": 1, "tile_groups": 2}),
    "image_of_whole_groups_too_many": (TINY, Destination.SPIKES, {"positions": 10, "image": 1, "tile_groups": 2}),
    "image_in_one_lane": (config_of(timesteps=1), Destination.SPIKES, {"positions": 7, "image": 1}),
    "image_in_eight_lanes": (config_of(timesteps=8, positions=1), Destination.SPIKES, {"positions": 19, "image": 1}),
    "image_with_fewer_time_steps": (BASE, Destination.SPIKES, {"positions": 18, "image": 1, "timesteps": 2}),
    "base": (BASE, Destination.SPIKES, {"positions": 7, "tile_groups": 3, "last_pieces": 1}),
    "base_keys": (BASE, Destination.KEYS, {"positions": 7, "tile_groups": 3}),
    "four_lanes": (FOUR, Destination.SPIKES, {"positions": 21, "tile_groups": 4}),
    "four_lanes_keys": (FOUR, Destination.VALUES, {"positions": 21, "tile_groups": 4}),
    "odd_outputs": (config_of(outputs=12), Destination.SPIKES, {"positions": 5, "output_tiles": 3}),
    "odd_outputs_logits": (config_of(outputs=12), Destination.LOGITS, {"positions": 5, "last_pieces": 2}),
    "one_batch": (
        config_of(outputs=4, neurons=4, positions=1), Destination.SPIKES, {"positions": 5, "output_tiles": 5},
    ),
    "rows_of_two_batches": (
        config_of(outputs=8, neurons=1, memory_bits=128), Destination.SPIKES, {"positions": 5, "output_tiles": 3},
    ),
    "half": (HALF, Destination.SPIKES, {"positions": 9, "output_tiles": 5, "destination_base": 7}),
    "half_residual": (HALF, Destination.RESIDUAL, {"positions": 9, "output_tiles": 3, "residual_planes_out": 5}),
    "half_wide": (HALF, Destination.SPIKES, {"positions": 9, "output_tiles": 3, "wide": 1}),
    "half_wide_residual": (HALF, Destination.RESIDUAL, {"positions": 5, "wide": 1, "residual_planes_out": 5}),
    "half_wide_one_neuron": (dataclasses.replace(HALF, neurons=1), Destination.SPIKES, {"positions": 9, "wide": 1}),
    "half_wide_keys": (HALF, Destination.KEYS, {"positions": 9, "wide": 1}),
    "half_wide_logits": (HALF, Destination.LOGITS, {"positions": 3, "wide": 1, "output_tiles": 1}),
    "chunks": (CHUNKED, Destination.SPIKES, {"positions": 13, "time_chunks": 3, "tile_groups": 6, "timesteps": 2}),
    "chunks_of_one_piece": (
        CHUNKED, Destination.SPIKES,
        {"positions": 6, "time_chunks": 2, "last_pieces": 1, "output_tiles": 3, "destination_base": 100},
    ),
    "chunks_residual": (
        NARROW_CHUNKED, Destination.RESIDUAL, {"positions": 11, "time_chunks": 2, "residual_planes_out": 5},
    ),
    "chunks_keys": (CHUNKED, Destination.KEYS, {"positions": 13, "time_chunks": 4, "tile_groups": 12, "timesteps": 1}),
    "chunks_logits": (CHUNKED, Destination.LOGITS, {"positions": 13, "time_chunks": 2, "timesteps": 3}),
    "chunks_image": (CHUNKED, Destination.SPIKES, {"positions": 29, "image": 1, "time_chunks": 3, "tile_groups": 2}),
    "one_chunk_of_several": (CHUNKED, Destination.SPIKES, {"positions": 5, "timesteps": 3}),
    "chunks_half_wide": (HALF_CHUNKED, Destination.SPIKES, {"positions": 9, "time_chunks": 2, "wide": 1}),
    "chunks_half_wide_values": (
        HALF_CHUNKED, Destination.VALUES, {"positions": 9, "time_chunks": 3, "tile_groups": 6, "wide": 1},
    ),
    "chunks_half_wide_image": (
        HALF_CHUNKED, Destination.SPIKES, {"positions": 29, "wide": 1, "image": 1, "time_chunks": 2, "tile_groups": 3},
    ),
    "half_wide_image": (HALF, Destination.SPIKES, {"positions": 29, "wide": 1, "image": 1, "tile_groups": 3}),
}  # fmt: skip


def case(name: str) -> tuple[HardwareConfig, Fields]:
    """The machine and the layer's descriptor of one of `CASES`."""
    config, destination, sizes = CASES[name]
    return config, layer_fields(config, destination, **sizes)
