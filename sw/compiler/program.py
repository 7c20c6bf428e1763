"""A compiled network: what the external memory holds, and what it means."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR_BITS, Descriptor
from hw.host.registers import VERSION
from hw.program.header import CRC_BYTES, HEADER_BEATS, PROGRAM_HEADER, PROGRAM_MAGIC, encode_header
from sw.errors import UserError
from sw.layer import Layer

DESCRIPTOR_WORDS = DESCRIPTOR_BITS // 64


def header_words(config: HardwareConfig) -> int:
    """64-bit words in front of a program's first descriptor."""
    return HEADER_BEATS * config.memory_bits // 64


def frame_words(config: HardwareConfig) -> int:
    """64-bit words around a program's descriptors, parameters and weights: a header, and a beat with the CRC-32."""
    return header_words(config) + config.memory_bits // 64


def enclose(stream: NDArray[np.uint64], config: HardwareConfig) -> NDArray[np.uint64]:
    """A program of descriptors, parameters and weights: a header before them, a beat with the CRC-32 behind."""
    memory = np.zeros(len(stream) + frame_words(config), np.uint64)
    memory[0] = encode_header(memory.nbytes)
    memory[header_words(config) :][: len(stream)] = stream
    return sealed(memory)


def sealed(memory: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A program with the CRC-32 of what it holds."""
    content = memory.astype("<u8").tobytes()[:-CRC_BYTES]
    return np.frombuffer(content + zlib.crc32(content).to_bytes(CRC_BYTES, "little"), "<u8").astype(np.uint64)


def check_header(header: bytes, program_bytes: int) -> None:
    """Refuse what the accelerator would refuse with PROGRAM_HEADER.

    Parameters
    ----------
    header : bytes
        The first 8 bytes of a program, or more.
    program_bytes : int
        Bytes that the accelerator is told of.

    Raises
    ------
    UserError
        If it is no header, one of another version, or one of a program of another length.
    """
    fields = PROGRAM_HEADER.from_bits(int.from_bytes(header[: PROGRAM_HEADER.size // 8], "little"))
    if fields.magic != PROGRAM_MAGIC:
        begin = header[:3].hex(" ")
        raise UserError(
            f"this is no program: it begins with {begin}, not {PROGRAM_MAGIC.to_bytes(3, 'little').hex(' ')}: "
            "write a compiled program there"
        )
    if fields.version != VERSION:
        raise UserError(
            f"the program is of version {fields.version}, this software of version {VERSION}: compile it again"
        )
    if fields.length != program_bytes:
        raise UserError(
            f"the program has {fields.length} bytes by its header, not {program_bytes}: give its whole length, "
            "or compile it again if it was cut"
        )


def check_program(content: bytes) -> None:
    """Refuse what is no whole and undamaged program.

    Parameters
    ----------
    content : bytes
        All of it, as it lies in memory.

    Raises
    ------
    UserError
        If its header is none (see `check_header`), or its CRC-32 is not that of its content.
    """
    check_header(content, len(content))
    found, stored = zlib.crc32(content[:-CRC_BYTES]), int.from_bytes(content[-CRC_BYTES:], "little")
    if found != stored:
        raise UserError(
            f"the program is damaged: its CRC-32 is 0x{found:08X}, at its end stands 0x{stored:08X}: compile it again"
        )


@dataclass(frozen=True)
class Job:
    """One descriptor, and what it means.

    Attributes
    ----------
    name : str
        The layer's name; ``load`` for the image, ``end`` for the last one.
    descriptor : Descriptor
    layer : Layer, optional
        The layer, unless `name` is one of those two.
    channels : range
        Output channels that the descriptor computes: an attention head's, or all of the layer.
    places : range
        Channels that it writes on the chip: those, in the same order, and behind them silent ones that fill a head's
        words.
    rows : range
        Rows of the feature map (before a pool) that it computes.
    """

    name: str
    descriptor: Descriptor
    layer: Layer | None = None
    channels: range = range(0)
    places: range = range(0)
    rows: range = range(0)

    @property
    def fields(self) -> dict[str, int]:
        """The number in every field of the descriptor, by name."""
        fields: dict[str, int] = self.descriptor.fields
        return fields


@dataclass(frozen=True, kw_only=True)
class Step(Job):
    """A descriptor of a program.

    Attributes
    ----------
    address : int
        64-bit word of the program, its header included, where the descriptor lies; parameters and weights follow it.
    """

    address: int


@dataclass(frozen=True)
class Program:
    """What the external memory holds, and what it means.

    Attributes
    ----------
    config : HardwareConfig
        Configuration it was compiled for.
    steps : tuple of Step
        The descriptors in order.
    names : tuple of str
        Names of the layers by the number that descriptors carry: the load of the image is 0.
    memory : uint64 array
        The program with header and CRC-32, whole beats.
    image_strips : tuple of range
        Rows of the image that are loaded together, in their order; see `sw.compiler.image_pack.pack_image`.
    image_words : int
        64-bit words of one packed image.
    spike_words, residual_words : int
        Words used in the on-chip memories.
    """

    config: HardwareConfig
    steps: tuple[Step, ...]
    names: tuple[str, ...]
    memory: NDArray[np.uint64]
    image_strips: tuple[range, ...]
    image_words: int
    spike_words: int
    residual_words: int

    def steps_of(self, name: str) -> tuple[Step, ...]:
        """The descriptors of a layer, in their order."""
        return tuple(step for step in self.steps if step.name == name)

    @property
    def weight_words(self) -> int:
        """64-bit words of parameters and weights."""
        return len(self.memory) - len(self.steps) * int(DESCRIPTOR_WORDS) - frame_words(self.config)
