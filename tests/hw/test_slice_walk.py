"""The walk over a tensor of spikes: every address in order, with its flags."""

from __future__ import annotations

import itertools
import random

import pytest
from amaranth.sim import Simulator

from hw.slice_walk import SliceWalk


@pytest.mark.parametrize(
    ("heads", "groups", "lanes", "slices", "stride"),
    [(1, 1, 1, 1, 1), (3, 1, 1, 2, 1), (2, 4, 1, 1, 5), (2, 3, 2, 3, 7), (3, 1, 4, 1, 2), (1, 5, 2, 2, 5)],
)
def test_walks_heads_groups_lanes_slices_twice(heads, groups, lanes, slices, stride):
    dut, rng = SliceWalk(10, lanes), random.Random(heads)
    limits = {"last_head": heads - 1, "last_group": groups - 1, "last_slice": slices - 1, "stride": stride}

    async def walk(ctx, base):
        for member, value in (limits | {"base": base, "start": 1}).items():
            ctx.set(getattr(dut, member), value)
        await ctx.tick()
        ctx.set(dut.start, 0)
        steps = list(itertools.product(range(heads), range(groups), range(lanes), range(slices)))
        for head, group, lane, index in steps:
            while rng.random() < 0.3:
                await ctx.tick()
            assert ctx.get(dut.address) == base + (head * slices + index) * stride + group
            assert ctx.get(dut.lane) == lane
            assert ctx.get(dut.slices_end) == (index == slices - 1)
            assert ctx.get(dut.walk_end) == ((head, group, lane, index) == steps[-1])
            ctx.set(dut.step, 1)
            await ctx.tick()
            ctx.set(dut.step, 0)

    async def process(ctx):
        await walk(ctx, 3)
        await walk(ctx, 40)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(process)
    simulator.run()
