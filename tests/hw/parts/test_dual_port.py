"""Memories whose ports never meet: where they do every simulator stops, and synthesis takes no notice of it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.parts.dual_port import dual_port_memory
from hw.verilog.emit import emit_component
from tests.hw.benches import simulate
from tests.hw.verilated import run_bench

MESSAGE = "a word of words is read and written in one cycle"


class Ports(wiring.Component):
    """A memory of eight words with its ports as they are."""

    def __init__(self) -> None:
        super().__init__(
            {
                "read": In(1), "read_address": In(3), "read_data": Out(4),
                "write": In(2), "write_address": In(3), "write_data": In(4),
            }
        )  # fmt: skip

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        read, write = dual_port_memory(m, name="words", width=4, depth=8, granularity=2)
        m.d.comb += [
            read.en.eq(self.read), read.addr.eq(self.read_address), self.read_data.eq(read.data),
            write.en.eq(self.write), write.addr.eq(self.write_address), write.data.eq(self.write_data),
        ]  # fmt: skip
        return m


BENCH = """
module bench;
  reg clk = 0, rst = 0, read = 1;
  reg [2:0] read_address = 3, write_address = 2;
  reg [1:0] write = 3;
  wire [3:0] read_data;
  ports ports (.clk(clk), .rst(rst), .read(read), .read_address(read_address), .read_data(read_data),
    .write(write), .write_address(write_address), .write_data(4'd5));
  initial begin
    #1 clk = 1;
    #1 clk = 0;
    // Not read, then not written, then both; of the word in part.
    read = 0; write_address = 3;
    #1 clk = 1;
    #1 clk = 0;
    read = 1; write = 0;
    #1 clk = 1;
    #1 clk = 0;
    write = MEETING;
    #1 clk = 1;
    #1 clk = 0;
    $display("word %0d", read_data);
    $finish;
  end
endmodule
"""


def bench(*, meeting: bool) -> str:
    return emit_component(Ports(), "ports") + BENCH.replace("MEETING", "2" if meeting else "0")


def test_verilator_stops_where_a_word_is_read_and_written(tmp_path: Path) -> None:
    assert "word 5" in run_bench(bench(meeting=False), tmp_path)
    with pytest.raises(AssertionError, match=rf"bench\.ports: {MESSAGE}(?s:.)*Aborting"):
        run_bench(bench(meeting=True), tmp_path)


@pytest.mark.skipif(
    not shutil.which("iverilog"), reason="Icarus Verilog is not installed (Debian: apt install iverilog)"
)
@pytest.mark.parametrize("language", ["2005", "2012"])
@pytest.mark.parametrize("meeting", [False, True])
def test_icarus_stops_where_a_word_is_read_and_written(tmp_path: Path, language: str, meeting: bool) -> None:
    (tmp_path / "bench.v").write_text(bench(meeting=meeting))
    build = ["iverilog", f"-g{language}", "-o", "simulation", "-s", "bench", "bench.v"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    found = subprocess.run(["vvp", "-N", "simulation"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == meeting
    assert (f"bench.ports: {MESSAGE}" in found.stdout, "word 5" in found.stdout) == (meeting, not meeting)


@pytest.mark.parametrize("meeting", [False, True])
def test_amaranth_stops_where_a_word_is_read_and_written(meeting: bool) -> None:
    dut = Ports()

    async def process(ctx: Any) -> None:
        ctx.set(dut.read, 1)
        ctx.set(dut.write, 2)
        ctx.set(dut.read_address, 3)
        ctx.set(dut.write_address, 3 if meeting else 2)
        await ctx.tick()

    if not meeting:
        simulate(dut, process)
        return
    with pytest.raises(AssertionError, match=MESSAGE):
        simulate(dut, process)


def test_synthesis_sees_no_assertion() -> None:
    verilog = emit_component(Ports(), "ports")
    before, _, behind = verilog.partition("`ifndef SYNTHESIS\n")
    inside, _, after = behind.partition("`endif\n")
    assert MESSAGE in inside
    assert all(word not in before + after for word in ("$stop", "$display", "$write", "assert", "`"))
