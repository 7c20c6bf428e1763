"""The layer descriptor: the accelerator's only instruction, one layout for gateware and compiler.

A program is one stream in external memory, read from its first beat to its last: 512-bit descriptors, little-endian,
and behind each one of a layer with weights, output tile by output tile, the parameters and the weights. `DESCRIPTOR` is
the single description: the dispatcher reads fields through it as an Amaranth view, the compiler makes a `Descriptor` of
them, the documentation prints it.
"""

from __future__ import annotations

import dataclasses
import functools
import operator

from amaranth.hdl import ShapeLike, unsigned
from amaranth.lib import data, enum

from hw.documented import Documented

DESCRIPTOR_BITS = 512
DESCRIPTOR_CHECK = 0x5E
"""XOR of a descriptor's 64 bytes; anything else (a flipped bit, not a program) stops the job with an error."""


class Opcode(enum.Enum, shape=3):
    """What a descriptor does."""

    END = 0
    LOAD = Documented(1, "Copy the packed image from external memory into the spike memory.")
    WEIGHTS = Documented(2, "A layer with weights: convolution, linear or head.")
    ATTENTION = Documented(3, "Spiking self-attention over the stored Q, K and V.")


class Wait(enum.Enum, shape=2):
    """Which of an engine's earlier jobs must have ended before a descriptor starts."""

    NONE = 0
    ALL = 1
    ALL_BUT_NEWEST = Documented(2, "The newest may still use one of two buffers; the other is free.")


class Destination(enum.Enum, shape=3):
    """Where the neurons' spikes of a layer with weights go."""

    SPIKES = Documented(0, "The spike memory.")
    SPIKES_AND_RESIDUAL = Documented(1, "The spike memory and, as plane 0, the residual memory.")
    RESIDUAL = Documented(2, "Joined to the integers of the residual memory, as the residual mode says.")
    KEYS = Documented(3, "The attention engine's K memory, token-major.")
    VALUES = Documented(4, "The attention engine's V memory, token-major.")
    LOGITS = Documented(5, "No neuron: sums over tokens and time steps become logits.")


class ResidualMode(enum.Enum, shape=2):
    """How spikes join the integers of the residual memory."""

    ADD = Documented(0, "``x + s``.")
    CLAMP = Documented(1, "``min(x + s, 3)``; two planes after it.")
    IAND = Documented(2, "``x AND NOT s``; one plane.")


MAX_RESIDUAL_PLANES = 5
"""Most bit-planes of the residual stream."""

ADDRESS_BITS = 20
"""Width of a word address of the on-chip memories in a descriptor, and of the steps of one: a sum wraps around."""

ROTATE_BITS = 3
"""Width of a place in a position group, which has up to 8 positions."""

LAYOUT: dict[str, tuple[ShapeLike, str]] = {
    "check": (unsigned(8), "makes the XOR of all bytes DESCRIPTOR_CHECK"),
    "opcode": (Opcode, ""),
    "layer": (unsigned(8), "number under which counters are filed"),
    # what must have ended before the start
    "wait_load": (Wait, ""),
    "wait_weights": (Wait, "layers with weights end when their last spike is written"),
    "wait_attention": (Wait, ""),
    "follows": (unsigned(1), "reads what the layer with weights before writes: slices as they become complete"),
    "overlaps": (unsigned(1), "its spikes may leave the neurons while those of the layer before are written"),
    # flags
    "destination": (Destination, ""),
    "source_residual": (unsigned(1), "input from the residual memory, else the spike memory"),
    "image": (unsigned(1), "time-step lanes are positions: one sum serves all time steps"),
    "kernel3": (unsigned(1), "3x3 taps, else 1"),
    "pool": (unsigned(1), "max-pool the output: an OR of the spikes"),
    "pool_before": (unsigned(1), "pool the currents before the neurons; a configuration with `pool_before` takes it"),
    "no_leak": (unsigned(1), "neurons do not leak, nor those of attention; one with `if_neurons` takes it"),
    "wide": (unsigned(1), "8-bit weights: the passes are made twice, over the high, then the low halves"),
    "token_buffer": (unsigned(1), "K, V: the buffer written; attention: the buffer read"),
    "passes": (unsigned(4), "bit-planes walked, top plane first"),
    "timesteps": (unsigned(5), "time steps in use (of the last time chunk); lanes above are held silent"),
    # shape
    "slices": (unsigned(10), "input slices per tap"),
    "height": (unsigned(9), "of the feature map, of which a strip of rows may be computed"),
    "width": (unsigned(9), ""),
    "positions": (unsigned(17), "positions computed"),
    "first_row": (unsigned(9), "row of the first one"),
    "rows": (unsigned(9), "rows computed"),
    "tiles": (unsigned(12), "position tiles"),
    "tile_groups": (unsigned(6), "words of spikes per slice of every position tile but the last"),
    "last_tile_groups": (unsigned(6), ""),
    "output_tiles": (unsigned(10), ""),
    "tile_pieces": (unsigned(4), "pieces of every output tile but the last"),
    "last_tile_pieces": (unsigned(4), ""),
    # on-chip addresses
    "source_base": (unsigned(ADDRESS_BITS), "first word read: through the first tap, which may lie outside the map"),
    "source_rotate": (unsigned(ROTATE_BITS), "and the bank of its lane 0"),
    "destination_base": (unsigned(ADDRESS_BITS), ""),
    "destination_slice_stride": (unsigned(ADDRESS_BITS), ""),
    "residual_plane_stride": (unsigned(ADDRESS_BITS), ""),
    "residual_planes_in": (unsigned(4), "planes of the residual before the spikes join it"),
    "residual_planes_out": (unsigned(4), "and after"),
    "residual_mode": (ResidualMode, "how they join"),
    # attention
    "head_channels": (unsigned(10), ""),
    "groups": (unsigned(17), "position groups"),
    "attention_threshold": (unsigned(24), ""),
    # external memory
    "weight_beats": (unsigned(20), "weights of an output tile, one segment of them; beats to load for LOAD"),
    "memory_address": (unsigned(32), "LOAD: beats from the image's base"),
    # time chunks: so many words of a position group lie side by side
    "time_chunks": (unsigned(5), ""),
    "chunk_groups": (unsigned(6), "position groups of every position tile but the last"),
    "last_chunk_groups": (unsigned(6), ""),
    "pace": (unsigned(5), "least reads of a piece, of K, V and logits of a batch: membranes come back"),
    # steps of the walk: added to the address when a loop goes on and all within it begin again, modulo 2^20
    "row_step": (unsigned(ADDRESS_BITS), "next row of taps"),
    "row_rotate": (unsigned(ROTATE_BITS), "and how far lanes rotate with it"),
    "slice_step": (unsigned(ADDRESS_BITS), "next input slice; attention: next slice of Q"),
    "plane_step": (unsigned(ADDRESS_BITS), "next bit-plane"),
    "half_step": (unsigned(ADDRESS_BITS), "low halves of the weights"),
    "tile_step": (unsigned(ADDRESS_BITS), "next position tile"),
    "rewind_rotate": (unsigned(ROTATE_BITS), "how far lanes rotate from the last tap to the first"),
}
"""Shape of every field of a descriptor and what it holds; the first field is in the lowest bits."""

DESCRIPTOR = data.StructLayout({name: shape for name, (shape, _) in LAYOUT.items()})
"""Bit layout of a descriptor."""

assert DESCRIPTOR.size <= DESCRIPTOR_BITS, DESCRIPTOR.size

FIELDS = tuple(name for name in DESCRIPTOR.members if name != "check")
"""What a program says in a descriptor."""


def encode(**fields: int | Opcode | Destination | ResidualMode) -> int:
    """Pack one descriptor.

    Parameters
    ----------
    **fields
        Values by field name; missing ones are 0, `check` is filled in.

    Returns
    -------
    int
        The descriptor's 512 bits.

    Raises
    ------
    ValueError
        If a field does not exist or its value does not fit.
    """
    bits = 0
    for name, given in fields.items():
        if name not in FIELDS:
            raise ValueError(f"a descriptor has no field {name!r} to set")
        field, value = DESCRIPTOR[name], given.value if isinstance(given, enum.Enum) else int(given)
        if not 0 <= value < 1 << field.width:
            raise ValueError(f"descriptor field {name} holds 0 to {(1 << field.width) - 1}, not {value}")
        bits |= value << field.offset
    check = functools.reduce(operator.xor, bits.to_bytes(DESCRIPTOR_BITS // 8, "little"), DESCRIPTOR_CHECK)
    return bits | check << DESCRIPTOR["check"].offset


class _Packed:
    """What a `Descriptor` can do beside holding its fields."""

    @property
    def fields(self) -> dict[str, int]:
        """The number in every field, by name."""
        values = ((name, getattr(self, name)) for name in FIELDS)
        return {name: value.value if isinstance(value, enum.Enum) else int(value) for name, value in values}

    def encode(self) -> int:
        """The descriptor's 512 bits; raises as the function `encode` does."""
        return encode(**self.fields)


def _attribute(name: str) -> tuple[str, type, object]:
    """A field's name, type and default: a member of its enumeration, or a number."""
    shape = DESCRIPTOR.members[name]
    return (name, shape, shape(0)) if isinstance(shape, enum.EnumType) else (name, int, 0)


Descriptor = dataclasses.make_dataclass(
    "Descriptor", map(_attribute, FIELDS), bases=(_Packed,), frozen=True, kw_only=True
)
Descriptor.__doc__ = """A descriptor: an attribute for every field of `DESCRIPTOR` but the check, 0 if not given.

It holds what the compiler asks for, be it more than a machine takes: `hw.field_limits.check_fields` refuses that.
"""
