"""No path from an input to an output of the accelerator without a register, and the eye that sees to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hw.named_configs import MINI
from hw.parts.technology import Technology
from hw.verilog.description import TOP
from hw.verilog.flat_ports import CLOCK
from hw.verilog.lint import PRIMITIVES
from sw.synthesis.port_paths import RTL_REGISTERS, mapped_registers, port_paths
from sw.synthesis.yosys import SOURCE, run_yosys, synthesise
from tests.hw.verilog.emitted import ALL_PARTS, verilog_of


def unmapped(folder: Path, verilog: str) -> dict[str, Any]:
    """The netlist as it is written, flattened; primitives are closed boxes."""
    path = folder / "unmapped.v"
    path.write_text(verilog)
    script = (
        f"read_verilog -lib {PRIMITIVES.name}; read_verilog {SOURCE}; hierarchy -check -top {TOP}; proc; flatten; "
        "opt_clean; write_json netlist.json"
    )
    return json.loads(run_yosys(script, path, path.stem, PRIMITIVES)["netlist.json"])["modules"][TOP]


@pytest.mark.parametrize(
    ("config", "technology"),
    [
        (MINI, Technology.PORTABLE),
        pytest.param(MINI, Technology.XILINX, marks=pytest.mark.long),
        *(pytest.param(ALL_PARTS, technology, marks=pytest.mark.long) for technology in Technology),
    ],
    ids=lambda value: value.name.lower(),
)
def test_the_accelerator_answers_from_registers(config, technology, tmp_path):
    netlist = unmapped(tmp_path, verilog_of(config, technology))
    assert port_paths(netlist, RTL_REGISTERS, CLOCK) == []
    # If registers ended no path, there would be one from all that is read.
    starts = {way[0].partition("[")[0] for way in port_paths(netlist, (), CLOCK)}
    assert {"m_axi_mem_rvalid", "m_axi_mem_bvalid", "s_axi_ctrl_araddr", "s_axi_ctrl_bready", "aresetn"} <= starts


BAD = f"""
module {TOP}(input aclk, input valid, input [4:0] a, input [1:0] d, input [2:0] held, output ready, output reg [1:0] q,
             output [1:0] word, output [1:0] read, output [7:0] sum);
  reg [1:0] memory [31:0];
  reg [2:0] kept;
  wire busy, unused;
  wire [7:0] low;
  stage inner (.valid(valid), .held(kept[2]), .busy(busy));
  assign ready = ~busy;
  assign word = memory[kept];
  RAM32M16 ram (.WCLK(aclk), .WE(kept[0]), .DIA({{2{{kept[1]}}}}), .ADDRA(a), .DOA(read));
  CARRY8 carry (.CI(kept[0]), .CI_TOP(1'b0), .DI(8'd1), .S({{7'd0, low[0]}}), .O(sum));
  LUT6_2 pair (.I0(d[1]), .I1(1'b0), .I2(1'b0), .I3(1'b0), .I4(1'b0), .I5(1'b1), .O5(unused), .O6(low[0]));
  always @(posedge aclk) begin
    q <= q + d;
    kept <= held;
    if (valid) memory[a] <= d;
  end
endmodule

module stage(input valid, held, output busy);
  assign busy = valid | held;
endmodule
"""
"""A gate, an asynchronous read of a primitive, a carry chain behind a LUT; `q` and `word` come from registers."""


def test_every_path_is_found_with_its_nets(tmp_path):
    found = port_paths(unmapped(tmp_path, BAD), RTL_REGISTERS, CLOCK)
    ends = {(way[0], way[-1].partition("[")[0]) for way in found}
    assert ends == {("valid", "ready"), ("d[1]", "sum"), *((f"a[{bit}]", "read") for bit in range(5))}
    (gate,) = (way for way in found if way[0] == "valid")
    assert "busy" in gate
    (chain,) = (way for way in found if way[0] == "d[1]")
    assert chain[1] == "low[0]"


def test_a_memory_that_is_read_by_an_input_is_a_path(tmp_path):
    netlist = unmapped(tmp_path, BAD.replace("memory[kept]", "memory[held]"))
    found = {(way[0], way[-1].partition("[")[0]) for way in port_paths(netlist, RTL_REGISTERS, CLOCK)}
    assert {(f"held[{bit}]", "word") for bit in range(3)} <= found


@pytest.mark.parametrize("family", [pytest.param("xcup", marks=pytest.mark.long), "ecp5"])
def test_paths_are_found_in_a_mapped_design(family, tmp_path):
    path = tmp_path / "small.v"
    path.write_text(
        f"module {TOP}(input aclk, input [1:0] a, output y, output reg z);\n"
        "  assign y = ~a[0] & z; always @(posedge aclk) z <= a[1];\nendmodule\n"
    )
    found = port_paths(synthesise(path, family, TOP).netlist, mapped_registers(family), CLOCK)
    assert [(way[0], way[-1]) for way in found] == [("a[0]", "y")]


def test_a_net_that_nothing_drives_is_no_end(tmp_path):
    verilog = f"module {TOP}(input aclk, output y); wire open; assign y = ~open; endmodule\n"
    with pytest.raises(ValueError, match="nothing drives open -> y"):
        port_paths(unmapped(tmp_path, verilog), RTL_REGISTERS, CLOCK)
