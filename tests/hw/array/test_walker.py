"""The walker against a plain loop nest, cycle by cycle: every word of spikes, every flag, every stall."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hw.array.step import DRAIN_BUFFERS
from hw.array.walker import Walker
from hw.config import TINY, HardwareConfig
from hw.descriptor import ADDRESS_BITS, DESCRIPTOR
from tests.hw.benches import simulate, tile_fields

CYCLE_LIMIT = 6000
SLICES_BITS = DESCRIPTOR["slices"].shape.width
FIRST_GROUP = Walker.start_latency + 1
"""Cycles from `start` to the first group, if nothing is waited for."""

Fields = dict[str, int]


def config_of(positions: int) -> HardwareConfig:
    return dataclasses.replace(TINY, positions=positions, neurons=1, timesteps=2)


def layer(
    config: HardwareConfig, *, height: int, width: int, tile_groups: int, rows: range | None = None, base: int = 11,
    time_chunks: int = 1, **fields: int,
) -> Fields:  # fmt: skip
    """Descriptor of a layer, or of a strip of its rows; its planes and slices lie apart by odd strides.

    Tiles are of `tile_groups` position groups, each of a word per time chunk.
    """
    rows = rows or range(height)
    slice_stride = -(-height * width // config.positions) * time_chunks + 3
    plane_stride = fields.get("slices", 1) * slice_stride + 5
    first, odd = divmod(rows.start * width, config.positions)
    assert not odd and (width >= config.positions or not fields.get("kernel3"))
    return {
        "passes": 1,
        "slices": 1,
        "output_tiles": 1,
        **fields,
        "height": height,
        "width": width,
        "first_row": rows.start,
        **tile_fields(config, len(rows) * width, tile_groups, time_chunks),
        "source_base": base + first * time_chunks + (fields.get("passes", 1) - 1) * plane_stride,
        "source_slice_stride": slice_stride,
        "source_plane_stride": plane_stride,
    }


class Source:
    """Two memories full of random words: what is outside the feature map must be masked, not be zero by luck."""

    def __init__(self, config: HardwareConfig):
        rng = random.Random(7)
        self.width = config.timesteps * config.inputs
        self._words = [rng.getrandbits(self.width) for _ in range(4099)]

    def word(self, residual: bool, bank: int, address: int) -> int:
        at = ((address % (1 << ADDRESS_BITS)) * 8 + bank) * 2 + residual
        return self._words[at % len(self._words)]


@dataclass(frozen=True)
class Step:
    """One step as the array gets it; `real` masks the spikes of positions that exist, the others may be anything."""

    spikes: int
    real: int
    group: int
    buffer: int
    first: int
    double: int
    final: int
    unsigned: int
    last_group: int
    last_of_tile: int


FLAGS = [field.name for field in dataclasses.fields(Step) if field.name not in ("spikes", "real")]


@dataclass
class Slice:
    """The steps that share a table."""

    index: int
    final: bool
    steps: list[Step]


def spikes_of(config: HardwareConfig, fields: Fields, source: Source, tap: tuple[int, int], base: int, at: int) -> int:
    """One word of the layer, word `at`, seen through a tap; `base` is the slice's first word."""
    height, width, lanes, spikes = fields["height"], fields["width"], config.positions, 0
    chunks = fields["time_chunks"]
    residual = bool(fields.get("source_residual"))
    start = fields["first_row"] * width
    for lane in range(lanes):
        y, x = divmod(start + at // chunks * lanes + lane, width)
        row, column = y + tap[0], x + tap[1]
        if fields.get("image"):
            spikes |= source.word(residual, lane, base + at) << lane * source.width
        elif y < height and 0 <= row < height and 0 <= column < width:
            place = row * width + column - start
            address = base + place // lanes * chunks + at % chunks
            spikes |= source.word(residual, place % lanes, address) << lane * source.width
    return spikes


def loop_nest(config: HardwareConfig, fields: Fields, source: Source, tiles_before: int = 0) -> Iterator[Slice]:
    """A layer's loops, outermost first: output tile, position tile, half, plane, slice, tap, group."""
    taps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)] if fields.get("kernel3") else [(0, 0)]
    real = functools.partial(real_positions, config, fields)
    sums = tiles_before
    for _ in range(fields["output_tiles"]):
        for tile in range(fields["tiles"]):
            groups = fields["last_tile_groups" if tile == fields["tiles"] - 1 else "tile_groups"]
            first = tile * fields["tile_groups"]
            for half in range(1 + fields.get("wide", 0)):
                for plane in range(fields["passes"]):
                    for k in range(fields["slices"]):
                        base = fields["source_base"] - plane * fields["source_plane_stride"]
                        base += k * fields["source_slice_stride"]
                        for tap in taps:
                            begins = k == 0 and tap is taps[0]
                            ends = k == fields["slices"] - 1 and tap is taps[-1]
                            final = ends and plane == fields["passes"] - 1
                            yield Slice(k, final, [
                                Step(
                                    spikes=spikes_of(config, fields, source, tap, base, first + g) & real(first + g),
                                    real=real(first + g),
                                    group=g,
                                    buffer=sums % DRAIN_BUFFERS,
                                    first=int(begins and plane == 0),
                                    double=int(begins and plane > 0),
                                    final=int(final),
                                    unsigned=int(half == 1 and not fields.get("image")),
                                    last_group=int(g == groups - 1),
                                    last_of_tile=int(final and g == groups - 1),
                                )
                                for g in range(groups)
                            ])  # fmt: skip
                sums += 1


def real_positions(config: HardwareConfig, fields: Fields, at: int) -> int:
    """Spikes that count: all of them, as lanes behind the last position are masked, but where a row has too few."""
    if fields["width"] >= config.positions:
        return (1 << config.group_bits) - 1
    lanes = min(config.positions, max(0, fields["positions"] - at // fields["time_chunks"] * config.positions))
    return (1 << lanes * config.group_bits // config.positions) - 1


def steps_of(slices: list[Slice]) -> list[Step]:
    return [step for one in slices for step in one.steps]


@dataclass(frozen=True)
class Rates:
    """Chances in a cycle: a table is there, a buffer is freed, a slice is written, the next layer starts."""

    table: float = 1.0
    free: float = 1.0
    written: float = 1.0
    start: float = 1.0


@dataclass
class Seen:
    """What happened in a layer; cycles count from its start pulse."""

    cycles: int = 0
    """From start to done, both included."""
    counts: dict[str, int] = field(
        default_factory=lambda: {"issuing": 0, "stall_weights": 0, "stall_drain": 0, "stall_data": 0}
    )
    issued: list[int] = field(default_factory=list)
    """Absolute cycles in which groups were issued."""
    first_step: int = -1
    """Absolute cycle of the first step."""


class Model:
    """The walker's timing as its docstring states it, one call per cycle."""

    def __init__(self) -> None:
        self.slices: list[Slice] = []
        self.active: list[Step] = []
        self.ready, self.used, self.cycle = 0, 0, 0
        self.done = True
        self.stalls = dict.fromkeys(("stall_weights", "stall_drain", "stall_data"), 0)

    def start(self, slices: list[Slice]) -> None:
        assert not self.slices and not self.active
        self.slices, self.ready = list(slices), self.cycle + Walker.start_latency

    def expect(self, *, starting: bool, has_input: bool, table: bool) -> dict[str, int]:
        """Outputs of the cycle, `step` aside."""
        wanted = bool(self.slices) and self.cycle >= self.ready and len(self.active) <= 1
        has_input = has_input or not wanted
        has_buffer = not wanted or not self.slices[0].final or self.used < DRAIN_BUFFERS
        self.take = wanted and has_input and table and has_buffer
        outputs = {
            "claim": int(self.take),
            "done": int(self.done),
            "issuing": int(bool(self.active)),
            **self.stalls,
        }
        self.done = not starting and not self.slices and len(self.active) <= 1
        self.stalls = {
            "stall_data": int(wanted and not has_input),
            "stall_weights": int(wanted and has_input and not table),
            "stall_drain": int(wanted and has_input and table and not has_buffer),
        }
        return outputs

    def step(self, freed: int) -> Step | None:
        """Go to the next cycle; returns the group that was issued in this one."""
        issued = self.active.pop(0) if self.active else None
        if self.take:
            one = self.slices.pop(0)
            self.active = list(one.steps)
            self.used += one.final
        self.used -= freed
        self.cycle += 1
        return issued


def run_layers(
    config: HardwareConfig, layers: list[Fields], rates: Rates = Rates(), *, seed: int = 1, limit: int | None = None
) -> list[Seen]:
    """Walk layers one after the other and compare every cycle; with a limit, stop there."""
    dut, source, rng, model = Walker(config), Source(config), random.Random(seed), Model()
    results: list[Seen] = []

    async def memory(ctx: Any) -> None:
        while True:
            _, _, addresses = await ctx.tick().sample(dut.read_addresses)
            residual = ctx.get(dut.from_residual)
            words = [source.word(bool(residual), bank, addresses[bank]) for bank in range(config.positions)]
            ctx.set(dut.read_data, sum(word << bank * source.width for bank, word in enumerate(words)))

    async def bench(ctx: Any) -> None:
        in_flight: list[Step | None] = [None] * Walker.latency
        undrained, sums, running, pending = 0, 0, False, list(layers)
        fields: Fields = {}
        earlier = [(0, False)] * Walker.input_latency  # what was reported to be written
        while running or pending or undrained or any(in_flight):
            starting = not running and bool(pending) and rng.random() < rates.start
            if starting:
                fields, running, written, all_written = pending.pop(0), True, 0, False
                model.start(list(loop_nest(config, fields, source, sums)))
                sums += sum(one.final for one in model.slices)
                results.append(Seen())
                ctx.set(dut.descriptor, fields)
            elif not running:
                # Nobody may look at the descriptor between `done` and `start`.
                ctx.set(dut.descriptor.as_value(), rng.getrandbits(DESCRIPTOR.size))
            ctx.set(dut.start, starting)
            if running and fields.get("follows"):
                all_written = all_written or (written == fields["slices"] and rng.random() < rates.written)
                written = min(written + (rng.random() < rates.written), fields["slices"])
                # The last slice may count as written only with everything.
                shown = written if written < fields["slices"] or rng.random() < 0.5 else written - 1
            else:
                shown, all_written = rng.getrandbits(SLICES_BITS), bool(rng.getrandbits(1))
            if running and fields.get("follows") and all_written:
                # Then it counts the slices of another layer.
                shown = 0
            freed = min(rng.choice([1, 2]), undrained) if rng.random() < rates.free else 0
            table = rng.random() < rates.table
            ctx.set(dut.slices_written, shown)
            ctx.set(dut.all_written, all_written)
            ctx.set(dut.buffers_freed, freed)
            ctx.set(dut.table_available, table)
            names = ("claim", "done", "issuing", "stall_weights", "stall_drain", "stall_data")
            _, _, step, spikes, *outputs = await ctx.tick().sample(
                dut.step, dut.spikes, *(getattr(dut, name) for name in names)
            )
            index = model.slices[0].index if model.slices else 0
            earlier.append((shown, all_written))
            counted, everything = earlier[-1 - Walker.input_latency]
            has_input = not fields.get("follows") or everything or index < counted
            expected = model.expect(starting=starting, has_input=has_input, table=table)
            assert dict(zip(names, outputs, strict=True)) == expected, model.cycle
            assert sum(outputs[2:]) <= 1
            undrained -= freed
            shown_step = in_flight.pop(0)
            assert step.valid == (shown_step is not None), model.cycle
            if shown_step:
                assert spikes & shown_step.real == shown_step.spikes, model.cycle
                assert all(getattr(step, name) == getattr(shown_step, name) for name in FLAGS), model.cycle
                undrained += shown_step.last_of_tile
            if results:
                seen = results[-1]
                if running:
                    seen.cycles += 1
                    for name in seen.counts:
                        seen.counts[name] += expected[name]
                if expected["issuing"]:
                    seen.issued.append(model.cycle)
                if shown_step and seen.first_step < 0:
                    seen.first_step = model.cycle
            running = running and (starting or not expected["done"])
            in_flight.append(model.step(freed))
            if model.cycle == limit:
                return
            assert model.cycle < CYCLE_LIMIT

    simulate(dut, bench, memory)
    return results


SHAPES: dict[str, tuple[int, dict[str, Any]]] = {
    "one_lane": (1, {"height": 3, "width": 5, "tile_groups": 16, "kernel3": 1, "slices": 2}),
    "odd_width": (2, {"height": 3, "width": 5, "tile_groups": 3, "kernel3": 1, "slices": 2, "output_tiles": 2}),
    "planes": (2, {"height": 4, "width": 4, "tile_groups": 5, "passes": 3, "slices": 2, "output_tiles": 2}),
    "residual": (1, {"height": 2, "width": 4, "tile_groups": 3, "passes": 3, "slices": 2, "source_residual": 1}),
    "image": (2, {"height": 3, "width": 7, "tile_groups": 4, "image": 1, "passes": 4, "slices": 3}),
    "wide": (2, {"height": 3, "width": 4, "tile_groups": 4, "wide": 1, "passes": 2, "slices": 3, "output_tiles": 3}),
    "wide_image": (4, {"height": 4, "width": 4, "tile_groups": 3, "wide": 1, "image": 1, "passes": 3, "slices": 2}),
    "wide_convolution": (1, {"height": 2, "width": 3, "tile_groups": 4, "wide": 1, "kernel3": 1, "slices": 2}),
    "planes_of_convolution": (4, {"height": 4, "width": 5, "tile_groups": 2, "kernel3": 1, "passes": 2}),
    "one_row_of_lanes": (4, {"height": 3, "width": 4, "tile_groups": 16, "kernel3": 1}),
    "one_column": (1, {"height": 4, "width": 1, "tile_groups": 3, "kernel3": 1, "output_tiles": 3}),
    "one_group_slices": (2, {"height": 1, "width": 2, "tile_groups": 1, "slices": 5, "output_tiles": 7}),
    "fewer_positions_than_lanes": (4, {"height": 1, "width": 1, "tile_groups": 1, "slices": 3, "output_tiles": 2}),
    "from_address_zero": (2, {"height": 3, "width": 3, "tile_groups": 5, "kernel3": 1, "base": 0}),
    "first_strip": (1, {"height": 6, "width": 3, "tile_groups": 4, "kernel3": 1, "rows": range(0, 3), "slices": 2}),
    "middle_strip": (2, {"height": 6, "width": 5, "tile_groups": 3, "kernel3": 1, "rows": range(2, 4), "slices": 2}),
    "last_strip": (4, {"height": 6, "width": 6, "tile_groups": 4, "kernel3": 1, "rows": range(4, 6)}),
    "strip_of_two_output_tiles": (
        2, {"height": 4, "width": 3, "tile_groups": 2, "kernel3": 1, "rows": range(2, 4), "output_tiles": 2}
    ),
}  # fmt: skip


CHUNKED_SHAPES = {
    "two": (2, {"height": 3, "width": 5, "tile_groups": 3, "kernel3": 1, "slices": 2, "time_chunks": 2}),
    "three": (4, {"height": 4, "width": 5, "tile_groups": 2, "kernel3": 1, "passes": 2, "time_chunks": 3}),
    "four": (1, {"height": 3, "width": 3, "tile_groups": 4, "kernel3": 1, "slices": 2, "time_chunks": 4}),
    "one_of_four": (2, {"height": 3, "width": 4, "tile_groups": 4, "kernel3": 1, "output_tiles": 2}),
    "linear": (2, {"height": 3, "width": 3, "tile_groups": 3, "passes": 2, "slices": 2, "time_chunks": 3}),
    "strip": (2, {"height": 6, "width": 5, "tile_groups": 3, "kernel3": 1, "rows": range(2, 4), "time_chunks": 3}),
}  # fmt: skip


@pytest.mark.parametrize("shape", CHUNKED_SHAPES)
def test_walks_every_time_chunk_of_a_group(shape):
    """Behind an image whose words are no multiple of the chunks."""
    positions, fields = CHUNKED_SHAPES[shape]
    config = dataclasses.replace(config_of(positions), time_chunks=4)
    image = layer(config, height=3, width=7, tile_groups=5, image=1, passes=2)
    run_layers(config, [image | {"time_chunks": 3}, layer(config, **fields), layer(config, **fields)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rates", [Rates(), Rates(table=0.3, free=0.05)], ids=["ready", "stalls"])
def test_walks_the_loop_nest(shape, rates):
    positions, sizes = SHAPES[shape]
    config = config_of(positions)
    fields = layer(config, **sizes)
    (seen,) = run_layers(config, [fields], rates)
    assert seen.counts["issuing"] == len(steps_of(list(loop_nest(config, fields, Source(config)))))
    assert seen.cycles == Walker.layer_gap + sum(seen.counts.values())


def test_slices_follow_without_a_gap():
    config = config_of(2)
    fields = layer(config, **SHAPES["odd_width"][1])
    groups = len(steps_of(list(loop_nest(config, fields, Source(config)))))
    (seen,) = run_layers(config, [fields])
    assert seen.issued == list(range(FIRST_GROUP, FIRST_GROUP + groups))
    assert seen.first_step == FIRST_GROUP + Walker.latency
    assert seen.cycles == Walker.layer_gap + groups


def test_gap_between_layers():
    config = config_of(2)
    names = ("one_group_slices", "odd_width", "image")
    first, *others = run_layers(config, [layer(config, **SHAPES[name][1]) for name in names])
    for second in others:
        assert second.issued[0] - first.issued[-1] - 1 == Walker.layer_gap
        assert sum(first.counts.values()) == first.counts["issuing"]
        first = second


@pytest.mark.parametrize("start", [1.0, 0.2])
@pytest.mark.parametrize("positions", [1, 2, 4])
def test_layers_follow_each_other(positions, start):
    config = config_of(positions)
    layers = [
        layer(config, **sizes) | {"follows": number % 2, "source_residual": number // 2 % 2}
        for number, (lanes, sizes) in enumerate(SHAPES.values())
        if lanes == positions
    ]
    layers *= 2
    seen = run_layers(config, layers, Rates(table=0.8, free=0.02, written=0.05, start=start), seed=positions)
    assert len(seen) == len(layers)
    for one in seen:
        assert one.cycles == Walker.layer_gap + sum(one.counts.values())
    assert all(sum(one.counts[name] for one in seen) for name in seen[0].counts)


def test_source_changes_between_layers_without_a_pause():
    """Words of the old layer still come out of its memory while the new one begins."""
    config = config_of(1)
    short = {"height": 1, "width": 1, "tile_groups": 1, "slices": 1}
    run_layers(config, [layer(config, **short, source_residual=number % 2) for number in range(6)])


@pytest.mark.parametrize("kernel3", [0, 1])
def test_waits_for_slices_of_the_layer_before(kernel3):
    config = config_of(1)
    fields = layer(config, height=2, width=2, tile_groups=4, slices=3, kernel3=kernel3, follows=1)
    (seen,) = run_layers(config, [fields], Rates(written=0.01), seed=3)
    assert seen.counts["stall_data"] > 20
    assert seen.counts["stall_weights"] == seen.counts["stall_drain"] == 0
    assert seen.cycles == Walker.layer_gap + sum(seen.counts.values())


@pytest.mark.parametrize("wide", [0, 1])
def test_only_final_slices_wait_for_a_buffer(wide):
    config, limit = config_of(1), 200
    fields = layer(config, height=2, width=9, tile_groups=2, slices=3, wide=wide)
    slices = list(loop_nest(config, fields, Source(config)))
    refused = [number for number, one in enumerate(slices) if one.final][DRAIN_BUFFERS]
    groups = len(steps_of(slices[:refused]))
    (seen,) = run_layers(config, [fields], Rates(free=0.0), limit=limit)
    assert seen.counts["issuing"] == groups
    assert seen.counts["stall_drain"] == limit - FIRST_GROUP - groups
    assert seen.counts["stall_weights"] == seen.counts["stall_data"] == 0


def test_counts_cycles_without_a_table():
    config, limit = config_of(1), 100
    fields = layer(config, height=2, width=3, tile_groups=16, slices=2)
    (seen,) = run_layers(config, [fields], Rates(table=0.0), limit=limit)
    assert seen.counts == {
        "issuing": 0, "stall_weights": limit - FIRST_GROUP, "stall_drain": 0, "stall_data": 0,
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_random_layers(seed):
    rng, positions = random.Random(seed), 1 << seed
    config = config_of(positions)
    layers = []
    for _ in range(8):
        kernel3 = rng.getrandbits(1)
        height, width = rng.randint(1, 6), rng.randint(positions if kernel3 else 1, 7)
        starts = [row for row in range(height) if row * width % positions == 0]
        first = rng.choice(starts)
        layers.append(
            layer(
                config, height=height, width=width, rows=range(first, rng.randint(first + 1, height)),
                tile_groups=rng.randint(1, 6), base=rng.choice([0, 500, 4000]), kernel3=kernel3,
                slices=rng.randint(1, 3), passes=rng.randint(1, 3), output_tiles=rng.randint(1, 2),
                wide=rng.getrandbits(1), follows=rng.getrandbits(1), source_residual=rng.getrandbits(1),
                image=int(not kernel3 and rng.random() < 0.3),
            )
        )  # fmt: skip
    run_layers(config, layers, Rates(table=0.9, free=0.1, written=0.1, start=0.7), seed=seed)
