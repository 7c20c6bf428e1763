"""How parameters come to the neurons: a beat of an output tile's at a time."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from hw.config import HardwareConfig


class ParameterWrite(wiring.Signature):
    """Write of one beat of an output tile's neuron parameters.

    A channel has 64 bits: signed bias below signed threshold, which begins at bit 32 (or
    `HardwareConfig.threshold_offset`). The first channel is lowest.

    Members
    -------
    valid : Out(1)
        Write this cycle.
    index : Out
        Buffer (top bit) and number of the beat within the output tile.
    data : Out(memory_bits)
        The beat.
    """

    def __init__(self, config: HardwareConfig):
        super().__init__(
            {
                "valid": Out(1),
                "index": Out(unsigned(1 + (config.parameter_beats - 1).bit_length())),
                "data": Out(unsigned(config.memory_bits)),
            }
        )
