"""The AND-popcount: exact, pipelined with the stated latency, plain and weighted."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from pipelines import run_pipeline

from hw.popcount import AndPopcount, and_popcount, popcount_latency


class OnePopcount(wiring.Component):
    """`and_popcount` with ports."""

    def __init__(self, width: int):
        self.latency = popcount_latency(width)
        super().__init__({"a": In(unsigned(width)), "b": In(unsigned(width)), "count": Out(range(width + 1))})

    def elaborate(self, platform):
        m = Module()
        count, latency = and_popcount(m, self.a, self.b, name="count")
        assert latency == self.latency and len(count) == len(self.count)
        m.d.comb += self.count.eq(count)
        return m


@pytest.mark.parametrize("width", [1, 2, 3, 4, 8, 16, 18, 19, 32, 49, 64, 100])
def test_counts_with_stated_latency(width):
    rng = random.Random(width)
    full = (1 << width) - 1
    pairs = [(rng.getrandbits(width), rng.getrandbits(width) | rng.choice([0, full])) for _ in range(60)]
    pairs += [(full, full), (0, full), (full, 0)]
    dut = OnePopcount(width)
    counts = run_pipeline(dut, [{"a": a, "b": b} for a, b in pairs], lambda ctx: ctx.get(dut.count))
    assert counts == [(a & b).bit_count() for a, b in pairs]


@pytest.mark.parametrize(("columns", "timesteps", "segments", "segment"), [(2, 2, 4, 8), (1, 4, 1, 16), (3, 1, 2, 32)])
def test_plain_and_weighted_sums(columns, timesteps, segments, segment):
    rng = random.Random(segments)
    width = timesteps * segments * segment
    full = (1 << width) - 1
    sets = [
        {
            "shared": rng.getrandbits(width) | rng.choice([0, full]),
            "words": [rng.getrandbits(width) | rng.choice([0, full]) for _ in range(columns)],
            "weighted": rng.getrandbits(1),
        }
        for _ in range(40)
    ]
    dut = AndPopcount(columns, timesteps, segments, segment)
    lanes = range(columns * timesteps)
    sums = run_pipeline(dut, sets, lambda ctx: [ctx.get(dut.sums[lane]) for lane in lanes])

    def expected(one, column, t):
        both = (one["shared"] & one["words"][column]) >> t * segments * segment
        pieces = [(both >> s * segment & (1 << segment) - 1).bit_count() for s in range(segments)]
        return sum(count << s * one["weighted"] for s, count in enumerate(pieces))

    assert sums == [[expected(one, c, t) for c in range(columns) for t in range(timesteps)] for one in sets]
