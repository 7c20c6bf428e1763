"""What surrounds a program, and what is refused for it."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hw.host.registers import VERSION
from hw.named_configs import LARGE, TINY
from sw.compiler.program import check_header, check_program, enclose, sealed
from sw.errors import UserError

STREAM = np.arange(1, 65, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)


@pytest.mark.parametrize("config", [TINY, LARGE], ids=lambda config: config.name)
def test_a_program_passes_its_check_and_none_with_a_wrong_bit_does(config):
    content = enclose(STREAM, config).tobytes()
    check_program(content)
    rng = random.Random(1)
    for bit in [*range(64), *rng.sample(range(64, 8 * len(content)), 300), 8 * len(content) - 1]:
        wrong = (int.from_bytes(content, "little") ^ 1 << bit).to_bytes(len(content), "little")
        with pytest.raises(UserError):
            check_program(wrong)


def test_what_is_wrong_is_said_in_a_line():
    program = enclose(STREAM, TINY)
    content = program.tobytes()
    length = len(content)
    for wrong, message in (
        (bytes(length), "this is no program: it begins with 00 00 00, not 53 50 4b: write a compiled program there"),
        (
            content[:3] + b"\x04" + content[4:],
            f"the program is of version 4, this software of version {VERSION}: compile",
        ),
        (content[:-8], f"the program has {length} bytes by its header, not {length - 8}: give its whole length"),
        (content[:100] + b"\x00" + content[101:], "the program is damaged: its CRC-32 is 0x"),
    ):
        with pytest.raises(UserError, match=message):
            check_program(wrong)
    check_header(content[:8], length)
    with pytest.raises(UserError, match="this is no program"):
        check_header(b"", length)


def test_a_program_that_was_changed_can_be_sealed_again():
    program = enclose(STREAM, LARGE)
    program[9] ^= np.uint64(1)
    check_program(sealed(program).tobytes())
