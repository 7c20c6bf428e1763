"""The max-pool of currents against numpy: every window once, in order, at any pace; what does not pool passes."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.named_configs import BASE, TINY
from hw.parts.delay import delayed
from hw.pool.max_pool import ROW_LATENCY, MaxPool
from hw.pool.max_pool_walk import MAX_POOL_WORDS, MaxPoolWalk
from tests.hw.benches import simulate

ONE = dataclasses.replace(BASE, timesteps=2, outputs=8, neurons=2, pool_before=True)
TWO = dataclasses.replace(TINY, timesteps=2, outputs=8, neurons=2, pool_before=True)
CHUNKED = dataclasses.replace(TWO, time_chunks=3)
CHUNKED_ONE = dataclasses.replace(ONE, time_chunks=2, weight_bits=8)


class Pool(wiring.Component):
    """The walk, and the fold of what it labels."""

    def __init__(self, config: HardwareConfig):
        self.walk, self.fold = MaxPoolWalk(config), MaxPool(config)
        super().__init__(
            {
                "descriptor": In(DESCRIPTOR),
                "begin": In(1),
                "valid": In(1),
                "select": In(self.walk.select.shape()),
                "time_chunk": In(self.walk.time_chunk.shape()),
                "group_end": In(1),
                "sums": In(len(Cat(self.fold.sums.as_value()))),
                "completes": Out(1),
                "currents": Out(len(self.fold.sums.as_value())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walk, m.submodules.fold = walk, fold = self.walk, self.fold
        inputs = ("descriptor", "begin", "valid", "select", "time_chunk", "group_end")
        m.d.comb += [getattr(walk, name).eq(getattr(self, name)) for name in inputs]
        m.d.comb += [
            fold.window.eq(walk.window),
            fold.sums.eq(self.sums),
            self.completes.eq(delayed(m, walk.completes & self.valid, fold.latency, name="completes", reset=True)),
            self.currents.eq(fold.currents.as_value()),
        ]
        return m


def pooled(sums: np.ndarray) -> np.ndarray:
    """``[H, W, ...]`` to ``[H / 2, W / 2, ...]``."""
    height, width = sums.shape[:2]
    padded = np.pad(sums, ((1, 0), (1, 0), *[(0, 0)] * (sums.ndim - 2)), constant_values=-(1 << 40))
    windows = [padded[dy : dy + height : 2, dx : dx + width : 2] for dy in range(3) for dx in range(3)]
    return np.max([window[: height // 2, : width // 2] for window in windows], axis=0)


def signed(word: int, bits: int) -> int:
    return word - (word >> bits - 1 << bits)


def run(config: HardwareConfig, shapes: list[tuple[int, int, int, int]], *, pause: float) -> None:
    """Output tiles of (height, width, batches, time chunks), one after the other."""
    dut, rng, numbers = Pool(config), random.Random(7), np.random.default_rng(7)
    lanes, bits, neurons = config.timesteps, config.sum_bits, config.neurons
    expected: list[list[int]] = []
    found: list[list[int]] = []

    async def drive(ctx):
        def edges(shape):
            return numbers.choice([-(1 << bits - 1), (1 << bits - 1) - 1, -1, 0], shape)

        for height, width, batches, chunks in shapes:
            ctx.set(dut.begin, 1)
            ctx.set(dut.valid, 0)
            ctx.set(dut.group_end, 0)
            await ctx.tick()
            ctx.set(dut.begin, 0)
            ctx.set(dut.descriptor, DESCRIPTOR.const({"pool_before": 1, "width": width, "time_chunks": chunks}))
            await ctx.tick().repeat(2)
            shape = (height, width, chunks, batches, neurons, lanes)
            sums = np.where(rng.random() < 0.3, edges(shape), numbers.integers(-(1 << bits - 1), 1 << bits - 1, shape))
            result = pooled(sums)
            for group in range(height * width // config.positions):
                places = [divmod(group * config.positions + p, width) for p in range(config.positions)]
                for chunk in range(chunks):
                    for batch in range(batches):
                        while rng.random() < pause:
                            ctx.set(dut.valid, 0)
                            ctx.set(dut.group_end, 0)
                            ctx.set(dut.sums, rng.getrandbits(len(dut.sums)))
                            await ctx.tick()
                        values = np.stack([sums[y, x, chunk, batch] for y, x in places], axis=1)  # [neurons, P, T]
                        word = sum((int(value) & (1 << bits) - 1) << bits * i for i, value in enumerate(values.flat))
                        ctx.set(dut.sums, word)
                        ctx.set(dut.valid, 1)
                        ctx.set(dut.select, batch)
                        ctx.set(dut.time_chunk, chunk)
                        ctx.set(dut.group_end, chunk == chunks - 1 and batch == batches - 1)
                        await ctx.tick()
                        y, x = places[-1]
                        if y % 2 and x % 2:
                            expected.append(result[y // 2, x // 2, chunk, batch].flatten().tolist())
        ctx.set(dut.valid, 0)
        ctx.set(dut.group_end, 0)
        await ctx.tick().repeat(dut.fold.latency + 2)

    async def watch(ctx):
        async for _, _, completes, word in ctx.tick().sample(dut.completes, dut.currents):
            if completes:
                values = [word >> bits * i & (1 << bits) - 1 for i in range(neurons * config.lanes)]
                first = np.array([signed(value, bits) for value in values]).reshape(neurons, config.positions, lanes)
                found.append(first[:, 0].flatten().tolist())

    simulate(dut, drive, watch)
    assert found == expected and expected


@pytest.mark.parametrize("pause", [0.0, 0.4])
@pytest.mark.parametrize("config", [ONE, TWO], ids=["one-position", "two-positions"])
def test_windows_hold_their_largest_sums(config, pause):
    run(config, [(4, 4, 4, 1), (2, 6, 2, 1), (6, 2, 4, 1), (2, 4, 2, 1), (4, 10, 3, 1)], pause=pause)


@pytest.mark.parametrize("config", [CHUNKED_ONE, CHUNKED], ids=["one-position", "two-positions"])
def test_time_chunks_are_pooled_each_for_itself(config):
    chunks = config.time_chunks
    run(config, [(4, 4, 4, chunks), (2, 4, 2, 2), (4, 6, 2, 1), (2, 2, 4, chunks)], pause=0.1)


@pytest.mark.parametrize("config", [ONE, TWO], ids=["one-position", "two-positions"])
def test_rows_of_any_length_that_the_memory_holds(config):
    run(config, [(2, 2 * MAX_POOL_WORDS, 1, 1)], pause=0.0)


@pytest.mark.parametrize("config", [ONE, TWO], ids=["one-position", "two-positions"])
def test_the_same_place_of_two_rows_may_follow_after_the_stated_cycles(config):
    run(config, [(6, 2, ROW_LATENCY if config.positions == 2 else 2, 1)], pause=0.0)


@pytest.mark.parametrize("config", [ONE, CHUNKED], ids=["one-position", "two-positions"])
def test_sums_of_layers_that_do_not_pool_pass(config):
    dut, rng = MaxPool(config), random.Random(3)
    given: list[int] = []

    async def bench(ctx):
        for _ in range(100):
            word = rng.getrandbits(len(dut.sums.as_value()))
            given.append(word)
            ctx.set(dut.sums.as_value(), word)
            await ctx.tick()
            if len(given) >= dut.latency:
                assert ctx.get(dut.currents.as_value()) == given[-dut.latency]

    simulate(dut, bench)
