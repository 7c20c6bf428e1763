"""Bursts that bring the program onto the chip, in order and ahead of its use."""

from __future__ import annotations

import enum

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.external.memory_port import MEMORY_ADDRESS_BITS, MemoryPort

FETCH_BURST = 64
"""Beats of a burst; only the last one of a program may be shorter."""

FETCH_OUTSTANDING = 8
"""Bursts requested of which the last beat has not come."""

BURST_BITS = FETCH_BURST.bit_length() - 1
"""Width of a beat's place in its burst; positions of whole bursts change above these bits only."""

LENGTH_BITS = 32
"""Width of a program's length in beats: that of the host's register."""


def position_bits(config: HardwareConfig) -> int:
    """Width of a position in the program's ring: one more than an address has, for an empty ring is not a full one."""
    return config.program_beats.bit_length()


class FetchPhase(enum.IntEnum):
    """What becomes of the program: nothing; it begins when all beats of the one before have come; it is read."""

    STOPPED = 0
    STARTING = 1
    RUNNING = 2


class ProgramFetch(wiring.Component):
    """Requests the beats of a program, burst by burst, as soon as there is room for all of a burst.

    A request on offer stays until it is accepted, whatever happens.

    Parameters
    ----------
    config : HardwareConfig
        Gives the ring's depth and the width of beats.

    Members
    -------
    start : In(1), address : In(37), length : In(32)
        Forget the program before, then read `length` beats from `address` up. The two are sampled when nothing of what
        was requested before is outstanding any more, until which they must be held.
    stop : In(1)
        Forget the program; without effect beside `start`.
    rest : In(1)
        No beat that comes from now on is used: until the next program has begun they need no room.
    memory : Out(MemoryPort)
        External memory; always takes a response.
    arrived : Out(position_bits)
        Position of the beat that `memory` answers with next: behind all that have come. Counts modulo twice the ring.
    burst_freed : In(1)
        Pulse: the last beat of a burst's place is free from the next cycle on.
    running : Out(1)
        The program's beats come.
    begins : Out(1)
        Pulse: a program begins with the next cycle.
    total : Out(32)
        The length of the program that is read.
    complete : Out(1)
        No beat was wanted, or on its way, a cycle ago.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "address": In(MEMORY_ADDRESS_BITS),
                "length": In(LENGTH_BITS),
                "stop": In(1),
                "rest": In(1),
                "memory": Out(MemoryPort(config.memory_bits)),
                "arrived": Out(position_bits(config)),
                "burst_freed": In(1),
                "running": Out(1),
                "begins": Out(1),
                "total": Out(LENGTH_BITS),
                "complete": Out(1, init=1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        request, response = self.memory.request, self.memory.response
        begin = self.begins
        self._phases(m)
        accepted = Signal()
        burst_arrived = Signal()
        m.d.comb += [
            accepted.eq(request.valid & request.ready),
            burst_arrived.eq(response.valid & self.arrived[:BURST_BITS].all()),
            response.ready.eq(1),
        ]
        bursts_of_ring = self._config.program_beats // FETCH_BURST
        has_room = _credit(m, "room", bursts_of_ring, spent=accepted, back=self.burst_freed, reset=begin)
        outstanding = min(FETCH_OUTSTANDING, bursts_of_ring)  # also where no room is needed: positions tell them apart
        may_ask = _credit(m, "unasked", outstanding, spent=accepted, back=burst_arrived, reset=begin)
        wanted, requested = self._requests(m, begin, accepted)
        unread = Signal()  # what comes now overwrites the ring
        # Once true it stays: credits only come back.
        m.d.comb += request.valid.eq(wanted & (has_room | unread) & may_ask)
        with m.If(begin):
            m.d.sync += [self.arrived.eq(0), self.complete.eq(0), self.total.eq(self.length), unread.eq(0)]
        with m.Else():
            m.d.sync += [
                self.arrived.eq(self.arrived + response.valid),
                self.complete.eq(~wanted & (requested == self.arrived)),
                unread.eq(unread | self.rest),
            ]
        return m

    def _phases(self, m: Module) -> None:
        """What becomes of the program."""
        phase = Signal(FetchPhase)
        starting = Signal()
        m.d.comb += [
            starting.eq(self.start | ((phase == FetchPhase.STARTING) & ~self.stop)),
            self.begins.eq(starting & self.complete),
            self.running.eq(phase == FetchPhase.RUNNING),
        ]
        with m.If(self.begins):
            m.d.sync += phase.eq(FetchPhase.RUNNING)
        with m.Elif(self.start):
            m.d.sync += phase.eq(FetchPhase.STARTING)
        with m.Elif(self.stop):
            m.d.sync += phase.eq(FetchPhase.STOPPED)

    def _requests(self, m: Module, begin: Signal, accepted: Signal) -> tuple[Signal, Value]:
        """Bursts still to be requested; returns whether there is one, and the position behind those requested."""
        request = self.memory.request
        address = Signal(MEMORY_ADDRESS_BITS)
        # Left of the program: whole bursts, of which there is one if `whole`, and then one of `short + 1` beats.
        left = Signal(LENGTH_BITS - BURST_BITS)
        whole = Signal()
        short = Signal(BURST_BITS)
        # Requested of the program: whole bursts, and the beats of a short one.
        bursts = Signal(len(self.arrived) - BURST_BITS)
        rest = Signal(BURST_BITS)
        m.d.comb += [
            request.payload.address.eq(address),
            request.payload.length.eq(short | whole.replicate(BURST_BITS)),
        ]
        with m.If(begin):
            m.d.sync += [
                address.eq(self.address),
                left.eq(self.length[BURST_BITS:]),
                whole.eq(self.length[BURST_BITS:].any()),
                short.eq(self.length[:BURST_BITS] - 1),
                bursts.eq(0),
                rest.eq(0),
            ]
        with m.Elif(accepted):
            m.d.sync += [
                address[BURST_BITS:].eq(address[BURST_BITS:] + 1),
                left.eq(left - 1),
                whole.eq(left != 1),
                bursts.eq(bursts + whole),
                rest.eq(Mux(whole, rest, short + 1)),
            ]

        wanted = Signal()
        abandoned = Signal()  # the program was forgotten with its last request on offer
        forget = Signal()
        more = Signal()
        m.d.comb += [
            forget.eq(self.start | self.stop),
            more.eq(whole & ((left != 1) | ~short.all())),
        ]
        with m.If(begin):
            m.d.sync += [wanted.eq(self.length.any()), abandoned.eq(0)]
        with m.Elif(request.valid & ~request.ready):
            m.d.sync += abandoned.eq(abandoned | forget)
        with m.Elif(forget):
            m.d.sync += wanted.eq(0)
        with m.Elif(accepted):
            m.d.sync += wanted.eq(more & ~abandoned)
        return wanted, Cat(rest, bursts)


def _credit(m: Module, name: str, credits: int, *, spent: Value, back: Value, reset: Value) -> Signal:
    """Whether any of `credits` is left; one may be spent in a cycle in which one is left, and one come back."""
    left = Signal(range(credits + 1), init=credits, name=name)
    some = Signal(init=1, name=f"some_{name}")
    with m.If(reset):
        m.d.sync += [left.eq(credits), some.eq(1)]
    with m.Else():
        m.d.sync += [left.eq(left + back - spent), some.eq(back | Mux(spent, left > 1, left != 0))]
    return some
