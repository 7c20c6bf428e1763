"""Lines of 64 bytes written to external memory over AXI4."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.external.axi import BUFFERABLE_MODIFIABLE, INCR, Axi4Write
from hw.external.memory_port import BYTE_ADDRESS_BITS

LINE_BYTES = 64
"""Bytes of a line, its alignment too: a burst of one line never crosses 4 KB."""

LINE_ADDRESS_BITS = BYTE_ADDRESS_BITS - exact_log2(LINE_BYTES)
"""Width of a line's address."""


class AxiWrite(wiring.Component):
    """AXI4 write master: one line at a time, as one INCR burst of whole beats.

    Address and data are offered independently, the data as fast as `data` has it. `done` comes with the response, so
    a line started after it is written after it.

    Parameters
    ----------
    data_bits : int
        Width of a beat.

    Members
    -------
    start : In(1), line : In(34)
        Writes a line; only while none is under way.
    data : In(stream of data_bits), enable : In(1)
        Its beats, and whether the one on offer is written: without, memory stays as it is.
    awaited, answered : Out(1)
        A line is under way; memory took a part of it, or gave its response.
    done, error : Out(1)
        Pulse: the line has been written; it was answered with SLVERR or DECERR.
    axi : Out(Axi4Write(data_bits))
        To the interconnect; every transaction has ID 0.
    """

    def __init__(self, data_bits: int):
        self._data_bits = data_bits
        super().__init__(
            {
                "start": In(1),
                "line": In(LINE_ADDRESS_BITS),
                "data": In(stream.Signature(unsigned(data_bits))),
                "enable": In(1),
                "awaited": Out(1),
                "answered": Out(1),
                "done": Out(1),
                "error": Out(1),
                "axi": Out(Axi4Write(data_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        axi, beats = self.axi, LINE_BYTES * 8 // self._data_bits
        beat = Signal(range(beats))
        sending = Signal()
        m.d.comb += [
            axi.awlen.eq(beats - 1),
            axi.awsize.eq(exact_log2(self._data_bits // 8)),
            axi.awburst.eq(INCR),
            axi.awcache.eq(BUFFERABLE_MODIFIABLE),
            axi.wdata.eq(self.data.payload),
            axi.wstrb.eq(self.enable.replicate(len(axi.wstrb))),
            axi.wlast.eq(beat == beats - 1),
            axi.wvalid.eq(sending & self.data.valid),
            self.data.ready.eq(sending & axi.wready),
            self.awaited.eq(axi.bready),
            self.answered.eq((axi.awvalid & axi.awready) | (axi.wvalid & axi.wready) | self.done),
            self.done.eq(axi.bvalid & axi.bready),
            self.error.eq(self.done & axi.bresp[1]),
        ]
        with m.If(axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [beat.eq(beat + 1), sending.eq(~axi.wlast)]
        with m.If(axi.bvalid):
            m.d.sync += axi.bready.eq(0)
        with m.If(self.start):
            m.d.sync += [
                axi.awvalid.eq(1), axi.awaddr.eq(Cat(Const(0, exact_log2(LINE_BYTES)), self.line)),
                axi.bready.eq(1), sending.eq(1),
            ]  # fmt: skip
        return m
