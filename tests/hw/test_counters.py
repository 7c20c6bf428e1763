"""Counters against a count in Python: every event of every layer, none lost at the boundaries."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from benches import simulate

from hw.config import TINY
from hw.counters import Counters
from hw.registers import COUNTER_SLOTS, Counter

EVENTS = {
    Counter.CYCLES: "busy",
    Counter.BUSY: "working",
    Counter.STALL_WEIGHTS: "stall_weights",
    Counter.STALL_DRAIN: "stall_drain",
    Counter.SPIKES: "spikes",
}


@pytest.mark.parametrize("max_layers", [3, 64])
def test_files_every_layer_and_the_total(max_layers):
    dut, rng = Counters(dataclasses.replace(TINY, max_layers=max_layers)), random.Random(max_layers)
    layers = [rng.choice([6, 20]) for _ in range(3)]
    expected: list[list[int]] = []
    found: list[list[int]] = []
    totals: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        for _ in range(2):
            # A job begins with `clear`; what happened before it is forgotten.
            ctx.set(dut.spikes, 9)
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            busy = 0
            expected.clear()
            for layer, cycles in enumerate(layers):
                counts = [0] * len(Counter)
                ctx.set(dut.layer, layer)
                for cycle in range(cycles):
                    for counter, name in EVENTS.items():
                        amount = rng.randint(0, 4095) if name == "spikes" else rng.randint(0, 1)
                        ctx.set(getattr(dut, name), amount)
                        counts[counter] += amount
                    ctx.set(dut.layer_end, cycle == cycles - 1)
                    await ctx.tick()
                expected.append(counts)
                busy += counts[Counter.CYCLES]
            ctx.set(dut.layer_end, 0)
            for name in EVENTS.values():
                ctx.set(getattr(dut, name), 0)
            await ctx.tick().repeat(COUNTER_SLOTS)
            totals.append((ctx.get(dut.total), busy))
            found.clear()
            for layer in range(len(layers)):
                found.append([])
                for counter in Counter:
                    ctx.set(dut.host_address, layer * COUNTER_SLOTS + counter)
                    await ctx.tick()
                    found[-1].append(ctx.get(dut.host_data))
            assert found == expected

    simulate(dut, bench)
    assert len(totals) == 2
    assert all(counted == busy for counted, busy in totals)
