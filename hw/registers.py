"""The register map: one description for gateware, host driver and documentation.

The bus is synchronous and word-addressed: 32-bit data, a write takes one cycle, read data follows the address by one
cycle.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

IDENTITY = 0x5350_4B4C
"""Value of the IDENTITY register: "SPKL"."""

VERSION = 1
"""Version of the register map and of the descriptor layout; the driver refuses another."""

REGISTER_ADDRESS_BITS = 12


@dataclass(frozen=True)
class Register:
    """One register, or a window of them.

    Attributes
    ----------
    address : int
        Word address of the first one.
    access : str
        ``r`` or ``rw``.
    text : str
        What it holds.
    words : int
        Registers in the window.
    """

    address: int
    access: str
    text: str
    words: int = 1


class Counter(enum.IntEnum):
    """Hardware counters kept for every layer, in the order of the PROFILE window."""

    CYCLES = 0
    """Cycles from the start of the layer to the start of the next."""
    BUSY = 1
    """Cycles in which the weight array (or the attention popcounts, or the image load) did work."""
    STALL_WEIGHTS = 2
    """Cycles the array waited for weights or their subset-sum tables."""
    STALL_DRAIN = 3
    """Cycles the array waited for the neurons to take the partial sums."""
    SPIKES = 4
    """Output spikes of the layer's neurons (before a pool)."""


COUNTER_SLOTS = 8
"""Words per layer in the PROFILE window."""


class ErrorCause(enum.IntEnum):
    """Why a job stopped."""

    NONE = 0
    BAD_CHECK = 1
    BAD_OPCODE = 2
    TOO_MANY_LAYERS = 3


REGISTERS = {
    "IDENTITY": Register(0x000, "r", "0x53504B4C"),
    "VERSION": Register(0x001, "r", "version of this map and of the descriptors"),
    "CONTROL": Register(0x002, "rw", "writing bit 0 starts a job; ignored while busy"),
    "STATUS": Register(0x003, "r", "bit 0 busy, bit 1 done, bit 2 error"),
    "ERROR": Register(0x004, "r", "cause of the error, see ErrorCause"),
    "PROGRAM_ADDRESS": Register(0x005, "rw", "beat address of the program; weight addresses are relative to it"),
    "IMAGE_ADDRESS": Register(0x006, "rw", "beat address of the packed image"),
    "PREDICTION": Register(0x007, "r", "class with the largest logit, the first on a tie"),
    "CYCLES": Register(0x008, "r", "cycles of the whole job, from start to done"),
    "LAYERS": Register(0x009, "r", "descriptors completed"),
    "LOGITS": Register(0x100, "r", "signed 32-bit logits", words=256),
    "PROFILE": Register(0x800, "r", "counters per layer: address = layer * 8 + counter, see Counter", words=2048),
}
"""Every register by name."""
