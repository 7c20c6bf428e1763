"""Names for the bits of a memory image, so that a fault can be injected where it means something."""

from __future__ import annotations

from hw.config import MEMORY_BEAT_BITS
from hw.isa import DESCRIPTOR, DESCRIPTOR_BEATS
from sim.rtl import Flip
from sw.compiler import Program
from sw.errors import UserError

PARTS = ("descriptor", "bias", "threshold", "weight")
"""What of a layer can be named: ``conv1.weight``."""


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
    names = [step.name for step in program.steps]
    if name not in names:
        raise UserError(f"no layer {name!r} to corrupt; there are {', '.join(names)}")
    index = names.index(name)
    if part == "descriptor":
        return Flip(beat=index * DESCRIPTOR_BEATS, bit=DESCRIPTOR["passes"].offset)
    layer, fields, config = program.steps[index].layer, program.steps[index].fields, program.config
    if layer is None or not layer.has_weights:
        raise UserError(f"{name} has no {part}; name a layer with weights")
    channel = min(layer.out_channels, config.outputs) // 2
    parameters = fields["memory_address"]
    if part == "bias":
        return Flip(beat=parameters + channel, bit=config.current_bits - 1)
    if part == "threshold":
        return Flip(beat=parameters + channel, bit=32 + config.membrane_bits - 2)
    taps = 9 if fields["kernel3"] else 1
    tap_beats = fields["slices"] * config.weight_slice_beats
    sign = (channel * config.inputs + 1) * config.weight_bits - 1
    beat, bit = divmod(sign, MEMORY_BEAT_BITS)
    return Flip(beat=parameters + config.outputs + taps // 2 * tap_beats + beat, bit=bit)
