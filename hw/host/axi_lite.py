"""The host's AXI4-Lite accesses as accesses of the register bus."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.external.axi import AxiLite, Response
from hw.host.register_bus import READ_LATENCY, RegisterBus
from hw.host.registers import REGISTER_ADDRESS_BITS


class AxiLiteSlave(wiring.Component):
    """AXI4-Lite slave in front of a `RegisterBus`.

    Every access is answered, with SLVERR if the register bus reports an error or if a write does not cover the whole
    word; such a write has no effect. Address and data of a write may come in any order. One access at a time: a read is
    answered 5 cycles after its address, a write 5 cycles after the later one of its channels; when both wait they take
    turns. No output depends on an input of the same cycle. Nothing is accepted in a reset: it may outlast that of the
    host, whose first access then waits.

    Members
    -------
    axi : In(AxiLite(14))
        From the host.
    bus : Out(RegisterBus)
        To the registers.
    """

    def __init__(self):
        super().__init__({"axi": In(AxiLite(REGISTER_ADDRESS_BITS)), "bus": Out(RegisterBus())})

    def elaborate(self, platform):
        m = Module()
        axi, bus = self.axi, self.bus
        write_address = Signal(REGISTER_ADDRESS_BITS)
        read_address = Signal(REGISTER_ADDRESS_BITS)
        write_data = Signal(32)
        whole = Signal()
        has_address = Signal()
        has_data = Signal()
        has_read = Signal()
        up = ~ResetSignal()
        m.d.comb += [
            axi.awready.eq(up & ~has_address), axi.wready.eq(up & ~has_data), axi.arready.eq(up & ~has_read),
        ]  # fmt: skip
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [has_address.eq(1), write_address.eq(axi.awaddr)]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [has_data.eq(1), write_data.eq(axi.wdata), whole.eq(axi.wstrb.all())]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [has_read.eq(1), read_address.eq(axi.araddr)]

        writing = Signal()
        can_write = Signal()
        can_read = Signal()
        wrote_last = Signal()
        writes_next = Signal()
        m.d.comb += [
            can_write.eq(has_address & has_data & ~axi.bvalid),
            can_read.eq(has_read & ~axi.rvalid),
            writes_next.eq(can_write & ~(can_read & wrote_last)),
            bus.write_data.eq(write_data),
        ]
        m.d.sync += bus.write.eq(0)
        with m.FSM():
            with m.State("ACCESS"), m.If(can_write | can_read):
                m.d.sync += [
                    writing.eq(writes_next), wrote_last.eq(writes_next), bus.write.eq(writes_next & whole),
                    bus.address.eq(Mux(writes_next, write_address, read_address)),
                ]  # fmt: skip
                m.next = "WAIT_1"
            for cycle in range(1, READ_LATENCY + 1):
                with m.State(f"WAIT_{cycle}"):
                    m.next = f"WAIT_{cycle + 1}" if cycle < READ_LATENCY else "ANSWER"
            with m.State("ANSWER"):
                with m.If(writing):
                    m.d.sync += [
                        axi.bvalid.eq(1),
                        axi.bresp.eq(Mux(bus.write_error | ~whole, Response.SLVERR, Response.OKAY)),
                        has_address.eq(0),
                        has_data.eq(0),
                    ]
                with m.Else():
                    m.d.sync += [
                        axi.rvalid.eq(1),
                        axi.rresp.eq(Mux(bus.read_error, Response.SLVERR, Response.OKAY)),
                        axi.rdata.eq(bus.read_data),
                        has_read.eq(0),
                    ]
                m.next = "ACCESS"
        with m.If(axi.bvalid & axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(axi.rvalid & axi.rready):
            m.d.sync += axi.rvalid.eq(0)
        return m
