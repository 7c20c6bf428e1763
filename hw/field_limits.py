"""What an accelerator takes of each field of a descriptor: often less than the field could hold.

A descriptor is one layout for all configurations. Engines keep its fields in counters, addresses and sums of their own
widths and cut the rest without a word, so no program may hold more. This is the one place that says what they take; the
compiler checks every descriptor against it.
"""

from __future__ import annotations

from collections.abc import Mapping

from hw.attention.geometry import AttentionGeometry
from hw.config import WEIGHT_BITS, HardwareConfig
from hw.descriptor import DESCRIPTOR, MAX_RESIDUAL_PLANES, Destination, Opcode
from hw.memory.spike_memory import address_bits
from hw.neurons.batch import word_address_bits
from hw.program.ring import region_limit
from hw.writeback.pool_writer import MAX_POOL_SIDE

MAX_DESCRIPTORS = (1 << 16) - 1
"""Most descriptors of a program: the dispatcher counts them in 16 bits, and a host names a failing one by that."""

MAX_PROGRAM_BYTES = (1 << 32) - 1
"""What the register PROGRAM_BYTES holds."""


def field_limits(config: HardwareConfig, fields: Mapping[str, int]) -> dict[str, int]:
    """Largest value of every field of one descriptor.

    Parameters
    ----------
    config : HardwareConfig
        The accelerator.
    fields : mapping
        The descriptor; what is missing is 0. Its operation and its flags decide which engines read it.

    Returns
    -------
    dict of str to int
        By name of every field but the check.
    """
    engines = {Opcode.LOAD.value: _load, Opcode.WEIGHTS.value: _weights, Opcode.ATTENTION.value: _attention}
    widths = {name: (1 << field.width) - 1 for name, field in DESCRIPTOR if name != "check"}
    own = {"layer": config.max_layers - 1}
    opcode = fields.get("opcode", Opcode.END.value)
    if opcode in engines:
        own |= engines[opcode](config, fields)
    return {name: min(limit, own.get(name, limit)) for name, limit in widths.items()}


def check_fields(config: HardwareConfig, fields: Mapping[str, int]) -> None:
    """Refuse a descriptor with a number of which an engine would cut bits.

    Raises
    ------
    ValueError
        Naming the field, its value and the limit.
    """
    limits = field_limits(config, fields)
    for name, value in fields.items():
        if not 0 <= value <= limits[name]:
            raise ValueError(f"descriptor field {name} takes 0 to {limits[name]}, not {value}")


def _load(config: HardwareConfig, fields: Mapping[str, int]) -> dict[str, int]:
    return {"destination_base": config.spike_words - 1}


def _chunks(config: HardwareConfig) -> dict[str, int]:
    """Position tiles and time chunks, of everything that works on spikes."""
    groups = ("tile_groups", "last_tile_groups", "chunk_groups", "last_chunk_groups")
    return {
        "timesteps": config.timesteps,
        "time_chunks": config.time_chunks,
        **dict.fromkeys(groups, config.tile_groups),
    }


def _weights(config: HardwareConfig, fields: Mapping[str, int]) -> dict[str, int]:
    """Walker, program buffer, neurons and writeback."""
    segments = (1 + fields.get("wide", 0)) * (1 + fields.get("image", 0))
    tokens = fields.get("destination", 0) in (Destination.KEYS.value, Destination.VALUES.value)
    limits = {
        "wide": int(config.weight_bits > WEIGHT_BITS),
        "weight_beats": region_limit(config) // segments,
        "tile_pieces": config.tile_pieces,
        "last_tile_pieces": config.tile_pieces,
        "residual_planes_in": MAX_RESIDUAL_PLANES,
        "residual_planes_out": MAX_RESIDUAL_PLANES,
        "source_base": (config.residual_words if fields.get("source_residual", 0) else config.spike_words) - 1,
        "destination_base": config.spike_words - 1,
        "destination_slice_stride": (1 << word_address_bits(config)) - 1,
        **_chunks(config),
    }
    if tokens:
        limits["tiles"] = config.token_chunks
    if fields.get("pool", 0):
        limits |= {"width": MAX_POOL_SIDE, "rows": MAX_POOL_SIDE}
    return limits


def _attention(config: HardwareConfig, fields: Mapping[str, int]) -> dict[str, int]:
    geometry = AttentionGeometry(config)
    stride = (1 << address_bits(config.spike_words)) - 1
    return {
        "head_channels": config.head_channels,
        "tiles": config.token_chunks,
        "groups": geometry.groups,
        "attention_threshold": (1 << geometry.threshold_bits) - 1,
        "source_base": config.spike_words - 1,
        "source_slice_stride": stride,
        "destination_base": config.spike_words - 1,
        "destination_slice_stride": stride,
        **_chunks(config),
    }
