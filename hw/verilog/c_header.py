"""The register map as a C header, for hosts that are written in C."""

from __future__ import annotations

import enum
import textwrap

from hw.config import HardwareConfig
from hw.external.memory_port import BYTE_ADDRESS_BITS
from hw.host.registers import (
    COUNTER_SLOTS,
    IDENTITY,
    RECORD_LINE_WORDS,
    REGISTERS,
    RULES,
    VERSION,
    WATCHDOG_CYCLES,
    Control,
    Counter,
    ErrorCause,
    Interrupt,
    Record,
    Status,
)
from hw.program.crc import POLYNOMIAL
from hw.program.header import CRC_BYTES, HEADER_BEATS, PROGRAM_HEADER, encode_header

HEADER = "spikeloom.h"
"""Name of the header, beside the Verilog it was emitted with."""

PREFIX = "SPIKELOOM_"

ENUMERATIONS: dict[str, tuple[str, type[enum.IntEnum] | type[enum.IntFlag]]] = {
    "CONTROL": ("bits of CONTROL", Control),
    "STATUS": ("bits of STATUS", Status),
    "INTERRUPT": ("bits of INTERRUPT_ENABLE and INTERRUPT_STATUS", Interrupt),
    "CAUSE": ("values of ERROR", ErrorCause),
    "COUNTER": ("words of a layer in PROFILE", Counter),
    "RECORD": ("words of the result record", Record),
}
"""What is emitted of `hw.host.registers` beside the registers, with the prefix of each name."""


def c_header(config: HardwareConfig) -> str:
    """Text of the header: C99, macros only, and what a host must know of accesses as comments.

    ``SPIKELOOM_<register>`` is a byte address; a host compares the registers IDENTITY, VERSION and CONFIG with the
    macros ``..._VALUE`` before anything else.

    Parameters
    ----------
    config : HardwareConfig
        The one that was built.
    """
    groups = [
        ("what the first registers must read", {
            "IDENTITY_VALUE": f"0x{IDENTITY:08X}u",
            "VERSION_VALUE": f"{VERSION}u",
            "CONFIG_VALUE": f"0x{config.fingerprint:08X}u",
        }),
        ("byte addresses of the registers", {
            name: f"0x{register.address:04X}u /* {register.rights}: {register.text} */"
            for name, register in REGISTERS.items()
        }),
        ("sizes", {
            "MEMORY_BITS": f"{config.memory_bits}u",
            "ADDRESS_BITS": f"{BYTE_ADDRESS_BITS}u",
            "LOGITS_WORDS": f"{config.max_classes}u",
            "PROFILE_LAYERS": f"{config.max_layers}u",
            "PROFILE_LAYER_WORDS": f"{COUNTER_SLOTS}u",
            "WATCHDOG_CYCLES": f"{WATCHDOG_CYCLES}u /* in WATCHDOG after a reset of the device */",
            "RECORD_LINE_WORDS": f"{RECORD_LINE_WORDS}u",
            "RECORD_LOGITS": f"{RECORD_LINE_WORDS}u",
        }),
        ("a program begins with magic (24 bits), version (8) and length in bytes (32); its last 4 bytes are the CRC-32 "
         "of all before them", {
            "PROGRAM_BEGIN": f"0x{encode_header(1) & 0xFFFF_FFFF:08X}u /* its first 32 bits: magic and version */",
            "PROGRAM_LENGTH_OFFSET": f"{PROGRAM_HEADER['length'].offset // 8}u /* of its length in bytes */",
            "PROGRAM_HEADER_BYTES": f"{HEADER_BEATS * config.memory_bits // 8}u",
            "PROGRAM_CRC_BYTES": f"{CRC_BYTES}u",
            "PROGRAM_CRC_POLYNOMIAL": f"0x{POLYNOMIAL:08X}u",
        }),
        *(
            (text, {f"{prefix}_{member.name}": f"{member.value}u" for member in members})
            for prefix, (text, members) in ENUMERATIONS.items()
        ),
    ]  # fmt: skip
    lines = [
        f"/* Registers of a Spikeloom of the configuration {config.name}; generated with its Verilog. */",
        f"#ifndef {PREFIX}H",
        f"#define {PREFIX}H",
        "",
        "/*",
        *(
            line
            for rule in RULES
            for line in textwrap.wrap(rule, 116, initial_indent=" * - ", subsequent_indent=" *   ")
        ),
        " */",
    ]
    for text, macros in groups:
        lines += ["", f"/* {text} */"]
        lines += [f"#define {PREFIX}{name} {value}" for name, value in macros.items()]
    return "\n".join([*lines, "", "#endif", ""])
