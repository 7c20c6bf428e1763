"""The walker against a plain loop nest: every word of spikes, every flag, under any stalls."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from benches import simulate, tile_fields

from hw.config import TINY, HardwareConfig
from hw.isa import ADDRESS_BITS
from hw.walker import Walker

CYCLE_LIMIT = 4000
STALLED_CYCLES = 200


def config_of(positions: int) -> HardwareConfig:
    return dataclasses.replace(TINY, positions=positions, neurons=1, timesteps=2)


def layer(config: HardwareConfig, *, height: int, width: int, tile_groups: int, **fields: int) -> dict[str, int]:
    """Descriptor of a layer; its planes and slices lie apart by odd strides."""
    groups = -(-height * width // config.positions)
    slice_stride, planes = groups + 3, fields.get("passes", 1)
    plane_stride = fields.get("slices", 1) * slice_stride + 5
    return {
        "passes": 1,
        "slices": 1,
        "output_tiles": 1,
        **fields,
        "height": height,
        "width": width,
        **tile_fields(config, height * width, tile_groups),
        "source_base": 11 + (planes - 1) * plane_stride,
        "source_slice_stride": slice_stride,
        "source_plane_stride": plane_stride,
    }


class Source:
    """A memory full of random words: what is outside the feature map must be masked, not be zero by luck."""

    def __init__(self, config: HardwareConfig):
        rng = random.Random(7)
        self.width = config.timesteps * config.inputs
        self.banks = [[rng.getrandbits(self.width) for _ in range(1024)] for _ in range(config.positions)]

    def word(self, bank: int, address: int) -> int:
        return self.banks[bank][address % 1024]


@dataclass(frozen=True)
class Step:
    """One step as the array gets it; `buffer` counts the tiles of sums, modulo 2."""

    spikes: int
    group: int
    buffer: int
    first: int
    double: int
    negative: int
    last_group: int
    last_of_tile: int


def loop_nest(config: HardwareConfig, fields: dict[str, int], source: Source, tiles_before: int = 0) -> Iterator[Step]:
    """The layer as its loops, outermost first: output tile, position tile, plane, tap, slice, group."""
    height, width, lanes = fields["height"], fields["width"], config.positions
    taps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)] if fields.get("kernel3") else [(0, 0)]
    planes, slices = range(fields["passes"]), range(fields["slices"])
    inner = [(plane, tap, k) for plane in planes for tap in range(len(taps)) for k in slices]
    tile_of_sums = tiles_before
    for _ in range(fields["output_tiles"]):
        for tile in range(fields["tiles"]):
            last_tile = tile == fields["tiles"] - 1
            groups = fields["last_tile_groups" if last_tile else "tile_groups"]
            for number, (plane, tap, k) in enumerate(inner):
                for group in range(groups):
                    spikes = 0
                    for lane in range(lanes):
                        y, x = divmod((tile * fields["tile_groups"] + group) * lanes + lane, width)
                        row, column = y + taps[tap][0], x + taps[tap][1]
                        if y < height and 0 <= row < height and 0 <= column < width:
                            place = row * width + column
                            base = fields["source_base"] - plane * fields["source_plane_stride"]
                            address = base + k * fields["source_slice_stride"] + place // lanes
                            spikes |= source.word(place % lanes, address) << lane * source.width
                    yield Step(
                        spikes=spikes,
                        group=group,
                        buffer=tile_of_sums % 2,
                        first=int(number == 0),
                        double=int(plane > 0 and tap == 0 and k == 0),
                        negative=int(bool(fields.get("image")) and plane == 0),
                        last_group=int(group == groups - 1),
                        last_of_tile=int(group == groups - 1 and number == len(inner) - 1),
                    )
            tile_of_sums += 1


@dataclass
class Seen:
    steps: list[Step] = field(default_factory=list)
    claims: int = 0
    cycles: int = 0
    counts: dict[str, int] = field(default_factory=lambda: {"issuing": 0, "stall_weights": 0, "stall_drain": 0})


def run_layers(
    config: HardwareConfig,
    layers: list[dict[str, int]],
    *,
    table_rate: float = 1.0,
    drain_rate: float = 1.0,
    steps_wanted: list[int],
    limit: int = CYCLE_LIMIT,
    seed: int = 1,
) -> list[Seen]:
    """Walk layers one after the other; each ends when its number of steps was seen, or at the limit of cycles."""
    dut, source, rng = Walker(config), Source(config), random.Random(seed)
    address_mask = (1 << (config.tile_groups - 1).bit_length()) - 1
    results: list[Seen] = []

    async def memory(ctx: Any) -> None:
        while True:
            _, _, addresses = await ctx.tick().sample(dut.read_addresses)
            assert all(addresses[bank] < 1 << ADDRESS_BITS for bank in range(config.positions))
            words = [source.word(bank, addresses[bank]) for bank in range(config.positions)]
            ctx.set(dut.read_data, sum(word << bank * source.width for bank, word in enumerate(words)))

    async def bench(ctx: Any) -> None:
        undrained = 0
        for fields, wanted in zip(layers, steps_wanted, strict=True):
            seen = Seen()
            results.append(seen)
            ctx.set(dut.descriptor, fields)
            ctx.set(dut.start, 1)
            while len(seen.steps) < wanted or undrained:
                drained = undrained > 0 and rng.random() < drain_rate
                undrained -= drained
                ctx.set(dut.tile_drained, drained)
                ctx.set(dut.table_available, rng.random() < table_rate)
                sampled = await ctx.tick().sample(
                    dut.step, dut.spikes, dut.claim, dut.issuing, dut.stall_weights, dut.stall_drain
                )
                step, spikes, claim, *counts = sampled[2:]
                ctx.set(dut.start, 0)
                seen.cycles += 1
                seen.claims += claim
                for name, count in zip(seen.counts, counts, strict=True):
                    seen.counts[name] += count
                if step.valid:
                    flags = {
                        name: getattr(step, name)
                        for name in ("first", "double", "negative", "last_group", "last_of_tile")
                    }
                    group, buffer = step.address & address_mask, step.address > address_mask
                    seen.steps.append(Step(spikes=spikes, group=group, buffer=int(buffer), **flags))
                    undrained += step.last_of_tile
                if seen.cycles == limit:
                    return

    simulate(dut, bench, memory)
    return results


SHAPES = {
    "one_lane": (1, {"height": 3, "width": 5, "tile_groups": 16, "kernel3": 1, "slices": 2}),
    "odd_width": (2, {"height": 3, "width": 5, "tile_groups": 3, "kernel3": 1, "slices": 2, "output_tiles": 2}),
    "planes": (2, {"height": 4, "width": 4, "tile_groups": 5, "passes": 3, "slices": 2, "output_tiles": 2}),
    "image": (2, {"height": 3, "width": 7, "tile_groups": 4, "image": 1, "passes": 4, "slices": 3}),
    "planes_of_convolution": (4, {"height": 4, "width": 5, "tile_groups": 2, "kernel3": 1, "passes": 2}),
    "one_row_of_lanes": (4, {"height": 3, "width": 4, "tile_groups": 16, "kernel3": 1}),
    "one_column": (1, {"height": 4, "width": 1, "tile_groups": 3, "kernel3": 1, "output_tiles": 3}),
    "one_group_slices": (2, {"height": 1, "width": 2, "tile_groups": 1, "slices": 5, "output_tiles": 3}),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("table_rate", "drain_rate"), [(1.0, 1.0), (0.3, 0.05)])
def test_walks_the_loop_nest(shape, table_rate, drain_rate):
    positions, sizes = SHAPES[shape]
    config = config_of(positions)
    fields = layer(config, **sizes)
    expected = list(loop_nest(config, fields, Source(config)))
    (seen,) = run_layers(config, [fields], table_rate=table_rate, drain_rate=drain_rate, steps_wanted=[len(expected)])
    assert seen.steps == expected
    assert seen.claims == sum(step.last_group for step in expected)
    assert seen.counts["issuing"] == len(expected)


def test_slices_follow_without_a_gap():
    config = config_of(2)
    fields = layer(config, **SHAPES["odd_width"][1])
    expected = list(loop_nest(config, fields, Source(config)))
    (seen,) = run_layers(config, [fields], steps_wanted=[len(expected)])
    # Start, prepare and take the first slice; the last cycle drains the last tile.
    assert seen.cycles == 3 + len(expected) + Walker.latency + 1
    assert seen.counts == {"issuing": len(expected), "stall_weights": 0, "stall_drain": 0}


def test_layers_follow_each_other():
    config = config_of(2)
    layers = [layer(config, **SHAPES[name][1]) for name in ("odd_width", "image", "one_group_slices", "odd_width")]
    expected, tiles = [], 0
    for fields in layers:
        expected.append(list(loop_nest(config, fields, Source(config), tiles)))
        tiles += fields["output_tiles"] * fields["tiles"]
    seen = run_layers(config, layers, table_rate=0.6, drain_rate=0.3, steps_wanted=[len(steps) for steps in expected])
    assert [one.steps for one in seen] == expected


def test_waits_for_free_partial_sums():
    config = config_of(1)
    fields = layer(config, height=2, width=3, tile_groups=2, slices=2)
    expected = list(loop_nest(config, fields, Source(config)))
    (seen,) = run_layers(config, [fields], drain_rate=0.0, steps_wanted=[len(expected)], limit=STALLED_CYCLES)
    two_tiles = 2 * 2 * 2
    assert seen.steps == expected[:two_tiles]
    assert seen.counts["stall_weights"] == 0
    # A take refused is a cycle without a step one later: the last group's own cycle counts.
    assert seen.counts["stall_drain"] == STALLED_CYCLES - 3 - (two_tiles - 1)


def test_counts_cycles_without_a_table():
    config = config_of(1)
    fields = layer(config, height=2, width=3, tile_groups=16, slices=2)
    (seen,) = run_layers(config, [fields], table_rate=0.0, steps_wanted=[1], limit=STALLED_CYCLES)
    assert seen.counts == {"issuing": 0, "stall_weights": STALLED_CYCLES - 2, "stall_drain": 0}
