"""Bytes over a wire."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.board.uart import DIVISOR_BITS, SHORTEST_BIT, UartReceiver, UartTransmitter
from tests.hw.benches import simulate


class Wire(wiring.Component):
    """A transmitter and a receiver with divisors of their own."""

    def __init__(self):
        self.transmitter, self.receiver = UartTransmitter(), UartReceiver()
        super().__init__({"sends": In(DIVISOR_BITS), "receives": In(DIVISOR_BITS), "tx": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules += [self.transmitter, self.receiver]
        m.d.comb += [
            self.receiver.rx.eq(self.transmitter.tx), self.tx.eq(self.transmitter.tx),
            self.transmitter.divisor.eq(self.sends), self.receiver.divisor.eq(self.receives),
        ]  # fmt: skip
        return m


@pytest.mark.parametrize(
    ("sends", "receives"), [(SHORTEST_BIT, SHORTEST_BIT), (5, 5), (50, 50), (50, 48), (48, 50)]
)  # fmt: skip
@pytest.mark.parametrize("pause", [0, 37])
def test_bytes_arrive_in_their_order(sends, receives, pause):
    dut = Wire()
    data = [0x00, 0xFF, 0x55, *random.Random(1).randbytes(4)]
    received = []

    async def bench(ctx):
        ctx.set(dut.sends, sends)
        ctx.set(dut.receives, receives)
        await ctx.tick().repeat(20)
        stream = dut.transmitter.input
        for byte in data:
            ctx.set(stream.payload, byte)
            ctx.set(stream.valid, 1)
            await ctx.tick().until(stream.ready)
            ctx.set(stream.valid, 0)
            await ctx.tick().repeat(pause) if pause else None
        await ctx.tick().repeat(12 * sends)

    async def listen(ctx):
        async for _, _, valid, byte, error in ctx.tick().sample(
            dut.receiver.valid, dut.receiver.data, dut.receiver.error
        ):
            assert not error
            if valid:
                received.append(byte)

    simulate(dut, bench, listen)
    assert received == data


def test_a_byte_without_its_stop_bit_is_an_error_and_a_start_bit_that_is_over_at_once_is_nothing():
    dut = UartReceiver()
    seen = []

    async def bench(ctx):
        ctx.set(dut.divisor, 8)
        for level, bits in ((1, 3), (0, 0.25), (1, 3), (0, 30), (1, 3)):  # a glitch, then a line that is held low
            ctx.set(dut.rx, level)
            await ctx.tick().repeat(int(8 * bits))
        for level in (0, 1, 0, 1, 0, 0, 0, 0, 0, 1):
            ctx.set(dut.rx, level)
            await ctx.tick().repeat(8)

    async def listen(ctx):
        async for _, _, valid, byte, error in ctx.tick().sample(dut.valid, dut.data, dut.error):
            if valid or error:
                seen.append("error" if error else byte)

    simulate(dut, bench, listen)
    assert seen == ["error", 0b00000101]
