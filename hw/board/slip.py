"""Frames in a stream of bytes: SLIP, RFC 1055."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.board.link_protocol import END, ESC, ESC_END, ESC_ESC

FrameByte = data.StructLayout({"data": unsigned(8), "end": unsigned(1)})
"""A byte of a frame, or with `end` what lies between frames."""


class SlipDecoder(wiring.Component):
    """Takes escapes out of received bytes, a cycle later.

    Members
    -------
    data : In(8), valid : In(1), error : In(1)
        Received: a byte, or that there was none.
    frame_data : Out(8), frame_valid : Out(1)
        A byte of a frame.
    frame_end : Out(1)
        Pulse: an END.
    frame_error : Out(1)
        Pulse: the frame under way is damaged.
    """

    def __init__(self):
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "error": In(1),
                "frame_data": Out(8),
                "frame_valid": Out(1),
                "frame_end": Out(1),
                "frame_error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        escaped = Signal()
        m.d.sync += [
            self.frame_data.eq(self.data),
            self.frame_valid.eq(0),
            self.frame_end.eq(0),
            self.frame_error.eq(self.error),
        ]
        with m.If(self.valid):
            m.d.sync += escaped.eq(0)
            with m.If(self.data == END):
                m.d.sync += [self.frame_end.eq(1), self.frame_error.eq(escaped)]
            with m.Elif(escaped):
                known = (self.data == ESC_END) | (self.data == ESC_ESC)
                m.d.sync += [
                    self.frame_valid.eq(known), self.frame_error.eq(~known),
                    self.frame_data.eq(Mux(self.data == ESC_END, END, ESC)),
                ]  # fmt: skip
            with m.Elif(self.data == ESC):
                m.d.sync += escaped.eq(1)
            with m.Else():
                m.d.sync += self.frame_valid.eq(1)
        return m


class SlipEncoder(wiring.Component):
    """Puts escapes into bytes of a frame; no cycle of latency.

    Members
    -------
    input : In(stream of FrameByte)
        Bytes and ends of frames.
    output : Out(stream of 8)
        Bytes to send.
    """

    def __init__(self):
        super().__init__({"input": In(stream.Signature(FrameByte)), "output": Out(stream.Signature(unsigned(8)))})

    def elaborate(self, platform):
        m = Module()
        byte, escaped = self.input.payload, Signal()
        special = ~byte.end & ((byte.data == END) | (byte.data == ESC))
        m.d.comb += [
            self.output.valid.eq(self.input.valid),
            self.input.ready.eq(self.output.ready & (escaped | ~special)),
        ]
        with m.If(byte.end):
            m.d.comb += self.output.payload.eq(END)
        with m.Elif(~special):
            m.d.comb += self.output.payload.eq(byte.data)
        with m.Elif(~escaped):
            m.d.comb += self.output.payload.eq(ESC)
        with m.Else():
            m.d.comb += self.output.payload.eq(Mux(byte.data == END, ESC_END, ESC_ESC))
        with m.If(self.output.valid & self.output.ready):
            m.d.sync += escaped.eq(special & ~escaped)
        return m
