"""The board's memory: block RAM that the accelerator reads and writes over AXI, and the link word by word."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In
from amaranth.utils import exact_log2

from hw.board.word_port import WordPort
from hw.external.axi import Axi4, Response
from hw.external.memory_port import BYTE_ADDRESS_BITS
from hw.parts.dual_port import dual_port_memory

QUEUE_BEATS = 8
"""Beats on their way out of the block RAM or waiting for the master; five of them go on without a gap."""

FIRST_BEAT_LATENCY = 5
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
        Addresses are within the memory; done in the fourth cycle.
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
        came = Signal(2)  # whether the word port's access is at the block RAM, behind it
        word_access = Signal()
        m.d.comb += word_access.eq(port.request & ~came.any() & ~port.done)
        m.d.sync += [
            came.eq(Cat(word_access, came)), port.done.eq(came[1]), port.read_data.eq(read.data.word_select(lane, 32)),
        ]  # fmt: skip

        # The RAM is spread over the whole device: registers in front of it, and what comes out goes to registers.
        writing, write_beat = self._write(m, word_access, beats)
        reading, read_beat = self._read(m, word_access | writing, read.data, beats)
        m.d.sync += [
            read.en.eq((word_access & ~port.write) | reading),
            read.addr.eq(Mux(word_access, beat, read_beat)),
            write.en.eq(0),
            write.addr.eq(Mux(word_access, beat, write_beat)),
            write.data.eq(Mux(word_access, port.write_data.replicate(width // 4), self.axi.wdata)),
        ]
        with m.If(word_access & port.write):
            m.d.sync += write.en.eq(0xF << (lane << 2))
        with m.Elif(writing & (write_beat < beats)):
            m.d.sync += write.en.eq(self.axi.wstrb)
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
        # A beat is asked for, is read, comes out, and waits for the master: never more of them than there is room for.
        m.submodules.queue = queue = SyncFIFO(width=len(data) + 3 + len(axi.rid), depth=QUEUE_BEATS)
        under_way = Signal(range(QUEUE_BEATS + 1))
        reading = Signal()
        ends = reading & (left == 0)
        m.d.comb += [axi.arready.eq(~waiting), reading.eq(active & ~taken & (under_way != QUEUE_BEATS))]

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

        about = Cat(left == 0, Mux(beat >= beats, Response.DECERR, Response.OKAY), burst_id)
        asked, came = Signal(1 + len(about)), Signal(1 + len(about))
        m.d.sync += [asked.eq(Cat(reading, about)), came.eq(asked)]
        m.d.comb += [
            queue.w_en.eq(came[0]),
            queue.w_data.eq(Cat(data, came[1:])),
            axi.rvalid.eq(queue.r_rdy),
            Cat(axi.rdata, axi.rlast, axi.rresp, axi.rid).eq(queue.r_data),
            queue.r_en.eq(axi.rready),
        ]
        m.d.sync += under_way.eq(under_way + reading - (axi.rvalid & axi.rready))
        return reading, beat
