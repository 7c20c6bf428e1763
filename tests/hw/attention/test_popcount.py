"""The AND-popcount: exact, pipelined with the stated latency."""

from __future__ import annotations

import random

import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.attention.popcount import and_popcount, popcount_latency
from tests.hw.pipelines import run_pipeline


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
