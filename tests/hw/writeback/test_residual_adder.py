"""Spikes join the residual integers bit-plane by bit-plane, word after word, in every mode."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from hw.config import HardwareConfig
from hw.descriptor import MAX_RESIDUAL_PLANES, ResidualMode
from hw.named_configs import TINY
from hw.writeback.residual_adder import ResidualAdder
from tests.hw.benches import simulate

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


SPLIT = dataclasses.replace(TINY, outputs=8, inputs=16)
"""Two pieces to a word."""


def run_adder(
    config: HardwareConfig,
    words: list[tuple[int, int]],
    memory: dict[int, int],
    *,
    mode: ResidualMode,
    planes_in: int,
    planes_out: int,
    gap: int,
) -> list[tuple[int, int]]:
    """Join (address, spikes) words, a piece every `gap` cycles, to `memory`; a piece's cycle and its last write's."""
    dut = ResidualAdder(config)
    starts: list[int] = []
    writes: list[int] = []

    async def ram(ctx: Any) -> None:
        cycle = 0
        while True:
            write = dut.write
            _, _, reads, read, valid, address, banks, pieces, data = await ctx.tick().sample(
                dut.read, dut.read_address, write.valid, write.address, write.banks, write.pieces, write.data
            )
            # A word read in the cycle of its write would be undefined in the block RAM.
            assert not (reads and valid and read == address)
            ctx.set(dut.read_data, memory.get(read, 0x3C3C3C3C) if reads else 0x5A5A5A5A)
            if valid:
                assert banks == (1 << config.positions) - 1
                enabled = [piece for piece in range(config.word_pieces) if pieces >> piece & 1]
                # A plane that is new takes the pieces above as well: no word is left with some that nothing wrote.
                above = config.word_pieces if address // STRIDE >= planes_in else enabled[0] + 1
                assert enabled == [*range(enabled[0], above)]
                ones = sum(piece_bits(config, piece) for piece in enabled)
                memory[address] = memory.get(address, 0) & ~ones | data & ones
                writes.append(cycle)
            cycle += 1

    async def bench(ctx: Any) -> None:
        cycle = 0
        ctx.set(dut.mode, mode)
        ctx.set(dut.planes_in, planes_in)
        ctx.set(dut.planes_out, planes_out)
        ctx.set(dut.plane_stride, STRIDE)
        # As the neurons do: pieces of one word are an output tile apart.
        for piece in range(config.word_pieces):
            for address, spikes in words:
                ctx.set(dut.valid, 1)
                ctx.set(dut.address, address)
                ctx.set(dut.pieces, 1 << piece)
                ctx.set(dut.spikes, take_piece(config, spikes, piece))
                starts.append(cycle)
                for _ in range(gap):
                    await ctx.tick()
                    cycle += 1
                    ctx.set(dut.valid, 0)
                    ctx.set(dut.address, 0)
                    ctx.set(dut.pieces, 0)
                    ctx.set(dut.spikes, (1 << len(dut.spikes)) - 1)
        for _ in range(dut.write_latency(planes_out, mode) + 2):
            await ctx.tick()

    simulate(dut, bench, ram)
    assert len(writes) == len(starts) * planes_out
    return list(zip(starts, writes[planes_out - 1 :: planes_out], strict=True))


def piece_bits(config: HardwareConfig, piece: int) -> int:
    """Bits of a word that belong to a piece."""
    ones = (1 << config.piece) - 1 << config.piece * piece
    return sum(ones << config.inputs * lane for lane in range(config.lanes))


def take_piece(config: HardwareConfig, word: int, piece: int) -> int:
    """A piece of a word."""
    ones = (1 << config.piece) - 1
    return sum(
        (word >> config.inputs * lane + config.piece * piece & ones) << config.piece * lane
        for lane in range(config.lanes)
    )


@pytest.mark.parametrize("config", [TINY, SPLIT], ids=["tiny", "pieces"])
@pytest.mark.parametrize("extra_cycles", [0, 3])
@pytest.mark.parametrize(("mode", "planes_in", "planes_out"), PLANES)
def test_joins_every_integer(config, mode, planes_in, planes_out, extra_cycles):
    rng = random.Random(planes_in * 10 + planes_out)
    top = (1 << planes_in) - 1
    if mode == ResidualMode.ADD and planes_out == planes_in:
        top -= 1  # nothing may carry out
    integers = {
        address: [rng.choice([0, top, rng.randint(0, top)]) for _ in range(config.group_bits)]
        for address in rng.sample(range(STRIDE), 12)
    }
    memory = {
        address + plane * STRIDE: sum((value >> plane & 1) << i for i, value in enumerate(values))
        for address, values in integers.items()
        for plane in range(planes_in)
    }
    words = [(address, rng.getrandbits(config.group_bits)) for address in integers]
    gap = planes_out + extra_cycles
    spans = run_adder(config, words, memory, mode=mode, planes_in=planes_in, planes_out=planes_out, gap=gap)
    results = {
        address: [
            sum((memory[address + plane * STRIDE] >> i & 1) << plane for plane in range(planes_out))
            for i in range(config.group_bits)
        ]
        for address in integers
    }
    assert results == {
        address: [JOINED[mode](value, spikes >> i & 1) for i, value in enumerate(integers[address])]
        for address, spikes in words
    }
    assert {last - start for start, last in spans} == {ResidualAdder.write_latency(planes_out, mode)}
