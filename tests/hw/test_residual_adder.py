"""Spikes join the residual integers bit-plane by bit-plane, word after word, in every mode."""

from __future__ import annotations

import random
from typing import Any

import pytest
from benches import simulate

from hw.config import TINY
from hw.isa import MAX_RESIDUAL_PLANES, ResidualMode
from hw.residual_adder import ResidualAdder

STRIDE = 50

JOINED = {
    ResidualMode.ADD: lambda value, spike: value + spike,
    ResidualMode.CLAMP: lambda value, spike: min(value + spike, 3),
    ResidualMode.IAND: lambda value, spike: int(value and not spike),
}

PLANES = [
    *((ResidualMode.ADD, n, n) for n in range(1, MAX_RESIDUAL_PLANES + 1)),
    *((ResidualMode.ADD, n, n + 1) for n in range(1, MAX_RESIDUAL_PLANES)),
    (ResidualMode.CLAMP, 1, 2),
    (ResidualMode.CLAMP, 2, 2),
    (ResidualMode.IAND, 1, 1),
]
"""Modes with the planes before and after."""


def run_adder(
    words: list[tuple[int, int]],
    memory: dict[int, int],
    *,
    mode: ResidualMode,
    planes_in: int,
    planes_out: int,
    gap: int,
) -> list[tuple[int, int]]:
    """Join (address, spikes) words, one every `gap` cycles, to `memory`; a word's cycle and its last write's, each."""
    dut = ResidualAdder(TINY)
    starts: list[int] = []
    writes: list[int] = []

    async def ram(ctx: Any) -> None:
        cycle = 0
        while True:
            _, _, read, valid, address, banks, data = await ctx.tick().sample(
                dut.read_address, dut.write.valid, dut.write.address, dut.write.banks, dut.write.data
            )
            # A word read in the cycle of its write would be undefined in the block RAM.
            ctx.set(dut.read_data, 0x5A5A5A5A if valid and read == address else memory.get(read, 0x3C3C3C3C))
            if valid:
                assert banks == (1 << TINY.positions) - 1
                memory[address] = data
                writes.append(cycle)
            cycle += 1

    async def bench(ctx: Any) -> None:
        cycle = 0
        ctx.set(dut.mode, mode)
        ctx.set(dut.planes_in, planes_in)
        ctx.set(dut.planes_out, planes_out)
        ctx.set(dut.plane_stride, STRIDE)
        for address, spikes in words:
            ctx.set(dut.valid, 1)
            ctx.set(dut.address, address)
            ctx.set(dut.spikes, spikes)
            starts.append(cycle)
            for _ in range(gap):
                await ctx.tick()
                cycle += 1
                ctx.set(dut.valid, 0)
                ctx.set(dut.address, 0)
                ctx.set(dut.spikes, (1 << TINY.group_bits) - 1)
        for _ in range(dut.latency(planes_out, mode) + 2):
            await ctx.tick()

    simulate(dut, bench, ram)
    assert len(writes) == len(words) * planes_out
    return list(zip(starts, writes[planes_out - 1 :: planes_out], strict=True))


@pytest.mark.parametrize("extra_cycles", [0, 3])
@pytest.mark.parametrize(("mode", "planes_in", "planes_out"), PLANES)
def test_joins_every_integer(mode, planes_in, planes_out, extra_cycles):
    rng = random.Random(planes_in * 10 + planes_out)
    top = (1 << planes_in) - 1
    if mode == ResidualMode.ADD and planes_out == planes_in:
        top -= 1  # nothing may carry out
    integers = {
        address: [rng.choice([0, top, rng.randint(0, top)]) for _ in range(TINY.group_bits)]
        for address in rng.sample(range(STRIDE), 12)
    }
    memory = {
        address + plane * STRIDE: sum((value >> plane & 1) << i for i, value in enumerate(values))
        for address, values in integers.items()
        for plane in range(planes_in)
    }
    words = [(address, rng.getrandbits(TINY.group_bits)) for address in integers]
    gap = planes_out + extra_cycles
    spans = run_adder(words, memory, mode=mode, planes_in=planes_in, planes_out=planes_out, gap=gap)
    results = {
        address: [
            sum((memory[address + plane * STRIDE] >> i & 1) << plane for plane in range(planes_out))
            for i in range(TINY.group_bits)
        ]
        for address in integers
    }
    assert results == {
        address: [JOINED[mode](value, spikes >> i & 1) for i, value in enumerate(integers[address])]
        for address, spikes in words
    }
    assert {last - start for start, last in spans} == {ResidualAdder.latency(planes_out, mode)}
