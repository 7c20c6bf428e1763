"""The register bus inside the accelerator."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .registers import REGISTER_ADDRESS_BITS


class RegisterBus(wiring.Signature):
    """Synchronous bus of 32-bit words: an address every cycle, the answer in the next.

    Members
    -------
    address : Out(14)
        Byte address of a word; its lowest two bits are ignored.
    write : Out(1), write_data : Out(32)
        Writes this cycle; otherwise the address is read, which changes nothing.
    read_data : In(32)
        Content of the address of one cycle ago.
    read_error, write_error : In(1)
        The address of one cycle ago cannot be read; cannot be written.
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
