"""The transposer against numpy: every bit-plane word, at its address, in its bank, in its cycle."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.attention_planes import WRITE_LATENCY, WRITTEN_LATENCY, PlaneTransposer
from hw.config import TINY

SMALL = dataclasses.replace(
    TINY, name="small", timesteps=2, positions=1, tile_groups=16, attention_columns=2, attention_segment=8,
    attention_planes=6, head_channels=16,
)  # fmt: skip


def expected_word(counts: np.ndarray, w: int, segments: int, segment: int) -> np.ndarray:
    """Bits [T][segments][segment] of plane word `w` from counts [channels, T], last channel at the top."""
    timesteps = counts.shape[1]
    word = np.zeros((timesteps, segments, segment), bool)
    for s in range(segments):
        word[:, s, segment - len(counts) :] = (counts.T >> (w * segments + s)) & 1
    return word


@pytest.mark.parametrize(("channels", "plane_words", "gap"), [(16, 3, 0), (16, 1, 1), (8, 3, 2), (4, 2, 0), (12, 2, 0)])
def test_writes_planes_of_two_heads(channels, plane_words, gap):
    config, rng = SMALL, np.random.default_rng(channels)
    columns, timesteps, segment = config.attention_columns, config.timesteps, config.attention_segment
    segments = config.chunk_tokens // segment
    dut = PlaneTransposer(config)
    writes, written, expected, heads_end = [], [], [], []

    async def feed(ctx):
        ctx.set(dut.plane_words, plane_words)
        cycle = 0

        async def tick():
            nonlocal cycle
            if ctx.get(dut.write):
                writes.append((cycle, ctx.get(dut.bank), ctx.get(dut.address), ctx.get(dut.word)))
            if ctx.get(dut.written):
                written.append(cycle)
            await ctx.tick()
            cycle += 1

        for _ in range(2):
            for column in range(channels):
                entries = rng.integers(0, 1 << config.attention_planes, (channels, timesteps))
                for start in range(0, channels, segment):
                    piece = entries[start : start + segment]
                    for step in range(0, len(piece), columns):
                        last = step + columns == len(piece)
                        for _ in range(gap if not last else max(gap, plane_words - len(piece) // columns)):
                            await tick()
                        ctx.set(dut.counts, piece[step : step + columns].ravel().tolist())
                        ctx.set(dut.valid, 1)
                        ctx.set(dut.segment_end, last)
                        ctx.set(dut.column_end, last and start + segment >= channels)
                        ctx.set(dut.head_end, last and start + segment >= channels and column == channels - 1)
                        await tick()
                        ctx.set(dut.valid, 0)
                    # Counts were taken in the cycle before this one.
                    for w in range(plane_words):
                        address = (column // columns * -(-channels // segment) + start // segment) * plane_words + w
                        word = expected_word(piece, w, segments, segment)
                        expected.append((cycle - 1 + WRITE_LATENCY + w, column % columns, address, word, len(piece)))
            heads_end.append(expected[-1][0] + WRITTEN_LATENCY)
            for _ in range(plane_words + WRITTEN_LATENCY + 1):
                await tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(feed)
    simulator.run()
    assert written == heads_end
    assert [write[:3] for write in writes] == [one[:3] for one in expected]
    for (*_, word), (*_, wanted, used) in zip(writes, expected, strict=True):
        bits = np.array([int(bit) for bit in f"{word:0{wanted.size}b}"[::-1]], bool).reshape(wanted.shape)
        np.testing.assert_array_equal(bits[..., segment - used :], wanted[..., segment - used :])
