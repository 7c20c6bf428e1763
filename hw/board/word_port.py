"""Access to 32-bit words one at a time, and the registers behind it."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.external.axi import AxiLite
from hw.host.registers import REGISTER_ADDRESS_BITS


class WordPort(wiring.Signature):
    """Bus of 32-bit words: one access at a time.

    Members
    -------
    request : Out(1)
        High until `done`; the others are held as long.
    write : Out(1), address : Out(32), write_data : Out(32)
        What is asked for; the lowest two bits of the byte address are ignored.
    done : In(1)
        Pulse: it was done, `request` falls in the next cycle.
    error : In(1), read_data : In(32)
        How it ended, in the cycle of `done`.
    """

    def __init__(self):
        super().__init__(
            {
                "request": Out(1),
                "write": Out(1),
                "address": Out(32),
                "write_data": Out(32),
                "done": In(1),
                "error": In(1),
                "read_data": In(32),
            }
        )


class AxiLiteMaster(wiring.Component):
    """Accesses of a word port as those of AXI4-Lite.

    Members
    -------
    port : In(WordPort)
    axi : Out(AxiLite(14))
    """

    def __init__(self):
        super().__init__({"port": In(WordPort()), "axi": Out(AxiLite(REGISTER_ADDRESS_BITS))})

    def elaborate(self, platform):
        m = Module()
        port, axi = self.port, self.axi
        m.d.comb += [
            axi.awaddr.eq(port.address),
            axi.araddr.eq(port.address),
            axi.wdata.eq(port.write_data),
            axi.wstrb.eq(~0),
            port.read_data.eq(axi.rdata),
            port.done.eq((axi.bready & axi.bvalid) | (axi.rready & axi.rvalid)),
            port.error.eq((axi.bready & axi.bvalid & axi.bresp[1]) | (axi.rready & axi.rvalid & axi.rresp[1])),
        ]
        for valid, ready in ((axi.awvalid, axi.awready), (axi.wvalid, axi.wready), (axi.arvalid, axi.arready)):
            with m.If(ready):
                m.d.sync += valid.eq(0)
        with m.If(port.done):
            m.d.sync += [axi.bready.eq(0), axi.rready.eq(0)]
        with m.Elif(port.request & ~axi.bready & ~axi.rready):
            m.d.sync += [
                axi.awvalid.eq(port.write), axi.wvalid.eq(port.write), axi.bready.eq(port.write),
                axi.arvalid.eq(~port.write), axi.rready.eq(~port.write),
            ]  # fmt: skip
        return m
