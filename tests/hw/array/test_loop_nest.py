"""The loop nest against its loops written out, with steps that mean nothing: they are only to be added."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest

from hw.array.loop_nest import LoopNest
from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, DESCRIPTOR
from hw.named_configs import TINY
from tests.hw.benches import simulate

STEPS = ("tile_step", "half_step", "plane_step", "slice_step", "row_step")

Fields = dict[str, int]


def random_fields(config: HardwareConfig, rng: random.Random) -> Fields:
    fields = {name: rng.getrandbits(DESCRIPTOR[name].width) for name in (*STEPS, "source_base")}
    fields |= {name: rng.randrange(config.positions) for name in ("source_rotate", "row_rotate", "rewind_rotate")}
    fields |= {name: rng.randint(1, 3) for name in ("slices", "passes", "tiles", "output_tiles")}
    fields |= {name: rng.getrandbits(1) for name in ("kernel3", "wide", "image")}
    fields |= {"tile_groups": rng.randint(1, 16), "last_tile_groups": rng.randint(1, 16)}
    return {**fields, "time_chunks": rng.randint(1, config.time_chunks)}


def expected(config: HardwareConfig, fields: Fields) -> Iterator[Fields]:
    """Every slice and tap in its order."""
    taps = 3 if fields["kernel3"] else 1
    counts = (fields["tiles"], 1 + fields["wide"], fields["passes"], fields["slices"], taps, taps)
    chunks, positions = fields["time_chunks"], config.positions
    steps = [(fields[name], fields["rewind_rotate"]) for name in STEPS]
    steps[-1] = (fields["row_step"], fields["row_rotate"])
    steps.append((0, 1) if positions > 1 else (chunks, 0))
    for _ in range(fields["output_tiles"]):
        address, bank = fields["source_base"], fields["source_rotate"]
        for turns in itertools.product(*map(range, counts)):
            _, half, plane, number, row, column = turns
            ends = [turn == count - 1 for turn, count in zip(turns, counts, strict=True)]
            begins, groups = not (number or row or column), fields["last_tile_groups" if ends[0] else "tile_groups"]
            yield {
                "address": address,
                "rotate": bank,
                "slice": number,
                "above": int(taps == 3 and row == 0),
                "below": int(taps == 3 and row == 2),
                "left": int(taps == 3 and column == 0),
                "right": int(taps == 3 and column == 2),
                "single": int(groups == 1),
                "last_but_one": (groups - 2) % (1 << DESCRIPTOR["tile_groups"].width),
                "first": int(begins and plane == 0),
                "double": int(begins and plane > 0),
                "final": int(all(ends[2:])),
                "unsigned": int(half and not fields["image"]),
                "tile_end": int(all(ends[1:])),
                "last_tile": int(ends[0]),
            }
            if not all(ends):
                words, banks = steps[max(level for level, end in enumerate(ends) if not end)]
                carried, bank = divmod(bank + banks, positions)
                address = (address + words + carried * chunks) % (1 << ADDRESS_BITS)


@pytest.mark.parametrize("positions", [1, 2, 8])
@pytest.mark.parametrize("time_chunks", [1, 3])
def test_adds_the_step_of_the_loop_that_goes_on(positions, time_chunks):
    config = dataclasses.replace(TINY, inputs=8, positions=positions, neurons=1, time_chunks=time_chunks)
    rng, dut = random.Random(positions), LoopNest(config)
    layers = [random_fields(config, rng) for _ in range(8)]

    async def bench(ctx: Any) -> None:
        for fields in layers:
            ctx.set(dut.descriptor, fields)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for here in expected(config, fields):
                while True:
                    go_on = rng.random() < 0.8
                    ctx.set(dut.go_on, go_on)
                    assert ctx.get(dut.walking)
                    seen = ctx.get(dut.here)
                    assert {name: getattr(seen, name) for name in here} == here
                    await ctx.tick()
                    if go_on:
                        break
            ctx.set(dut.go_on, 0)
            assert not ctx.get(dut.walking)

    simulate(dut, bench)
