"""Drain buffers of RAMB36E2 against the memory that every other tool sees, side by side."""

from __future__ import annotations

import dataclasses
import re
import subprocess

import pytest

from hw.array.drain_buffers import DrainBuffers
from hw.array.step import step_layout
from hw.named_configs import BASE
from hw.parts.technology import Technology
from hw.verilog.emit import emit_component
from sim.primitives.models import primitive_models
from tests.hw.verilated import run_bench

FOUR_BATCHES = dataclasses.replace(BASE, neurons=4)
TWO_BATCHES = dataclasses.replace(BASE, neurons=8)

BENCH = """
module bench;
  localparam SUMS = {sums}, BATCH = {batch}, GROUPS = {groups};
  logic clk = 0, rst = 0, read = 0;
  logic step_valid, step_final, step_last_of_tile;
  logic [$clog2(GROUPS) - 1:0] step_group, group;
  logic [1:0] step_buffer, buffer;
  logic [$clog2(SUMS / BATCH) - 1:0] batch;
  logic [SUMS - 1:0] sums;
  wire [BATCH - 1:0] gold_sums, gate_sums;
  wire gold_done, gate_done;
  portable gold (.*, .tile_done(gold_done), .batch_sums(gold_sums), {unused});
  xilinx gate (.*, .tile_done(gate_done), .batch_sums(gate_sums), {unused});
  int words = 0;
  logic [2:0] known = 0;

  initial begin
    for (int cycle = 0; cycle < 4 * GROUPS + 20000; cycle++) begin
      {{step_valid, step_final, step_last_of_tile, batch}} = $urandom;
      for (int i = 0; i < SUMS; i += 32) sums[i +: 32] = $urandom;
      step_group = $urandom;
      group = $urandom;
      // Every group is written first; then no buffer of one half is read while the other half may be written.
      if (cycle < 4 * GROUPS) begin
        {{step_buffer, step_group}} = cycle;
        {{step_valid, step_final}} = 3;
      end else step_buffer = {{cycle[6], 1'($urandom)}};
      buffer = {{!cycle[6], 1'($urandom)}};
      read = cycle >= 4 * GROUPS + 64 && cycle[5] && cycle % 64 != 63 && $urandom % 4 != 0;
      #1 clk = 1;
      #1 clk = 0;
      known = {{known[1:0], read}};
      if (gold_done !== gate_done) $fatal(1, "the tile ends otherwise in cycle %0d", cycle);
      if (known[2]) begin
        if (gold_sums !== gate_sums) $fatal(1, "differs in cycle %0d", cycle);
        words += 32'(gold_sums != 0);
      end
    end
    $display("same in %0d words", words);
    $finish;
  end
endmodule
"""


def bench(config) -> str:
    unused = set(step_layout(config).members) - {"valid", "final", "last_of_tile", "group", "buffer"}
    sums = config.outputs * config.lanes * config.accumulator_bits
    sizes = {"sums": sums, "batch": sums * config.neurons // config.outputs, "groups": config.tile_groups}
    sources = [emit_component(DrainBuffers(config, technology=one), one.value) for one in Technology]
    verilog = "\n".join(sources)
    stimulus = BENCH.format(**sizes, unused=", ".join(f".step_{name}(1'b0)" for name in sorted(unused)))
    return "\n".join([primitive_models(verilog), verilog, stimulus])


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(BASE, id="eight"),
        pytest.param(FOUR_BATCHES, id="four", marks=pytest.mark.long),
        pytest.param(TWO_BATCHES, id="two", marks=pytest.mark.long),
    ],
)
def test_block_rams_hold_what_a_memory_holds(tmp_path, config):
    text = bench(config)
    assert text.count("RAMB36E2 #(") == 15 + 1  # 1,024 bits of 72, and the model
    said = re.search(r"same in (\d+) words", run_bench(text, tmp_path))
    assert said and int(said[1]) > 5000


def test_bits_of_another_batch_are_seen(tmp_path):
    text = bench(TWO_BATCHES)
    wrong = text.replace(".DINBDIN(", ".?(").replace(".DINADIN(", ".DINBDIN(").replace(".?(", ".DINADIN(")
    with pytest.raises((AssertionError, subprocess.CalledProcessError), match="differs in cycle"):
        run_bench(wrong, tmp_path)
