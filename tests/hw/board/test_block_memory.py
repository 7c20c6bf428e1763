"""The board's memory behind the accelerator's own masters and a word port."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from hw.board.block_memory import FIRST_BEAT_LATENCY, BlockMemory
from hw.board.word_port import WordPort
from hw.external.axi import Response, hand_on
from hw.external.axi_line_writer import AxiWrite
from hw.external.axi_reader import AxiMemory
from tests.hw.benches import simulate

BEATS = 160


class Masters(wiring.Component):
    """The memory, and the accelerator's two masters in front of it."""

    def __init__(self, data_bits: int):
        self.memory = BlockMemory(data_bits, BEATS * data_bits // 8)
        self.reader, self.writer = AxiMemory(data_bits), AxiWrite(data_bits)
        super().__init__({"port": In(WordPort())})

    def elaborate(self, platform):
        m = Module()
        m.submodules += [self.memory, self.reader, self.writer]
        hand_on(m, wiring.flipped(self.memory.axi), self.reader.axi)
        hand_on(m, wiring.flipped(self.memory.axi), self.writer.axi)
        wiring.connect(m, wiring.flipped(self.port), self.memory.port)
        m.d.comb += self.writer.enable.eq(1)
        return m


async def access(ctx, port, address: int, value: int | None = None) -> int:
    """One word, written or read."""
    ctx.set(port.address, address)
    ctx.set(port.write, value is not None)
    ctx.set(port.write_data, value or 0)
    ctx.set(port.request, 1)
    (content,) = await ctx.tick().sample(port.read_data).until(port.done)
    ctx.set(port.request, 0)
    await ctx.tick()
    return content


@pytest.mark.parametrize("data_bits", [64, 128])
@pytest.mark.parametrize("rate", [1.0, 0.4])
def test_all_who_reach_the_memory_find_what_was_written(data_bits, rate):
    dut, rng, width = Masters(data_bits), random.Random(data_bits), data_bits // 8
    content = {address: rng.getrandbits(32) for address in range(0, BEATS * width, 4)}
    lines, words = range(0, 8), range(8 * 64, 10 * 64, 4)  # written below; what is behind them is read meanwhile
    first = 10 * 64 // width
    bursts = [(first, 1), (BEATS - 1, 1), (first, BEATS - first)]
    bursts += [(at, rng.randrange(1, BEATS - at + 1)) for at in (rng.randrange(first, BEATS) for _ in range(4))]
    expected = [
        sum(content[width * beat + 4 * lane] << 32 * lane for lane in range(width // 4))
        for at, count in bursts for beat in range(at, at + count)
    ]  # fmt: skip
    got: list[int] = []
    loaded = False

    async def bench(ctx):
        nonlocal loaded
        for address, value in content.items():
            await access(ctx, dut.port, address, value)
        loaded = True
        while len(got) < len(expected):
            address = rng.choice(words)
            if rng.random() < 0.5:
                content[address] = rng.getrandbits(32)
                await access(ctx, dut.port, address, content[address])
            else:
                assert await access(ctx, dut.port, address) == content[address]
            await ctx.tick().repeat(rng.randrange(1, 20))
        await ctx.tick().repeat(400)
        for address, value in content.items():
            assert await access(ctx, dut.port, address) == value, address

    async def request(ctx):
        stream = dut.reader.memory.request
        while not loaded:
            await ctx.tick()
        for at, count in bursts:
            ctx.set(stream.payload, {"address": at, "length": count - 1})
            ctx.set(stream.valid, 1)
            while not (await ctx.tick().sample(stream.ready))[2]:
                pass
            ctx.set(stream.valid, 0)

    async def take(ctx):
        stream, mine = dut.reader.memory.response, random.Random(1)
        while True:
            ctx.set(stream.ready, mine.random() < rate)
            _, _, valid, ready, payload, error = await ctx.tick().sample(
                stream.valid, stream.ready, stream.payload, dut.reader.error
            )
            assert not error
            if valid and ready:
                got.append(payload)

    async def write(ctx):
        stream, mine = dut.writer.data, random.Random(2)
        while not loaded:
            await ctx.tick()
        for line in lines:
            ctx.set(dut.writer.line, line)
            ctx.set(dut.writer.start, 1)
            await ctx.tick()
            ctx.set(dut.writer.start, 0)
            for beat in range(64 // width):
                value = mine.getrandbits(data_bits)
                for lane in range(width // 4):
                    content[64 * line + width * beat + 4 * lane] = value >> 32 * lane & 0xFFFF_FFFF
                ctx.set(stream.payload, value)
                ctx.set(stream.valid, 1)
                while not (await ctx.tick().sample(stream.ready))[2]:
                    pass
                ctx.set(stream.valid, 0)
            while not (await ctx.tick().sample(dut.writer.done))[2]:
                pass

    simulate(dut, bench, request, take, write)
    assert got == expected


def test_a_burst_comes_after_its_latency_and_without_a_gap_and_its_end_may_be_outside():
    dut = BlockMemory(64, 8 * 100)
    events: dict[str, list[int]] = {"accepted": [], "beats": []}
    responses = []

    async def bench(ctx):
        axi = dut.axi
        ctx.set(axi.rready, 1)
        for address, length in ((0, 31), (32, 31), (64, 39)):
            ctx.set(axi.araddr, 8 * address)
            ctx.set(axi.arlen, length)
            ctx.set(axi.arid, address == 32)
            ctx.set(axi.arvalid, 1)
            while not (await ctx.tick().sample(axi.arready))[2]:
                pass
            ctx.set(axi.arvalid, 0)
        await ctx.tick().repeat(150)
        ctx.set(axi.awaddr, 8 * 99)
        ctx.set(axi.awvalid, 1)
        await ctx.tick().until(axi.awready)
        ctx.set(axi.awvalid, 0)
        ctx.set(axi.wvalid, 1)
        ctx.set(axi.wstrb, 0xFF)
        await ctx.tick().until(axi.wready)
        ctx.set(axi.wlast, 1)
        await ctx.tick().until(axi.wready)
        ctx.set(axi.wvalid, 0)
        (response,) = await ctx.tick().sample(axi.bresp).until(axi.bvalid)
        assert response == Response.DECERR

    async def watch(ctx):
        axi, cycle = dut.axi, 0
        async for _, _, valid, ready, beat, last, response, identifier in ctx.tick().sample(
            axi.arvalid, axi.arready, axi.rvalid, axi.rlast, axi.rresp, axi.rid
        ):
            cycle += 1
            if valid and ready:
                events["accepted"].append(cycle)
            if beat:
                events["beats"].append(cycle)
                responses.append((last, response, identifier))

    simulate(dut, bench, watch)
    begin = events["accepted"][0] + FIRST_BEAT_LATENCY
    assert events["beats"] == list(range(begin, begin + 104))
    lasts, answers, identifiers = zip(*responses, strict=True)
    assert [at for at, last in enumerate(lasts) if last] == [31, 63, 103]
    assert list(answers) == [Response.OKAY] * 100 + [Response.DECERR] * 4
    assert list(identifiers) == [0] * 32 + [1] * 32 + [0] * 40
