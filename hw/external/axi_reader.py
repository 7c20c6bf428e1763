"""The core's reads as AXI4 bursts."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.external.axi import BOUNDARY_BYTES, BUFFERABLE_MODIFIABLE, INCR, Axi4Read
from hw.external.memory_port import BURST_LENGTH_BITS, BYTE_ADDRESS_BITS, MEMORY_ADDRESS_BITS, MemoryPort

BURST_BEATS = 64
"""Beats of the longest burst."""

OUTSTANDING_BURSTS = 8
"""Bursts under way at most: with long bursts enough to cover a latency of over 400 cycles."""

REQUEST_LATENCY = 1
"""Cycles from the acceptance of a request to ARVALID of its first burst; data comes back without delay."""


def split(address: int, beats: int, burst_beats: int = BURST_BEATS) -> Iterator[int]:
    """Beats of the bursts that one request becomes, see `AxiMemory`.

    Parameters
    ----------
    address, beats : int
        The request: its first beat, and its length.
    burst_beats : int
        Beats of the longest burst.
    """
    while beats:
        burst = min(beats, burst_beats - address % burst_beats)
        yield burst
        address, beats = address + burst, beats - burst


class AxiMemory(wiring.Component):
    """AXI4 read master: splits requests into INCR bursts, several of them under way.

    A burst ends with its request or at the next multiple of ``burst_beats`` beats, so none crosses a 4 KB boundary and
    all but the first begin aligned. One burst may be requested and one beat delivered per cycle. A request is on the
    address channel `REQUEST_LATENCY` cycles after its acceptance; a beat reaches the core in the cycle of RVALID. No
    output towards AXI depends on an AXI input of the same cycle: what comes while the core is not ready waits in a
    register. A burst is under way until the core has taken its last beat.

    `stop` abandons the core's requests as AXI allows it: a burst already offered is still requested, the data of all
    that were is swallowed, then `idle` rises. The core must forget its requests before `stop` falls.

    Parameters
    ----------
    data_bits : int
        Width of a beat.
    burst_beats : int
        Beats of the longest burst, a power of two of at most 256 and at most 4 KB.
    outstanding : int
        Bursts under way at most.

    Members
    -------
    memory : In(MemoryPort(data_bits))
        The core's requests.
    axi : Out(Axi4Read(data_bits))
        To the interconnect; every transaction has ID 0.
    error : Out(1)
        Pulse: a beat came with SLVERR or DECERR.
    stop : In(1)
        Ask for nothing more, swallow what comes.
    idle : Out(1)
        No burst is offered or under way.
    awaited, answered : Out(1)
        A burst is offered, or a beat may come; memory took the one or gave the other.

    Raises
    ------
    ValueError
        If `burst_beats` or `outstanding` is out of range.
    """

    def __init__(self, data_bits: int, *, burst_beats: int = BURST_BEATS, outstanding: int = OUTSTANDING_BURSTS):
        longest = min(256, BOUNDARY_BYTES * 8 // data_bits)
        if not 2 <= burst_beats <= longest or burst_beats & (burst_beats - 1):
            raise ValueError(f"burst_beats must be a power of two from 2 to {longest}, not {burst_beats}")
        if outstanding < 1:
            raise ValueError(f"outstanding must be at least 1, not {outstanding}")
        self._data_bits, self._burst_beats, self._outstanding = data_bits, burst_beats, outstanding
        super().__init__(
            {
                "memory": In(MemoryPort(data_bits)),
                "axi": Out(Axi4Read(data_bits)),
                "error": Out(1),
                "stop": In(1),
                "idle": Out(1),
                "awaited": Out(1),
                "answered": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        under_way = Signal(range(self._outstanding + 1))
        ended = Signal()
        active = self._request(m, under_way)
        self._deliver(m, ended)
        m.d.sync += under_way.eq(under_way + (self.axi.arvalid & self.axi.arready) - ended)
        axi = self.axi
        m.d.comb += [
            self.idle.eq(~active & (under_way == 0)),
            self.awaited.eq(axi.arvalid | ((under_way != 0) & axi.rready)),
            self.answered.eq((axi.arvalid & axi.arready) | (axi.rvalid & axi.rready)),
        ]
        return m

    def _request(self, m: Module, under_way: Signal) -> Signal:
        """Address channel; returns whether a request is being split."""
        axi, request = self.axi, self.memory.request
        offset_bits = exact_log2(self._burst_beats)
        address = Signal(MEMORY_ADDRESS_BITS)
        active = Signal()
        held = Signal()  # on offer and not accepted: must stay
        # Everything about the burst on offer is in registers: its length, how many follow it, the length of the last.
        burst = Signal(offset_bits)
        tail = Signal(offset_bits)
        last = Signal()
        following = Signal(BURST_LENGTH_BITS + 1 - offset_bits)
        beat_bytes = exact_log2(self._data_bits // 8)
        accepted = axi.arvalid & axi.arready
        m.d.comb += [
            axi.arvalid.eq(active & (held | (~self.stop & (under_way != self._outstanding)))),
            axi.araddr.eq(Cat(Const(0, beat_bytes), address)[:BYTE_ADDRESS_BITS]),
            axi.arlen.eq(burst),
            axi.arsize.eq(beat_bytes),
            axi.arburst.eq(INCR),
            axi.arcache.eq(BUFFERABLE_MODIFIABLE),
            request.ready.eq(~self.stop & (~active | (accepted & last))),
        ]
        m.d.sync += held.eq(axi.arvalid & ~axi.arready)
        with m.If(accepted):
            m.d.sync += [
                address[:offset_bits].eq(0),
                address[offset_bits:].eq(address[offset_bits:] + 1),
                following.eq(following - 1),
                last.eq(following == 1),
                burst.eq(Mux(following == 1, tail, ~0)),
            ]
        with m.If((accepted & last) | (self.stop & (~held | axi.arready))):
            m.d.sync += active.eq(0)
        # Counted from the boundary below its first beat, a request ends at its offset plus its length.
        offset, length = request.payload.address[:offset_bits], request.payload.length
        end = Signal(BURST_LENGTH_BITS + 1)
        single = Signal()
        # Where the length itself has nothing above the offset's bits, the sum's lowest bit there is the carry.
        m.d.comb += [end.eq(offset + length), single.eq(~length[offset_bits:].any() & ~end[offset_bits])]
        with m.If(request.valid & request.ready):
            m.d.sync += [
                active.eq(1), address.eq(request.payload.address), following.eq(end[offset_bits:]),
                tail.eq(end), last.eq(single), burst.eq(Mux(single, length[:offset_bits], ~offset)),
            ]  # fmt: skip
        return active

    def _deliver(self, m: Module, ended: Signal) -> None:
        """Data channel, with a register for the beat that came when the core was not ready."""
        axi, response = self.axi, self.memory.response
        waiting = Signal()
        data = Signal(self._data_bits)
        last = Signal(name="last_waiting")  # a name that no other signal has: proofs of the emitted Verilog look at it
        present = waiting | axi.rvalid
        taken = Signal()
        m.d.comb += [
            axi.rready.eq(~waiting),
            response.valid.eq(present & ~self.stop),
            response.payload.eq(Mux(waiting, data, axi.rdata)),
            taken.eq(present & (response.ready | self.stop)),
            ended.eq(taken & Mux(waiting, last, axi.rlast)),
            self.error.eq(axi.rvalid & axi.rready & axi.rresp[1]),
        ]
        m.d.sync += waiting.eq(present & ~taken)
        with m.If(~waiting):
            m.d.sync += [data.eq(axi.rdata), last.eq(axi.rlast)]
