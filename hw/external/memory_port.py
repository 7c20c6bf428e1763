"""The core's read port towards external memory: bursts of beats, valid/ready both ways."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

BYTE_ADDRESS_BITS = 40
"""Width of a byte address of external memory."""

MEMORY_ADDRESS_BITS = BYTE_ADDRESS_BITS - 3
"""Width of a beat's address, for the narrowest beats."""

BURST_LENGTH_BITS = 16

Request = data.StructLayout({"address": unsigned(MEMORY_ADDRESS_BITS), "length": unsigned(BURST_LENGTH_BITS)})
"""A burst: address of the first beat, and the number of beats less one."""


class MemoryPort(wiring.Signature):
    """Read port of the accelerator towards external memory.

    Requests are answered in order, the beats of one request in sequence; several may be outstanding. Bursts have any
    length and may start at any beat.

    Parameters
    ----------
    beat_bits : int
        Width of a beat, the unit of addresses and lengths.

    Members
    -------
    request : Out(stream of Request)
        Bursts to read.
    response : In(stream of beat_bits)
        Their data.
    """

    def __init__(self, beat_bits: int):
        super().__init__(
            {
                "request": Out(stream.Signature(Request)),
                "response": In(stream.Signature(unsigned(beat_bits))),
            }
        )
