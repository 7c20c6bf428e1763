"""What the tools are given for a board, and what is read of their results; whole bitstreams take too long here."""

from __future__ import annotations

import contextlib
import dataclasses
import re

import pytest

from hw.board.boards import BOARDS, ULX3S_85F
from hw.named_configs import MINI
from sw.errors import UserError
from sw.synthesis.bitstream import board_files, build_bitstream, read_placement
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
    with pytest.raises(
        UserError,
        match=r"amaranth-boards is not installed.*pip install --constraint constraints.txt --editable '.\[boards\]'",
    ):
        board_files(ULX3S_85F, "")


COUNTER = """
module board_system(input clk, input rst, input rx, input [11:0] divisor, output reg tx,
    output alive, output busy, output reg error);
  reg [63:0] count = 0;
  assign alive = count[63];
  assign busy = rx;
  always @(posedge clk) begin
    count <= rst ? 0 : count + divisor;
    {tx, error} <= {^count, count[5]};
  end
endmodule
"""


@pytest.mark.long
@pytest.mark.parametrize(("clock_hz", "met"), [(50_000_000, True), (400_000_000, False)])
def test_a_bitstream_comes_of_a_clock_that_is_met_and_none_of_one_that_is_not(tmp_path, monkeypatch, clock_hz, met):
    monkeypatch.setattr("hw.board.system.system_verilog", lambda board, config: COUNTER)  # the tools are the real ones
    (tmp_path / "ulx3s_85f-mini.bit").write_bytes(b"of an earlier run")
    board = dataclasses.replace(ULX3S_85F, clock_hz=clock_hz)
    entry = build_bitstream(board, MINI, 2, tmp_path, lambda _: contextlib.nullcontext())
    assert entry["met"] is met and (entry["fmax_mhz"] >= clock_hz / 1e6) is met
    assert entry["utilisation"]["EHXPLLL"] == [1, 4] and entry["utilisation"]["TRELLIS_IO"][0] == 6
    assert list(entry["seeds"]) == (["1"] if met else ["1", "2"])
    bits = sorted(path.name for path in tmp_path.glob("*.bit"))
    assert bits == ([entry["bitstream"]] if met else []) and (met or entry["bitstream"] is None)
    assert not met or (tmp_path / bits[0]).read_bytes()[:2] == b"\xff\x00"  # as a bitstream of Lattice's begins
