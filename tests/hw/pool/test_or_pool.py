"""The OR-pool against max-pooling in numpy: every window once, in order, under any stalls."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.pool.or_pool import OrPool

MAX_WIDTH, MAX_WORDS = 14, 5


def pooled(image: np.ndarray) -> np.ndarray:
    """[H, W, words] to [H / 2, W / 2, words]."""
    height, width, _ = image.shape
    padded = np.pad(image, ((1, 0), (1, 0), (0, 0)))
    result = np.zeros_like(image[::2, ::2])
    for dy in range(3):
        for dx in range(3):
            result |= padded[dy : dy + height : 2, dx : dx + width : 2][: height // 2, : width // 2]
    return result


def raster(image: np.ndarray, lanes: int) -> Iterator[tuple[int, int, int]]:
    """Row, column and word in the order of the input stream; rows behind the image fill up the last group."""
    height, width, words = image.shape
    for group in range(-(-height * width // lanes)):
        for word in range(words):
            for lane in range(lanes):
                yield (*divmod(group * lanes + lane, width), word)


def expected_stream(image: np.ndarray, lanes: int) -> list[tuple[int, int, int]]:
    """(position, word, spikes) in the order of the words that complete them."""
    result = pooled(image)
    return [
        (y // 2 * result.shape[1] + x // 2, word, int(result[y // 2, x // 2, word]))
        for y, x, word in raster(image, lanes)
        if y % 2 and x % 2 and y < len(image)
    ]


class PoolBench:
    """Drives images of one shape through an `OrPool` and records transfers with their cycle."""

    def __init__(self, dut: OrPool, *, seed: int, input_rate: float = 1.0, output_rate: float = 1.0):
        self.dut, self.rng = dut, random.Random(seed)
        self.input_rate, self.output_rate = input_rate, output_rate
        self.taken: list[tuple[tuple[int, int, int], int]] = []
        self.outputs: list[tuple[int, int, int]] = []
        self.output_cycles: list[int] = []
        self.cycle = 0

    async def clear(self, ctx, shape: tuple[int, int, int]):
        for member, value in zip(("height", "width", "words"), shape, strict=True):
            ctx.set(getattr(self.dut, member), value)
        ctx.set(self.dut.clear, 1)
        await ctx.tick()
        ctx.set(self.dut.clear, 0)

    async def feed(self, ctx, image: np.ndarray, lanes: int, *, limit: int | None = None, drain: bool = True):
        """Send the image's words (the first `limit`), then wait for the pipeline to empty."""
        dut, places = self.dut, list(raster(image, lanes))[:limit]
        sent, idle = 0, 0
        while sent < len(places) or (drain and idle <= dut.latency):
            offer = sent < len(places) and self.rng.random() < self.input_rate
            ctx.set(dut.input.valid, offer)
            ctx.set(
                dut.input.payload,
                int(image[places[sent]]) if offer and places[sent][0] < len(image) else self.rng.getrandbits(8),
            )
            ctx.set(dut.output.ready, self.rng.random() < self.output_rate)
            if offer and ctx.get(dut.input.ready):
                self.taken.append((places[sent], self.cycle))
                sent += 1
            if ctx.get(dut.output.valid) and ctx.get(dut.output.ready):
                payload = ctx.get(dut.output.payload)
                self.outputs.append((payload.position, payload.word, payload.spikes))
                self.output_cycles.append(self.cycle)
            idle = idle + 1 if sent == len(places) and not ctx.get(dut.output.valid) else 0
            await ctx.tick()
            self.cycle += 1
        ctx.set(dut.input.valid, 0)

    def run(self, process):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(process)
        simulator.run()


def random_image(shape: tuple[int, int, int], seed: int, density: float = 0.1) -> np.ndarray:
    bits = np.random.default_rng(seed).random((*shape, 8)) < density
    return (bits << np.arange(8)).sum(-1)


def make_pool(lanes: int) -> OrPool:
    return OrPool(8, max_width=MAX_WIDTH, max_words=MAX_WORDS, lanes=lanes)


SHAPES = [
    (1, (2, 2, 1)), (1, (4, 6, 1)), (1, (6, 2, 3)), (2, (2, 2, 1)), (2, (4, 2, 2)), (2, (8, 8, 5)), (4, (6, 8, 3)),
    (8, (4, 8, 2)), (4, (4, 6, 3)), (4, (2, 10, 1)), (4, (6, 10, 5)), (8, (6, 10, 2)), (8, (2, 14, 3)), (8, (4, 10, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("lanes", "shape"), SHAPES)
@pytest.mark.parametrize(("input_rate", "output_rate"), [(1.0, 1.0), (0.6, 1.0), (1.0, 0.4), (0.7, 0.5)])
def test_pools_images_back_to_back(lanes, shape, input_rate, output_rate):
    images = [random_image(shape, seed) for seed in range(2)]
    bench = PoolBench(make_pool(lanes), seed=1, input_rate=input_rate, output_rate=output_rate)

    async def process(ctx):
        await bench.clear(ctx, shape)
        await bench.feed(ctx, images[0], lanes, drain=False)
        await bench.feed(ctx, images[1], lanes)

    bench.run(process)
    assert bench.outputs == expected_stream(images[0], lanes) + expected_stream(images[1], lanes)


@pytest.mark.parametrize(("lanes", "shape"), SHAPES)
def test_one_word_per_cycle_with_stated_latency(lanes, shape):
    dut = make_pool(lanes)
    bench = PoolBench(dut, seed=1)

    async def process(ctx):
        await bench.clear(ctx, shape)
        await bench.feed(ctx, random_image(shape, 3), lanes)

    bench.run(process)
    cycles = [cycle for _, cycle in bench.taken]
    assert cycles == list(range(cycles[0], cycles[0] + len(cycles)))
    completing = [cycle for (y, x, _), cycle in bench.taken if y % 2 and x % 2 and y < shape[0]]
    assert bench.output_cycles == [cycle + dut.latency for cycle in completing]


def test_clear_forgets_an_unfinished_image_and_takes_a_new_shape():
    full = np.full((8, 8, 3), 255)
    image = random_image((4, 6, 2), 7)
    for sent in (1, 30, 64, 65, 150):
        bench = PoolBench(make_pool(2), seed=sent)

        async def process(ctx, bench=bench, sent=sent):
            await bench.clear(ctx, full.shape)
            await bench.feed(ctx, full, 2, limit=sent, drain=False)
            await bench.clear(ctx, image.shape)
            bench.outputs.clear()
            await bench.feed(ctx, image, 2)

        bench.run(process)
        assert bench.outputs == expected_stream(image, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"word_bits": 0}, "word_bits must be at least 1, not 0"),
        ({"max_words": 0}, "max_words must be at least 1, not 0"),
        ({"max_width": 7}, "max_width must be even and at least 2, not 7"),
        ({"max_height": 3}, "max_height must be even and at least 2, not 3"),
        ({"lanes": 3}, "lanes must be a power of two, not 3"),
    ],
)
def test_wrong_parameters(change, message):
    with pytest.raises(ValueError, match=message):
        OrPool(**({"word_bits": 8, "max_width": 8, "max_words": 2, "lanes": 2} | change))
