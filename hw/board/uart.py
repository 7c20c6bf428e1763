"""Bytes over one wire each way: start bit, eight bits with the lowest first, stop bit."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

DIVISOR_BITS = 12
"""Width of the number of cycles in a bit."""

SHORTEST_BIT = 4
"""Cycles in a bit at least."""


class UartReceiver(wiring.Component):
    """Receives bytes, each bit sampled in its middle.

    A byte is there half a bit before the end of its stop bit. The middle is found anew at every start bit, so the
    sender's bits may be longer or shorter by 4 %. A start bit that is over in its middle is none. Behind a byte whose
    stop bit is low nothing begins before the line is high again.

    Members
    -------
    rx : In(1)
        The wire, of any clock.
    divisor : In(12)
        Cycles in a bit, at least `SHORTEST_BIT`.
    data : Out(8), valid : Out(1)
        A byte, in the cycle of `valid`.
    error : Out(1)
        Pulse: a byte without its stop bit.
    """

    def __init__(self):
        super().__init__(
            {
                "rx": In(1),
                "divisor": In(DIVISOR_BITS),
                "data": Out(8),
                "valid": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, line, init=1)
        countdown = Signal(DIVISOR_BITS)
        left = Signal(range(10))
        sample = Signal()
        m.d.comb += sample.eq(countdown == 0)
        m.d.sync += [self.valid.eq(0), self.error.eq(0), countdown.eq(countdown - 1)]
        with m.If(sample):
            m.d.sync += countdown.eq(self.divisor - 1)
        with m.FSM():
            with m.State("IDLE"), m.If(~line):
                m.d.sync += [countdown.eq((self.divisor >> 1) - 1), left.eq(9)]
                m.next = "START"
            with m.State("START"), m.If(sample):
                with m.If(line):
                    m.next = "IDLE"
                with m.Else():
                    m.next = "BITS"
            with m.State("BITS"), m.If(sample):
                m.d.sync += left.eq(left - 1)
                with m.If(left != 1):
                    m.d.sync += self.data.eq(Cat(self.data[1:], line))
                with m.Elif(line):
                    m.d.sync += self.valid.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.sync += self.error.eq(1)
                    m.next = "BREAK"
            with m.State("BREAK"), m.If(line):
                m.next = "IDLE"
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes, ten bits each, without a gap where the next one is there in time.

    Members
    -------
    input : In(stream of 8)
        Bytes.
    divisor : In(12)
        Cycles in a bit.
    tx : Out(1)
        The wire.
    """

    def __init__(self):
        super().__init__(
            {
                "input": In(stream.Signature(unsigned(8))),
                "divisor": In(DIVISOR_BITS),
                "tx": Out(1, init=1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bits = Signal(9)  # what follows the bit on the wire
        left = Signal(range(11))
        countdown = Signal(DIVISOR_BITS)
        m.d.sync += countdown.eq(countdown - 1)
        with m.If((left != 0) & (countdown == 0)):
            m.d.sync += [
                Cat(self.tx, bits).eq(Cat(bits, Const(1, 1))),
                left.eq(left - 1),
                countdown.eq(self.divisor - 1),
            ]
        m.d.comb += self.input.ready.eq((left == 0) | ((left == 1) & (countdown == 0)))
        with m.If(self.input.valid & self.input.ready):
            m.d.sync += [
                Cat(self.tx, bits).eq(Cat(Const(0, 1), self.input.payload, Const(1, 1))),
                left.eq(10),
                countdown.eq(self.divisor - 1),
            ]
        return m
