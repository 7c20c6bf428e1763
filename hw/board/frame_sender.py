"""Answers as they go out: a frame around bytes, with its CRC."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import crc, data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.board.link_protocol import CRC, CRC_BYTES
from hw.board.slip import SlipEncoder

LastByte = data.StructLayout({"data": unsigned(8), "last": unsigned(1)})
"""A byte, and whether it is the last one of its frame."""


class FrameSender(wiring.Component):
    """Puts an END in front of a frame's bytes, behind them their CRC and an END, and escapes where they are needed.

    Members
    -------
    input : In(stream of LastByte)
        A frame's bytes, one at least.
    output : Out(stream of 8)
        Bytes to send.
    """

    def __init__(self):
        super().__init__({"input": In(stream.Signature(LastByte)), "output": Out(stream.Signature(unsigned(8)))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = encoder = SlipEncoder()
        m.submodules.checksum = checksum = crc.Processor(CRC)
        out = encoder.input
        m.d.comb += [
            self.output.payload.eq(encoder.output.payload),
            self.output.valid.eq(encoder.output.valid),
            encoder.output.ready.eq(self.output.ready),
            checksum.data.eq(self.input.payload.data),
        ]
        place = Signal(range(CRC_BYTES))  # of a byte of the CRC
        with m.FSM():
            with m.State("BEGIN"):
                m.d.comb += [out.valid.eq(self.input.valid), out.payload.end.eq(1), checksum.start.eq(1)]
                with m.If(out.valid & out.ready):
                    m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += [
                    out.valid.eq(self.input.valid),
                    out.payload.data.eq(self.input.payload.data),
                    self.input.ready.eq(out.ready),
                    checksum.valid.eq(out.valid & out.ready),
                ]
                with m.If(out.valid & out.ready & self.input.payload.last):
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += [out.valid.eq(1), out.payload.data.eq(checksum.crc.word_select(place, 8))]
                with m.If(out.ready):
                    m.d.sync += place.eq(place + 1)  # 0 again behind the last one
                    with m.If(place == CRC_BYTES - 1):
                        m.next = "END"
            with m.State("END"):
                m.d.comb += [out.valid.eq(1), out.payload.end.eq(1)]
                with m.If(out.ready):
                    m.next = "BEGIN"
        return m
