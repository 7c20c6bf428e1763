"""Boards, their clocks and their pins."""

from __future__ import annotations

import dataclasses

import pytest

from hw.board.boards import BOARDS, ULX3S_85F
from hw.board.pll import SLOWEST_INPUT_HZ, VCO_HZ, PllDividers
from hw.board.system import BoardSystem
from hw.named_configs import CONFIGS, MINI


@pytest.mark.parametrize("input_hz", [25_000_000, 48_000_000, 100_000_000])
@pytest.mark.parametrize("output_hz", [25_000_000, 50_000_000, 60_000_000, 75_000_000, 100_000_000])
def test_a_pll_makes_the_clock_that_is_asked_for(input_hz, output_hz):
    try:
        found = PllDividers.find(input_hz, output_hz)
    except ValueError:
        assert output_hz * (input_hz // SLOWEST_INPUT_HZ) % input_hz  # not a multiple of what may be compared
        return
    assert input_hz * found.feedback == output_hz * found.input
    assert output_hz * found.output in VCO_HZ and input_hz // found.input >= SLOWEST_INPUT_HZ


def test_clocks_that_no_pll_makes_are_refused():
    with pytest.raises(ValueError, match="no PLL makes 50000001 Hz of 25000000 Hz: choose"):
        PllDividers.find(25_000_000, 50_000_001)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baud": 7_000_000}, r"baud must be within 1 % of a divisor of clock_hz = 60000000, not 7000000"),
        ({"baud": 20_000_000}, "baud must"),
        ({"baud": 9_600}, "baud must"),
        ({"name": "a-name-of-17-char"}, "name must have at most 16 characters, not 'a-name-of-17-char'"),
        ({"name": "a board"}, "name must be 1 to 48 letters"),
    ],
)
def test_boards_that_cannot_be_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(ULX3S_85F, **change)


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_a_board_names_a_configuration_and_holds_whole_beats(board):
    assert board.memory_bytes % (CONFIGS[board.config].memory_bits // 8) == 0 and len(board.lights) == 3
    assert set(BoardSystem(board, MINI).signature.members) == {"rx", "tx", "divisor", "alive", "busy", "error"}
