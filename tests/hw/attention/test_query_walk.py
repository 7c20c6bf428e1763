"""The walk over a tensor of spikes: every address in order, with its flags."""

from __future__ import annotations

import itertools
import random

import pytest
from amaranth.sim import Simulator

from hw.attention.query_walk import QueryWalk


@pytest.mark.parametrize(
    ("groups", "lanes", "slices", "stride"), [(1, 1, 1, 1), (1, 1, 2, 1), (4, 1, 1, 5), (3, 2, 3, 7), (1, 4, 1, 2)]
)
def test_walks_groups_lanes_slices_again_and_again(groups, lanes, slices, stride):
    dut, rng = QueryWalk(10, lanes, groups + 1, slices + 1), random.Random(groups)
    limits = {"last_group": groups - 1, "last_slice": slices - 1, "stride": stride}

    async def walk(ctx, base):
        for member, value in (limits | {"base": base, "start": 1}).items():
            ctx.set(getattr(dut, member), value)
        await ctx.tick()
        ctx.set(dut.start, 0)
        steps = list(itertools.product(range(groups), range(lanes), range(slices)))
        for group, lane, index in 2 * steps:
            while rng.random() < 0.3:
                await ctx.tick()
            assert ctx.get(dut.address) == base + index * stride + group
            assert (ctx.get(dut.lane), ctx.get(dut.slice)) == (lane, index)
            assert ctx.get(dut.slices_end) == (index == slices - 1)
            assert ctx.get(dut.walk_end) == ((group, lane, index) == steps[-1])
            ctx.set(dut.step, 1)
            await ctx.tick()
            ctx.set(dut.step, 0)

    async def process(ctx):
        await walk(ctx, 3)
        ctx.set(dut.step, 1)
        await ctx.tick()
        ctx.set(dut.step, 0)
        await walk(ctx, 40)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(process)
    simulator.run()
