"""Strips of an image: bottom up, with a halo before a pool, so that the last write of every row is the complete one."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from hw.config import LARGE, TINY
from sw.errors import UserError
from sw.network import Layer, NetworkConfig
from sw.strips import cut_strips, strip_words


def layer_of(size: int, channels: int, *, pools: int) -> Layer:
    network = NetworkConfig(
        image_size=size, image_channels=channels, classes=2, embed_dim=16, depth=1, heads=2, pools=pools
    )
    return network.layers()[0]


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
    for words in (*range(0, whole, whole // 40), whole):
        try:
            strips = cut_strips(TINY, layer, words)
        except UserError:
            continue
        seen.add(len(strips))
        sizes = [strip_words(TINY, layer, len(rows)) for rows in strips]
        assert (whole if len(strips) == 1 else 2 * max(sizes)) <= words
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
def test_smallest_strips_must_fit(pools, need):
    layer = layer_of(16, 1, pools=pools)
    assert len(cut_strips(TINY, layer, need)) == 8
    with pytest.raises(UserError) as refused:
        cut_strips(TINY, layer, need - 1)
    assert str(refused.value) == (
        f"conv0 reads an image of 768 words, {need - 1} of spike memory are left for it, and strips of it need two "
        "rows, and rows of a multiple of 8 pixels: use a larger configuration or smaller images"
    )


def test_rows_must_be_whole_words():
    layer = layer_of(12, 1, pools=2)
    assert cut_strips(TINY, layer, strip_words(TINY, layer, 12)) == (range(12),)
    with pytest.raises(UserError, match="rows of a multiple of 8 pixels"):
        cut_strips(TINY, layer, strip_words(TINY, layer, 12) - 1)
