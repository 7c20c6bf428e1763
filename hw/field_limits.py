"""What an accelerator takes of each field of a descriptor: often less than the field could hold.

A descriptor is one layout for all configurations. Engines keep its fields in counters, addresses and sums of their own
widths and cut the rest without a word, so no program may hold more. This is the one place that says what they take; the
compiler checks every descriptor against it.
"""

from __future__ import annotations

from hw.attention.geometry import AttentionGeometry
from hw.config import WEIGHT_BITS, HardwareConfig
from hw.descriptor import DESCRIPTOR, FIELDS, MAX_RESIDUAL_PLANES, Descriptor, Destination, Opcode
from hw.memory.spike_memory import address_bits
from hw.neurons.batch import word_address_bits
from hw.pool.max_pool_walk import MAX_POOL_WORDS
from hw.program.ring import region_limit
from hw.writeback.pool_writer import MAX_POOL_SIDE

MAX_DESCRIPTORS = (1 << 16) - 1
"""Most descriptors of a program: the dispatcher counts them in 16 bits, and a host names a failing one by that."""

MAX_PROGRAM_BYTES = (1 << 32) - 1
"""What the register PROGRAM_BYTES holds."""


def field_limits(config: HardwareConfig, descriptor: Descriptor) -> dict[str, int]:
    """Largest value of every field of one descriptor.

    Parameters
    ----------
    config : HardwareConfig
        The accelerator.
    descriptor : Descriptor
        Its operation and its flags decide which engines read it.

    Returns
    -------
    dict of str to int
        By name of every field but the check.
    """
    engines = {Opcode.LOAD: _load, Opcode.WEIGHTS: _weights, Opcode.ATTENTION: _attention}
    own = {"layer": config.max_layers - 1}
    if descriptor.opcode in engines:
        own |= engines[descriptor.opcode](config, descriptor)
    widths = {name: (1 << DESCRIPTOR[name].width) - 1 for name in FIELDS}
    return {name: min(limit, own.get(name, limit)) for name, limit in widths.items()}


def check_fields(config: HardwareConfig, descriptor: Descriptor) -> None:
    """Refuse a descriptor with a number of which an engine would cut bits.

    Raises
    ------
    ValueError
        Naming the field, its value and the limit.
    """
    limits = field_limits(config, descriptor)
    for name, value in descriptor.fields.items():
        if not 0 <= value <= limits[name]:
            raise ValueError(f"descriptor field {name} takes 0 to {limits[name]}, not {value}")


def _load(config: HardwareConfig, descriptor: Descriptor) -> dict[str, int]:
    return {"destination_base": config.spike_words - 1}


def _chunks(config: HardwareConfig) -> dict[str, int]:
    """Position tiles and time chunks, of everything that works on spikes."""
    groups = ("tile_groups", "last_tile_groups", "chunk_groups", "last_chunk_groups")
    return {
        "timesteps": config.timesteps,
        "time_chunks": config.time_chunks,
        **dict.fromkeys(groups, config.tile_groups),
    }


def _weights(config: HardwareConfig, descriptor: Descriptor) -> dict[str, int]:
    """Walker, program buffer, neurons and writeback."""
    segments = (1 + descriptor.wide) * (1 + descriptor.image)
    limits = {
        "wide": int(config.weight_bits > WEIGHT_BITS),
        "pool_before": int(config.pool_before),
        "no_leak": int(config.if_neurons),
        "weight_beats": region_limit(config) // segments,
        "tile_pieces": config.tile_pieces,
        "last_tile_pieces": config.tile_pieces,
        "residual_planes_in": MAX_RESIDUAL_PLANES,
        "residual_planes_out": MAX_RESIDUAL_PLANES,
        "destination_base": config.spike_words - 1,
        "destination_slice_stride": (1 << word_address_bits(config)) - 1,
        **_chunks(config),
    }
    if descriptor.destination in (Destination.KEYS, Destination.VALUES):
        limits["tiles"] = config.token_chunks
    if not descriptor.kernel3:  # taps begin outside the feature map: what is read there is masked
        limits["source_base"] = (config.residual_words if descriptor.source_residual else config.spike_words) - 1
    if descriptor.pool:
        limits |= {"width": MAX_POOL_SIDE, "rows": MAX_POOL_SIDE}
    if descriptor.pool_before:
        limits |= {"width": 2 * (MAX_POOL_WORDS // max(1, descriptor.time_chunks))}
    return limits


def _attention(config: HardwareConfig, descriptor: Descriptor) -> dict[str, int]:
    geometry = AttentionGeometry(config)
    stride = (1 << address_bits(config.spike_words)) - 1
    return {
        "no_leak": int(config.if_neurons),
        "head_channels": config.head_channels,
        "tiles": config.token_chunks,
        "groups": geometry.groups,
        "attention_threshold": (1 << geometry.threshold_bits) - 1,
        "source_base": config.spike_words - 1,
        "slice_step": stride,
        "destination_base": config.spike_words - 1,
        "destination_slice_stride": stride,
        **_chunks(config),
    }
