"""The external memory's read port: bursts of 64-bit beats, valid/ready both ways."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import MEMORY_BEAT_BITS

MEMORY_ADDRESS_BITS = 32
BURST_LENGTH_BITS = 16

Request = data.StructLayout({"address": unsigned(MEMORY_ADDRESS_BITS), "length": unsigned(BURST_LENGTH_BITS)})
"""A burst: address of the first beat, and the number of beats less one."""


class MemoryPort(wiring.Signature):
    """Read port of the accelerator towards external memory.

    Requests are answered in order, the beats of one request in sequence; several may be outstanding.

    Members
    -------
    request : Out(stream of Request)
        Bursts to read.
    response : In(stream of 64-bit beats)
        Their data.
    """

    def __init__(self):
        super().__init__(
            {
                "request": Out(stream.Signature(Request)),
                "response": In(stream.Signature(unsigned(MEMORY_BEAT_BITS))),
            }
        )
