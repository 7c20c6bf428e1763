"""The walker against a plain loop nest, cycle by cycle: every word of spikes, every flag, every stall."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from hw.array.step import DRAIN_BUFFERS
from hw.array.walker import Walker
from hw.config import HardwareConfig
from hw.named_configs import TINY
from tests.hw.array.walker_bench import Rates, run_layers
from tests.hw.array.walks import Source, layer, loop_nest, steps_of

FIRST_GROUP = Walker.start_latency + 1
"""Cycles from `start` to the first group, if nothing is waited for."""


def config_of(positions: int) -> HardwareConfig:
    return dataclasses.replace(TINY, positions=positions, neurons=1, timesteps=2)


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
    run_layers(config, [image.changed(time_chunks=3), layer(config, **fields), layer(config, **fields)])


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
        layer(config, **sizes).changed(follows=number % 2, source_residual=number // 2 % 2)
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
    assert seen.counts["wait_data"] > 20
    assert seen.counts["wait_weights"] == seen.counts["wait_drain"] == 0
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
    assert seen.counts["wait_drain"] == limit - FIRST_GROUP - groups
    assert seen.counts["wait_weights"] == seen.counts["wait_data"] == 0


def test_counts_cycles_without_a_table():
    config, limit = config_of(1), 100
    fields = layer(config, height=2, width=3, tile_groups=16, slices=2)
    (seen,) = run_layers(config, [fields], Rates(table=0.0), limit=limit)
    assert seen.counts == {
        "issuing": 0, "wait_weights": limit - FIRST_GROUP, "wait_drain": 0, "wait_data": 0,
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
