"""Requests as they come in: header and words of a frame whose CRC is right."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import crc, wiring
from amaranth.lib.wiring import In, Out

from hw.board.link_protocol import CRC, CRC_BYTES, HEADER_BYTES, MAX_WORDS
from hw.board.slip import SlipDecoder

MOST_BYTES = HEADER_BYTES + 4 * MAX_WORDS + CRC_BYTES
"""Of a request."""


class FrameReceiver(wiring.Component):
    """Stores a request as it comes and checks its CRC at its end.

    Members
    -------
    data : In(8), valid : In(1), error : In(1)
        From the receiver of bytes: one, or that one was damaged.
    listening : In(1)
        Whether requests are taken. One that comes, in part or as a whole, while this is low is dropped.
    write_enable : Out(1), write_address : Out(range), write_data : Out(8)
        Bytes behind the header, for a memory of `MOST_BYTES` less the header.
    header : Out(64), length : Out(range)
        The request's first bytes and how many it has, its CRC included; stable from `frame` on, while not `listening`.
    frame : Out(1)
        Pulse: a whole request has come; `listening` must fall in the next cycle.
    bad_frame : Out(1)
        Pulse: a frame was dropped.
    """

    def __init__(self):
        super().__init__(
            {
                "data": In(8),
                "valid": In(1),
                "error": In(1),
                "listening": In(1),
                "write_enable": Out(1),
                "write_address": Out(range(MOST_BYTES - HEADER_BYTES)),
                "write_data": Out(8),
                "header": Out(8 * HEADER_BYTES),
                "length": Out(range(MOST_BYTES + 2)),
                "frame": Out(1),
                "bad_frame": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = SlipDecoder()
        m.submodules.checksum = checksum = crc.Processor(CRC)
        count = Signal(range(MOST_BYTES + 2))  # stays at one byte too many
        broken = Signal()
        taken = Signal()
        m.d.comb += [
            decoder.data.eq(self.data),
            decoder.valid.eq(self.valid),
            decoder.error.eq(self.error),
            taken.eq(self.listening & decoder.frame_valid & (count < MOST_BYTES)),
            checksum.start.eq(decoder.frame_end),
            checksum.valid.eq(taken),
            checksum.data.eq(decoder.frame_data),
            self.write_enable.eq(taken & (count >= HEADER_BYTES)),
            self.write_address.eq(count - HEADER_BYTES),
            self.write_data.eq(decoder.frame_data),
        ]
        with m.If(taken & (count < HEADER_BYTES)):
            m.d.sync += self.header.eq(Cat(self.header[8:], decoder.frame_data))
        with m.If(decoder.frame_valid & (count <= MOST_BYTES)):
            m.d.sync += count.eq(count + 1)
        with m.If(decoder.frame_error | (decoder.frame_valid & ~self.listening)):
            m.d.sync += broken.eq(1)
        damaged = broken | decoder.frame_error
        whole = (count >= HEADER_BYTES + CRC_BYTES) & (count <= MOST_BYTES) & checksum.match_detected
        with m.If(decoder.frame_end):
            m.d.sync += [count.eq(0), broken.eq(0)]
            with m.If(self.listening & whole & ~damaged):
                m.d.comb += self.frame.eq(1)
                m.d.sync += self.length.eq(count)
            with m.Elif((count != 0) | damaged):
                m.d.comb += self.bad_frame.eq(1)
        return m
