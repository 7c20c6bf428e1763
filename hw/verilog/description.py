"""A configuration as JSON values, for hosts and integrators."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Signal
from amaranth.hdl._ir import PortDirection  # the only way to state directions in a port dictionary

from hw.config import PARAMETER_BITS, WEIGHT_BITS, HardwareConfig
from hw.descriptor import DESCRIPTOR, DESCRIPTOR_BITS, DESCRIPTOR_CHECK, Destination, Opcode, ResidualMode, Wait
from hw.host.registers import (
    COUNTER_SLOTS,
    IDENTITY,
    RECORD_LINE_WORDS,
    REGISTERS,
    VERSION,
    Control,
    Counter,
    ErrorCause,
    Interrupt,
    Record,
    Status,
)
from hw.program.header import CRC_BYTES, PROGRAM_HEADER, PROGRAM_MAGIC

TOP = "spikeloom"
"""Name of the emitted module."""


def describe(config: HardwareConfig, ports: Mapping[str, tuple[Signal, PortDirection]]) -> dict[str, Any]:
    """What a host or an integrator must know about a configuration, as plain JSON values.

    Parameters
    ----------
    config : HardwareConfig
    ports : mapping of str to (Signal, PortDirection)
        The accelerator's.
    """
    return {
        "module": TOP,
        "config": config.to_dict(),
        "synaptic_operations_per_cycle": config.sops_per_cycle,
        "ports": [
            {"name": name, "direction": direction.value, "width": len(signal)}
            for name, (signal, direction) in ports.items()
        ],
        "identity": IDENTITY,
        "version": VERSION,
        "fingerprint": config.fingerprint,
        "registers": {name: dataclasses.asdict(register) for name, register in REGISTERS.items()},
        "counters": {"slots": COUNTER_SLOTS, "order": [counter.name for counter in Counter]},
        "control": _values(Control),
        "status": _values(Status),
        "interrupts": _values(Interrupt),
        "errors": _values(ErrorCause),
        "record": {"line_words": RECORD_LINE_WORDS, "words": _values(Record), "logits": RECORD_LINE_WORDS},
        "descriptor": {
            "bits": DESCRIPTOR_BITS,
            "check": DESCRIPTOR_CHECK,
            "opcodes": _values(Opcode),
            "destinations": _values(Destination),
            "residual_modes": _values(ResidualMode),
            "waits": _values(Wait),
            "fields": _fields(DESCRIPTOR),
        },
        "external_memory": {
            "beat_bits": config.memory_bits,
            "byte_order": "little",
            "program": "a header beat, then one stream of descriptors, the last one END; behind each one of a layer "
            "with weights, for every output tile, its parameters and its weights; at the end a beat with the CRC-32",
            "header": {
                "magic": PROGRAM_MAGIC,
                "version": VERSION,
                "fields": _fields(PROGRAM_HEADER),
                "text": "lowest bits of the first beat, those above are 0; length counts all bytes of the program",
            },
            "crc": {
                "bytes": CRC_BYTES,
                "text": "the last bytes of the program: CRC-32 (IEEE 802.3, zlib.crc32) of all before them",
            },
            "parameters": {
                "beats_per_output_tile": config.parameter_beats,
                "bits_per_channel": PARAMETER_BITS,
                "threshold_bit": config.threshold_offset,
                "text": "signed bias and, from threshold_bit on, signed threshold of each channel; the head has a bias "
                "of 32 bits and no threshold",
            },
            "weights": {
                "beats_per_slice": config.slice_beats,
                "text": f"segments of slices of {config.outputs} x {config.inputs} weights of {WEIGHT_BITS} bits; "
                "each slice in the order of filling the subset-sum tables: first all weights of the inputs 0, 4, 8 ... "
                "(output-major), then those of 1, 5, 9 ..., in whole beats or equal parts of one; "
                "8-bit weights have a segment for each half; in the image layer each comes negated first, for the sign",
            },
            "image": {
                "beats_per_group": config.group_beats,
                "text": "bit-planes of the signed 8-bit image, the lowest first, as words "
                "[positions][timesteps][inputs] in which the time steps are further positions",
            },
            "event_frames": {
                "beats_per_group": config.group_beats,
                "text": "words [positions][timesteps][inputs], for every position group one for each time chunk",
            },
        },
    }


def _fields(layout: Any) -> list[dict[str, Any]]:
    return [{"name": name, "offset": field.offset, "width": field.width} for name, field in layout]


def _values(enumeration: Any) -> dict[str, int]:
    return {member.name: member.value for member in enumeration}
