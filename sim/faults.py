"""Faults in a memory image: bits by number, and names for them, so that one is injected where it means something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw.config import TABLE_INPUTS, WEIGHT_BITS
from hw.descriptor import DESCRIPTOR
from hw.user_text import listed, quoted
from sw.compiler.image_pack import WORD_BITS
from sw.compiler.program import DESCRIPTOR_WORDS, Program, sealed
from sw.errors import UserError

PARTS = ("descriptor", "bias", "threshold", "weight")
"""What of a layer can be named: ``conv1.weight``."""


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A fault injected into the memory image: one bit of one beat, flipped before the run."""

    beat: int
    bit: int

    @classmethod
    def parse(cls, text: str) -> Flip:
        """Read ``BEAT:BIT``.

        Raises
        ------
        UserError
            If it is not that.
        """
        try:
            beat, bit = (int(part) for part in text.split(":"))
        except ValueError:
            raise UserError(f"a bit to flip is BEAT:BIT, two integers such as 120:3, not {text!r}") from None
        if not 0 <= bit < 64:
            raise UserError(f"a beat has bits 0 to 63, not {bit} (in {text!r})")
        return cls(beat=beat, bit=bit)


def memory_image(program: Program, flips: Sequence[Flip]) -> NDArray[np.uint64]:
    """Program and weights with the faults injected, and a CRC-32 that is right: faults of a compiler, not of a memory.

    The accelerator would refuse those of a memory before anything is compared.
    """
    memory = program.memory.copy()
    for flip in flips:
        if not 0 <= flip.beat < len(memory):
            raise UserError(
                f"the program has beats 0 to {len(memory) - 1}, not {flip.beat}: choose one of them to flip"
            )
        memory[flip.beat] ^= np.uint64(1) << np.uint64(flip.bit)
    return sealed(memory) if flips else memory


def find_flip(program: Program, text: str) -> Flip:
    """Turn what a user names into a bit of the memory image.

    Parameters
    ----------
    program : Program
        The compiled network.
    text : str
        ``BEAT:BIT``, or ``LAYER.PART`` with a part of `PARTS`. The part's most telling bit is meant: the lowest bit of
        the descriptor's pass count, and for an output channel in the middle of the first output tile the highest bit
        of its bias or threshold that the neuron reads, or the sign of its weight in the middle of the kernel.

    Raises
    ------
    UserError
        If there is no such place.
    """
    name, _, part = text.rpartition(".")
    if part not in PARTS:
        return Flip.parse(text)
    steps = program.steps_of(name)
    if not steps:
        raise UserError(f"no layer {quoted(name)} to corrupt; there are {listed(program.names)}")
    step, config = steps[0], program.config
    if part == "descriptor":
        return _flip(step.address, DESCRIPTOR["passes"].offset)
    if step.layer is None or not step.layer.has_weights:
        raise UserError(f"{name} has no {part}; name a layer with weights")
    channel = min(len(step.channels), config.outputs) // 2
    parameters = step.address + DESCRIPTOR_WORDS
    if part == "bias":
        return _flip(parameters + channel, config.current_bits - 1)
    if part == "threshold":
        return _flip(parameters + channel, config.threshold_offset + config.membrane_bits - 2)
    taps = 9 if step.fields["kernel3"] else 1
    slice_bits = config.slice_beats * config.memory_bits
    sign = (channel * config.inputs // TABLE_INPUTS + 1) * WEIGHT_BITS - 1
    return _flip(parameters + config.outputs, taps // 2 * slice_bits + sign)


def _flip(word: int, bit: int) -> Flip:
    """A bit counted from a 64-bit word."""
    return Flip(beat=word + bit // WORD_BITS, bit=bit % WORD_BITS)
