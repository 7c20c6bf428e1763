"""The tables of subset sums against numpy: rows in at their fastest, every subset of every step out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.attention.geometry import TABLE_CHANNELS, AttentionGeometry
from hw.attention.tables import SubsetTables
from hw.named_configs import TINY

SMALL = dataclasses.replace(
    TINY, name="small", timesteps=2, positions=1, tile_groups=16, attention_columns=2,
    attention_planes=6, head_channels=24,
)  # fmt: skip


@pytest.mark.parametrize("tables", [2, 4])
@pytest.mark.parametrize(("channels", "sets", "pause"), [(24, 2, 0), (8, 3, 2), (12, 2, 0), (4, 2, 1)])
def test_sums_of_every_subset(channels, sets, pause, tables):
    config, rng = dataclasses.replace(SMALL, attention_tables=tables), np.random.default_rng(channels)
    step_channels = AttentionGeometry(config).step_channels
    dut = SubsetTables(config)
    entries = rng.integers(
        0, 1 << config.attention_planes, (sets, channels, config.timesteps, config.attention_columns)
    )
    entries[0, 0] = (1 << config.attention_planes) - 1

    async def fill(ctx, rows):
        """Give a set's rows; returns with the last row's first sum."""
        for channel, row in enumerate(rows):
            ctx.set(dut.row_valid, 1)
            await ctx.tick()
            ctx.set(dut.row_valid, 0)
            ctx.set(dut.row, row.tolist())
            for _ in range((1 << channel % TABLE_CHANNELS) - 1 + pause * (channel < channels - 1)):
                await ctx.tick()

    async def look_up(ctx, half, rows):
        steps = -(-channels // step_channels)
        wanted = np.zeros((steps * step_channels, *rows.shape[1:]), int)
        wanted[:channels] = rows
        ctx.set(dut.look_up, ~0)
        for step in range(steps):
            for _ in range(40):
                spikes = rng.random((config.timesteps, step_channels)) < 0.6
                spikes[:, channels - step * step_channels :] = False
                ctx.set(dut.step, step)
                ctx.set(dut.half, ~0 if half else 0)
                ctx.set(dut.spikes, [int(sum(1 << i for i in np.flatnonzero(one))) for one in spikes])
                for _ in range(dut.lookup_latency):
                    await ctx.tick()
                for t, table in np.ndindex(config.timesteps, tables):
                    own = np.arange(TABLE_CHANNELS) + table * TABLE_CHANNELS
                    expected = spikes[t, own] @ wanted[step * step_channels + own, t]
                    found = [ctx.get(dut.entries[t][table][column]) for column in range(config.attention_columns)]
                    assert found == expected.tolist()
        ctx.set(dut.look_up, 0)

    async def process(ctx):
        ctx.set(dut.job.last_channel, channels - 1)
        ctx.set(dut.begin, 1)
        await ctx.tick()
        ctx.set(dut.begin, 0)
        for index, rows in enumerate(entries):
            await fill(ctx, rows)
            cycles = 0
            while not ctx.get(dut.filled):
                await ctx.tick()
                cycles += 1
            assert cycles == dut.filled_latency
            await ctx.tick()
            await look_up(ctx, index % 2, rows)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(process)
    simulator.run()
