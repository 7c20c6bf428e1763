"""The register bus inside the accelerator."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.host.registers import REGISTER_ADDRESS_BITS

READ_LATENCY = 2
"""Cycles from the first cycle of an address to the one in which its answer is taken."""


class RegisterBus(wiring.Signature):
    """Bus of 32-bit words: one access at a time, its answer `READ_LATENCY` cycles after the address.

    Members
    -------
    address : Out(14)
        Byte address of a word, held still until the answer is taken; its lowest two bits are ignored.
    write : Out(1), write_data : Out(32)
        Writes in the first cycle of an address; otherwise that is read, which changes nothing.
    read_data : In(32)
        Content of the address.
    read_error, write_error : In(1)
        The address cannot be read; cannot be written.
    """

    def __init__(self):
        super().__init__(
            {
                "address": Out(unsigned(REGISTER_ADDRESS_BITS)),
                "write": Out(1),
                "write_data": Out(32),
                "read_data": In(32),
                "read_error": In(1),
                "write_error": In(1),
            }
        )
