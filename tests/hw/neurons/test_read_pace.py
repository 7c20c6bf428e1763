"""Beats of reads with their pauses, back to back and with idle cycles between tiles."""

from __future__ import annotations

import random

import pytest

from hw.named_configs import TINY
from hw.neurons.read_pace import ReadPace
from tests.hw.benches import simulate


def lengths_of(lead: int, reads: int) -> dict[str, int]:
    last = lead + reads - 1
    return {"last_beat": last, "one_beat": last == 0, "lead": lead, "at_once": lead == 0}


@pytest.mark.parametrize("wide", [0, 1])
def test_pause_then_reads(wide):
    dut, rng = ReadPace(TINY), random.Random(wide)
    tiles = [(rng.choice([0, 0, 1, 3]), rng.randint(1, 4), rng.randint(1, 4)) for _ in range(40)]  # pause, reads, beats

    async def bench(ctx):
        ctx.set(dut.wide, wide)
        for index, (lead, reads, beats) in enumerate(tiles):
            ctx.set(dut.lengths, lengths_of(lead, reads))
            ctx.set(dut.next_lengths, lengths_of(lead, reads))
            for _ in range(rng.choice([0, 2]) if index else 1):
                ctx.set(dut.reading, 0)
                await ctx.tick()
            ctx.set(dut.reading, 1)
            for beat in range(beats):
                for at in range(lead + reads):
                    if beat == beats - 1 and at == lead + reads - 1 and index + 1 < len(tiles):
                        ctx.set(dut.next_lengths, lengths_of(*tiles[index + 1][:2]))
                    for half in range(1 + wide):
                        done, read = half == wide, at >= lead
                        assert (ctx.get(dut.read), ctx.get(dut.last)) == (
                            done and read, done and at == lead + reads - 1,
                        )  # fmt: skip
                        if read:
                            assert (ctx.get(dut.half), ctx.get(dut.number)) == (half, at - lead)
                        if ctx.get(dut.read):
                            assert ctx.get(dut.first) == (at == lead)
                        await ctx.tick()

    simulate(dut, bench)
