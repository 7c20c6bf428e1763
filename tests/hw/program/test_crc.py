"""The CRC of the program's beats against ``zlib.crc32``."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest

from hw.program.crc import ONES, ProgramCrc, over_x, times_x
from hw.program.header import CRC_BYTES
from tests.hw.benches import simulate

WIDTHS = [32, 64, 128, 256]


def ends_with_its_crc(content: bytes) -> bool:
    return zlib.crc32(content[:-CRC_BYTES]).to_bytes(CRC_BYTES, "little") == content[-CRC_BYTES:]


def random_program(rng: random.Random, width: int) -> bytes:
    """Whole beats, most of them with a right CRC, the others with one to three bits that are not."""
    content = rng.randbytes(rng.choice([1, 2, 3, rng.randint(4, 40)]) * width // 8 - CRC_BYTES)
    content += zlib.crc32(content).to_bytes(CRC_BYTES, "little")
    bits = int.from_bytes(content, "little")
    for _ in range(rng.choice([0, 0, 1, 2, 3])):
        bits ^= 1 << rng.randrange(8 * len(content))
    return bits.to_bytes(len(content), "little")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_program_is_intact_if_it_ends_with_the_crc_of_zlib(width):
    rng, dut = random.Random(width), ProgramCrc(width)
    seen = []

    async def process(ctx: Any) -> None:
        for _ in range(60):
            content, rate = random_program(rng, width), rng.choice([1.0, 0.4])
            # What was on its way, and the beat beside `clear`, are of no program any more.
            ctx.set(dut.valid, rng.getrandbits(1))
            ctx.set(dut.beat, rng.getrandbits(width))
            ctx.set(dut.clear, 1)
            await ctx.tick()
            ctx.set(dut.clear, 0)
            for at in range(0, len(content), width // 8):
                ctx.set(dut.valid, 0)
                while rng.random() >= rate:
                    ctx.set(dut.beat, rng.getrandbits(width))
                    await ctx.tick()
                ctx.set(dut.valid, 1)
                ctx.set(dut.beat, int.from_bytes(content[at : at + width // 8], "little"))
                await ctx.tick()
            ctx.set(dut.valid, 0)
            for _ in range(dut.latency - 1):
                assert ctx.get(dut.pending)
                await ctx.tick()
            assert not ctx.get(dut.pending)
            seen.append((bool(ctx.get(dut.intact)), ends_with_its_crc(content)))

    simulate(dut, process)
    assert all(found == expected for found, expected in seen)
    assert {expected for _, expected in seen} == {False, True}


def test_every_bit_of_a_program_changes_the_remainder():
    """Nothing else than linearity: the remainder of a single bit is never zero, wherever it lies."""
    remainder = 1 << 31
    for _ in range(100_000):
        remainder = times_x(remainder, 1)
        assert remainder != 0
        assert over_x(times_x(remainder, 33), 33) == remainder
    assert over_x(ONES, 32) != 0


def test_width_wrong():
    with pytest.raises(ValueError, match="beat_bits must be a multiple of 32, not 48"):
        ProgramCrc(48)
