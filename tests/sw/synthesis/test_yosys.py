"""Yosys and nextpnr themselves, on designs small enough for a test."""

from __future__ import annotations

import subprocess
from collections import Counter
from contextlib import nullcontext

import pytest

from hw.named_configs import MINI
from hw.verilog.description import TOP
from hw.verilog.emit import accelerator_verilog
from sw.errors import UserError
from sw.synthesis.cells import count_resources
from sw.synthesis.modules import TOP_MODULE, VerilogModules, cells_by_module
from sw.synthesis.place import measure_fmax, place
from sw.synthesis.report import synthesis_entry
from sw.synthesis.yosys import SOURCE, run_tool, synthesise

PRIMITIVES = r"""
module small(clk, a, b, x, y);
  input clk; input [4:0] a; input [1:0] b; output [1:0] x; output y;
  \small.store$1  store (.clk(clk), .a(a), .b(b), .x(x));
  \small.both  both (.a(a), .y(y));
endmodule

module \small.store$1 (clk, a, b, x);
  input clk; input [4:0] a; input [1:0] b; output [1:0] x; reg [1:0] x; wire [1:0] read;
  RAM32M16 ram (.WCLK(clk), .WE(1'b1), .ADDRA(a), .ADDRH(a), .DIA(b), .DOA(read));
  always @(posedge clk) x <= read;
endmodule

module \small.both (a, y);
  input [4:0] a; output y; wire low, high;
  LUT6_2 pair (.I0(a[0]), .I1(a[1]), .I2(a[2]), .I3(a[3]), .I4(a[4]), .I5(1'b1), .O6(high), .O5(low));
  assign y = low ^ high;
endmodule
"""


COUNTER = """
module small(clk, a, x); input clk; input [3:0] a; output reg [3:0] x = 0; always @(posedge clk) x <= x + a; endmodule
"""


def test_a_design_that_yosys_refuses_is_one_line_with_its_log(tmp_path):
    path = tmp_path / "latch.v"
    path.write_text("module small(a, b, y); input a, b; output reg y; always @* if (a) y = b; endmodule\n")
    with pytest.raises(UserError) as error:
        synthesise(path, "xcup", "small")
    assert str(error.value).startswith(f"Yosys refuses {path} (ERROR: ") and "\n" not in str(error.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["latch-xcup.log", "latch.v"]


def test_a_tool_that_is_killed_is_told_by_its_code(tmp_path, monkeypatch):
    killed = subprocess.CompletedProcess([], -9, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: killed)
    with pytest.raises(UserError, match=r"no figures \(ended with code -9\); see "):
        run_tool("package", "function", [], tmp_path, tmp_path / "log", "no figures")


def test_a_small_design_is_mapped_placed_and_routed(tmp_path):
    path = tmp_path / "small.v"
    path.write_text(COUNTER)
    mapped = synthesise(path, "ecp5", "small")
    placed = place(mapped, 1, 100.0, tmp_path, "small")
    assert placed.utilisation["TRELLIS_FF"] == 4
    # The delays added up here and nextpnr's own analysis agree on the slowest path.
    assert placed.paths[0].delay == pytest.approx(1000 / placed.fmax_mhz, abs=0.01)


@pytest.mark.long
def test_instantiated_primitives_are_mapped_and_counted(tmp_path):
    path = tmp_path / "small.v"
    path.write_text(PRIMITIVES)
    mapped = synthesise(path, "xcup", "small")
    shares = cells_by_module(mapped.netlist, VerilogModules.read(PRIMITIVES, "small"), SOURCE)
    counts = {name: count_resources(cells, "xcup") for name, cells in shares.items()}
    assert counts["store"]["lutram"] == 8 and counts["store"]["ff"] == 2
    # The exclusive or behind it drives a port of the top.
    assert counts["both"]["lut"] == 1 and counts[TOP_MODULE]["lut"] == 1


@pytest.mark.long
def test_the_smallest_configuration_is_mapped_placed_and_routed(tmp_path):
    mapped = synthesis_entry(MINI, "ecp5", tmp_path)
    assert mapped["resources"]["ff"] > 1000 and mapped["resources"]["bram"] > 0
    own = VerilogModules.read(accelerator_verilog(MINI), TOP).names
    assert set(mapped["modules"]) <= set(own) and "core.weight_array" in mapped["modules"]
    for name, count in mapped["resources"].items():
        assert sum(part[name] for part in mapped["parts"].values()) == count
    assert mapped["config_fingerprint"] == f"{MINI.fingerprint:08x}"
    assert sum(map(Counter, mapped["part_cells"].values()), Counter()) == mapped["cells"]
    placed = measure_fmax(MINI, 1, 100.0, tmp_path, lambda _: nullcontext())
    assert 10 < placed["fmax_mhz"] < 500
    # The delays added up here and nextpnr's own analysis agree on the slowest path.
    assert placed["paths"][0]["delay_ns"] == pytest.approx(1000 / placed["fmax_mhz"], abs=0.01)
