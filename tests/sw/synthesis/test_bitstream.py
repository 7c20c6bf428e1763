"""What the tools are given for a board, and what is read of their results; whole bitstreams take too long here."""

from __future__ import annotations

import re

import pytest

from hw.board.boards import BOARDS, ULX3S_85F
from sw.errors import UserError
from sw.synthesis.bitstream import board_files, read_placement
from sw.synthesis.yosys import ASYNCHRONOUS


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_the_tools_get_the_system_its_pins_and_its_clock(board):
    files = board_files(board, "module board_system; endmodule")
    assert files["board_system.v"] == "module board_system; endmodule"
    assert "read_verilog  board_system.v" in files["top.ys"] and ASYNCHRONOUS in files["top.ys"]
    placed = re.findall(r'LOCATE COMP "(\S+)" SITE "\w+";', files["top.lpf"])
    assert len(placed) >= 6 and {"uart_0__rx__io", "uart_0__tx__io"} <= set(placed)
    assert len(re.findall(r'FREQUENCY PORT "\S+" [\d.]+ HZ;', files["top.lpf"])) == 1
    assert r"cell \EHXPLLL" in files["top.il"] and r"cell \board_system" in files["top.il"]


def report(**clocks: tuple[float, float]) -> dict:
    return {
        "fmax": {name: {"constraint": asked, "achieved": got} for name, (asked, got) in clocks.items()},
        "utilization": {"DP16KD": {"used": 3, "available": 208}, "OTHER": {"used": 1, "available": 2}},
    }


def test_a_clock_is_met_or_not():
    assert read_placement(report(clk=(50.0, 51.234)), 50.0) == {
        "met": True, "fmax_mhz": 51.23, "utilisation": {"DP16KD": [3, 208]},
    }  # fmt: skip
    assert not read_placement(report(clk=(50.0, 49.9)), 50.0)["met"]
    assert not read_placement(report(clk=(50.0, 51.0), other=(25.0, 24.0)), 50.0)["met"]


def test_a_clock_that_nextpnr_was_not_told_of_is_refused():
    with pytest.raises(UserError, match=r"no clock of 50.0 MHz \(but 12.0\): look at the PLL"):
        read_placement(report(clk=(12.0, 90.0)), 50.0)


def test_without_board_files_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "amaranth_boards.ulx3s", None)
    with pytest.raises(UserError, match=r"amaranth-boards is not installed.*pip install 'spikeloom\[boards\]'"):
        board_files(ULX3S_85F, "")
