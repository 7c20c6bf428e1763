"""Strips of an image: bottom up, with a halo before a pool, so that the last write of every row is the complete one."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.config import HardwareConfig
from hw.named_configs import LARGE, TINY
from sw.compiler.strips import StemPlan, image_strips, stem_plans, strip_words, written_rows
from sw.layer import Layer
from sw.network import NetworkConfig


def layer_of(size: int, channels: int, *, pools: int) -> Layer:
    network = NetworkConfig(
        image_size=size, image_channels=channels, classes=2, embed_dim=16, depth=1, heads=2, pools=pools
    )
    return network.layers()[0]


def cut_strips(config: HardwareConfig, layer: Layer, words: int) -> tuple[range, ...]:
    (strips,) = image_strips(config, layer, [range(layer.height)], words)
    return strips


def pooled(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Largest row number in every window of three rows that begins above an even row: a stand-in for the OR."""
    above = np.concatenate([[-1], rows])[0::2][: len(rows) // 2]
    return np.stack([above, rows[0::2], rows[1::2]])


@pytest.mark.parametrize("pools", [2, 4])
@pytest.mark.parametrize("size", [16, 32, 48, 112])
def test_whatever_the_memory_the_last_write_is_complete(size, pools):
    layer = layer_of(size, 1, pools=pools)
    whole = strip_words(TINY, layer, size)
    seen = set()
    smallest = 2 * strip_words(TINY, layer, 4 if layer.pool else 2)
    for words in (*range(0, whole, whole // 40), whole):
        strips = cut_strips(TINY, layer, words)
        seen.add(len(strips))
        sizes = [strip_words(TINY, layer, len(rows)) for rows in strips]
        assert (whole if len(strips) == 1 else 2 * max(sizes)) <= max(words, smallest)
        assert all(rows.start % 2 == 0 and len(rows) % 2 == 0 for rows in strips)
        assert all(later.stop < rows.stop and later.start <= rows.start for rows, later in itertools.pairwise(strips))
        memory: dict[int, tuple[int, ...]] = {}
        for rows in strips:
            if not layer.pool:
                assert not memory.keys() & set(rows)
                memory |= {row: (row,) for row in rows}
                continue
            windows = pooled(np.array(rows))
            memory |= {rows.start // 2 + i: tuple(window) for i, window in enumerate(windows.T.tolist())}
        if layer.pool:
            assert memory == {row: (2 * row - 1, 2 * row, 2 * row + 1) for row in range(size // 2)}
        else:
            assert memory == {row: (row,) for row in range(size)}
    assert len(seen) >= 3
    assert 1 in seen


def test_the_largest_image_needs_strips_of_equal_size():
    layer = layer_of(224, 3, pools=4)
    strips = cut_strips(LARGE, layer, 8000)
    assert strips[0] == range(strips[1].stop - 2, 224)
    assert strips[-1].start == 0
    lengths = [len(rows) - 2 * (rows.start > 0) for rows in strips]
    assert sum(lengths) == 224
    assert max(lengths) - lengths[0] <= 2 * len(strips)
    assert set(lengths[1:]) == {max(lengths)}


def test_words_of_a_strip():
    layer = layer_of(16, 1, pools=2)
    # 8 planes, 9 inputs in three slices of 4, 4 rows of 16 positions in words of 2 x 4.
    assert strip_words(TINY, layer, 4) == 8 * 3 * 8
    # A part of a word is a whole one.
    assert strip_words(dataclasses.replace(TINY, positions=8, neurons=1, inputs=8), layer_of(12, 1, pools=2), 2) == 16


@pytest.mark.parametrize(("pools", "need"), [(2, 2 * 2 * 48), (4, 2 * 4 * 48)])
def test_strips_are_as_small_as_two_rows(pools, need):
    layer = layer_of(16, 1, pools=pools)
    assert len(cut_strips(TINY, layer, need)) == len(cut_strips(TINY, layer, 0)) == 8


def test_rows_that_are_no_whole_words_are_not_cut():
    layer = layer_of(12, 1, pools=2)
    assert cut_strips(TINY, layer, 0) == (range(12),)
    assert len(list(plans(12, 2, words=10))) == 1


def plans(size: int, pools: int, words: int) -> Iterator[StemPlan]:
    network = NetworkConfig(image_size=size, image_channels=1, classes=2, embed_dim=16, depth=1, heads=2, pools=pools)
    config = dataclasses.replace(TINY, spike_words=words)
    return stem_plans(config, network.layers()[:4], 1, lambda layer, rows: rows * layer.output_grid[1])


@pytest.mark.parametrize("words", [200, 900, 3000])
@pytest.mark.parametrize("pools", [2, 3, 4])
@pytest.mark.parametrize("size", [16, 32, 64])
def test_every_row_is_complete_when_it_is_read(size, pools, words):
    """Whatever convolutions are computed together, in whatever strips: rows are there, and whole."""
    together = set()
    for plan in plans(size, pools, words):
        together.add(len(plan.together))
        outputs: dict[str, dict[int, bool]] = {}  # rows in the newest window, and whether they are complete
        windows: dict[str, range] = {}
        for strip in plan.strips:
            layer, rows = strip.layer, strip.rows
            if windows.get(layer.name) != strip.window:
                windows[layer.name], outputs[layer.name] = strip.window, {}
            assert len(strip.window) <= plan.window_rows.get(layer.name, layer.output_grid[0])
            needed = range(max(0, rows.start - 1), min(layer.height, rows.stop + 1))
            if not layer.reads_input:
                assert strip.source == windows[layer.source]
                assert all(outputs[layer.source].get(row) for row in needed)
            assert set(written_rows(layer, rows)) <= set(strip.window)
            for row in written_rows(layer, rows):
                outputs[layer.name][row] = not layer.pool or row == 0 or 2 * row - 1 in rows
        last = plan.together[-1]
        assert outputs[last.name] == dict.fromkeys(range(last.output_grid[0]), True)
        assert plan.image_strips == tuple(strip.rows for strip in plan.strips if strip.layer.reads_input)
        assert plan.strip_words == max(strip_words(TINY, plan.together[0], len(rows)) for rows in plan.image_strips)
    assert together == {1, 2, 3, 4} - ({4} if size >> pools < TINY.positions else set())
