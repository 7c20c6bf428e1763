"""The board's memory: block RAM that the accelerator reads and writes over AXI, and the link word by word."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from hw.board.word_port import WordPort
from hw.external.axi import Axi4, Response
from hw.external.memory_port import BYTE_ADDRESS_BITS
from hw.parts.dual_port import dual_port_memory

FIRST_BEAT_LATENCY = 4
"""Cycles from the acceptance of a burst to its first beat, if nothing else is under way."""


class BlockMemory(wiring.Component):
    """AXI4 slave for INCR bursts of whole beats, which is what the accelerator's master makes, beside a word port.

    One access per cycle: the word port's comes first, then a beat that is written, then one that is read. A burst is
    accepted while the one before is read, so long bursts follow each other without a gap. Beats behind the end of the
    memory are answered with DECERR.

    Parameters
    ----------
    data_bits : int
        Width of a beat.
    memory_bytes : int
        Size, a multiple of a beat; the first byte has the address 0.

    Members
    -------
    axi : In(Axi4(data_bits))
    port : In(WordPort)
        Addresses are within the memory; done in the second cycle.
    """

    def __init__(self, data_bits: int, memory_bytes: int):
        self._data_bits, self._memory_bytes = data_bits, memory_bytes
        super().__init__({"axi": In(Axi4(data_bits)), "port": In(WordPort())})

    def elaborate(self, platform):
        m = Module()
        port, width = self.port, self._data_bits // 8
        beats = self._memory_bytes // width
        read, write = dual_port_memory(
            m, name="block_ram", width=self._data_bits, depth=beats, granularity=8, written_first=True
        )
        # Lanes of the word port: which word of a beat it is.
        lane_bits = exact_log2(width // 4)
        lane, beat = port.address[2 : 2 + lane_bits], port.address[2 + lane_bits :]
        word_access = Signal()
        m.d.comb += [
            word_access.eq(port.request & ~port.done), port.read_data.eq(read.data.word_select(lane, 32)),
        ]  # fmt: skip
        m.d.sync += port.done.eq(word_access)

        writing, write_beat = self._write(m, word_access, beats)
        reading, read_beat = self._read(m, word_access | writing, read.data, beats)
        m.d.comb += [
            read.en.eq((word_access & ~port.write) | reading),
            read.addr.eq(Mux(word_access, beat, read_beat)),
            write.addr.eq(Mux(word_access, beat, write_beat)),
            write.data.eq(Mux(word_access, port.write_data.replicate(width // 4), self.axi.wdata)),
        ]
        with m.If(word_access & port.write):
            m.d.comb += write.en.eq(0xF << (lane << 2))
        with m.Elif(writing & (write_beat < beats)):
            m.d.comb += write.en.eq(self.axi.wstrb)
        return m

    def _write(self, m: Module, taken: Signal, beats: int):
        """Write channels, one burst at a time; returns whether a beat is written and where."""
        axi = self.axi
        active = Signal()
        beat = Signal(BYTE_ADDRESS_BITS - exact_log2(self._data_bits // 8))
        m.d.comb += [axi.awready.eq(~active & ~axi.bvalid), axi.wready.eq(active & ~taken)]
        with m.If(axi.awready & axi.awvalid):
            m.d.sync += [active.eq(1), beat.eq(axi.awaddr[-len(beat) :]), axi.bid.eq(axi.awid), axi.bresp.eq(0)]
        writing = axi.wready & axi.wvalid
        with m.If(writing):
            m.d.sync += beat.eq(beat + 1)
            with m.If(beat >= beats):
                m.d.sync += axi.bresp.eq(Response.DECERR)
            with m.If(axi.wlast):
                m.d.sync += [active.eq(0), axi.bvalid.eq(1)]
        with m.If(axi.bvalid & axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        return writing, beat

    def _read(self, m: Module, taken, data: Signal, beats: int):
        """Read channels; returns whether a beat is read and where."""
        axi = self.axi
        bits = BYTE_ADDRESS_BITS - exact_log2(self._data_bits // 8)
        waiting, active = Signal(), Signal()
        next_beat, beat = Signal(bits), Signal(bits)
        next_left, left = Signal(8), Signal(8)
        next_id, burst_id = Signal.like(axi.arid), Signal.like(axi.arid)
        # A beat is asked for, comes out of block RAM, and waits in one of two registers: never more than two of them.
        reading = Signal()
        came, came_last, came_wrong, came_id = Signal(), Signal(), Signal(), Signal.like(axi.arid)
        port = Cat(axi.rdata, axi.rlast, axi.rresp, axi.rid)
        second, second_valid = Signal(len(port)), Signal()
        beat_now = Cat(data, came_last, Mux(came_wrong, Response.DECERR, Response.OKAY), came_id)
        gone = axi.rvalid & axi.rready
        room = ~(came & axi.rvalid | second_valid) | gone
        ends = reading & (left == 0)
        m.d.comb += [axi.arready.eq(~waiting), reading.eq(active & ~taken & room)]

        with m.If(axi.arready & axi.arvalid):
            m.d.sync += [
                waiting.eq(1), next_beat.eq(axi.araddr[-bits:]), next_left.eq(axi.arlen), next_id.eq(axi.arid),
            ]  # fmt: skip
        with m.If(reading):
            m.d.sync += [beat.eq(beat + 1), left.eq(left - 1)]
        with m.If(waiting & (ends | ~active)):
            m.d.sync += [active.eq(1), waiting.eq(0), beat.eq(next_beat), left.eq(next_left), burst_id.eq(next_id)]
        with m.Elif(ends):
            m.d.sync += active.eq(0)

        m.d.sync += [came.eq(reading), came_last.eq(left == 0), came_wrong.eq(beat >= beats), came_id.eq(burst_id)]
        with m.If(gone | ~axi.rvalid):
            m.d.sync += [
                axi.rvalid.eq(came | second_valid), port.eq(Mux(second_valid, second, beat_now)),
                second_valid.eq(came & second_valid),
            ]  # fmt: skip
        with m.Elif(came):
            m.d.sync += second_valid.eq(1)
        with m.If(came):
            m.d.sync += second.eq(beat_now)
        return reading, beat
