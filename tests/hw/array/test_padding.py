"""The padding mask against rows and columns by division, through any walk of a layer's tiles."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from hw.array.padding import PaddingMask
from hw.descriptor import DESCRIPTOR
from hw.named_configs import TINY
from tests.hw.benches import simulate

LARGEST = (1 << DESCRIPTOR["width"].shape.width) - 1

Layer = tuple[int, int, int, int]
"""Height, width, first row, rows."""


def inside(positions: int, layer: Layer, group: int, tap_x: int, tap_y: int) -> int:
    """Lanes of position group `group` that lie in the feature map and see a pixel of it through the tap."""
    height, width, first_row, _ = layer
    mask = 0
    for lane in range(positions):
        y, x = divmod(first_row * width + group * positions + lane, width)
        row, column = y + tap_y - 1, x + tap_x - 1
        mask |= (y < height and 0 <= row < height and 0 <= column < width) << lane
    return mask


def run(positions: int, layers: list[Layer], *, tile_groups: int, walks: int, pause: float, seed: int) -> None:
    """Walk each tile of each layer `walks` times, with a random tap each time, and check every group."""
    rng = random.Random(seed)
    dut = PaddingMask(dataclasses.replace(TINY, inputs=8, positions=positions, neurons=1))

    async def idle(ctx: Any) -> None:
        while rng.random() < pause:
            await ctx.tick()

    async def bench(ctx: Any) -> None:
        for layer in layers:
            for name, value in zip(("height", "width", "first_row"), layer, strict=False):
                ctx.set(getattr(dut, name), value)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            groups = -(-layer[1] * layer[3] // positions)
            tiles = [range(first, min(first + tile_groups, groups)) for first in range(0, groups, tile_groups)]
            ctx.set(dut.rewind, 1)
            await ctx.tick()
            ctx.set(dut.rewind, 0)
            for tile in tiles * 2:  # two output tiles: the second one begins in the first row again
                for walk in range(walks):
                    tap_x, tap_y = rng.randint(0, 2), rng.randint(0, 2)
                    ctx.set(dut.left, tap_x == 0)
                    ctx.set(dut.right, tap_x == 2)
                    ctx.set(dut.above, tap_y == 0)
                    ctx.set(dut.below, tap_y == 2)
                    for group in tile:
                        await idle(ctx)
                        last = group == tile[-1]
                        # A walk may begin in the cycle that ends the one before, or later.
                        at_once = last and rng.random() >= pause
                        ctx.set(dut.advance, 1)
                        ctx.set(dut.rewind, at_once)
                        ctx.set(dut.tile_end, last and walk == walks - 1)
                        ctx.set(dut.last_tile, tile is tiles[-1])
                        await ctx.tick()
                        seen = ctx.get(dut.inside)
                        assert seen == inside(positions, layer, group, tap_x, tap_y), (layer, group, tap_x, tap_y)
                        for name in ("advance", "rewind", "tile_end"):
                            ctx.set(getattr(dut, name), 0)
                        ctx.set(dut.last_tile, rng.getrandbits(1))
                    if not at_once:
                        await idle(ctx)
                        ctx.set(dut.rewind, 1)
                        await ctx.tick()
                        ctx.set(dut.rewind, 0)

    simulate(dut, bench)


@pytest.mark.parametrize("positions", [1, 2, 4, 8])
@pytest.mark.parametrize("pause", [0.0, 0.4])
def test_random_layers(positions, pause):
    rng = random.Random(positions)
    layers = []
    for _ in range(12):
        height, width = rng.randint(1, 7), rng.randint(positions, positions + 6)
        first_row = rng.randrange(height)
        layers.append((height, width, first_row, rng.randint(1, height - first_row)))
    run(positions, layers, tile_groups=5, walks=4, pause=pause, seed=positions)


@pytest.mark.parametrize("positions", [1, 2, 4])
def test_every_tap_of_every_pixel(positions):
    for width in (positions, positions + 1, 2 * positions):
        run(positions, [(3, width, 0, 3)], tile_groups=16, walks=60, pause=0.0, seed=width)


@pytest.mark.parametrize("positions", [1, 8])
def test_largest_feature_map(positions):
    """Its last rows, down to the corner where row and column are at the end of their range."""
    layers = [(LARGEST, LARGEST, LARGEST - 2, 2), (LARGEST, positions, LARGEST - 1, 1), (1, LARGEST, 0, 1)]
    run(positions, layers, tile_groups=32, walks=2, pause=0.0, seed=1)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_rows_narrower_than_the_lanes(width):
    """Only without taps: no position is lost."""
    dut = PaddingMask(dataclasses.replace(TINY, positions=4, neurons=1))
    height = 5

    async def bench(ctx: Any) -> None:
        ctx.set(dut.height, height)
        ctx.set(dut.width, width)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.rewind, 1)
        await ctx.tick()
        ctx.set(dut.rewind, 0)
        ctx.set(dut.advance, 1)
        for first in range(0, height * width, 4):
            await ctx.tick()
            seen = ctx.get(dut.inside)
            real = (1 << min(4, height * width - first)) - 1
            assert seen & real == real

    simulate(dut, bench)
