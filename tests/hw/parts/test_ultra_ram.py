"""Cascades of UltraRAM against the memory that every other tool sees, side by side."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from functools import cache

import pytest

from hw.config import HardwareConfig
from hw.memory.spike_memory import SpikeMemory, address_bits
from hw.named_configs import LARGE, TINY
from hw.parts.technology import Technology
from hw.parts.ultra_ram import fits_ultra_ram
from hw.verilog.emit import emit_component
from sim.primitives.models import primitive_models
from tests.hw.verilated import run_bench

BENCH = """
module bench;
  localparam DEPTH = {depth}, BITS = {bits};
  logic clk = 0, rst = 0, write_valid = 0;
  logic [2 * BITS - 1:0] read_addresses = 0;
  logic [1:0] reads = 0;
  logic [BITS - 1:0] write_address = 0, writing;
  logic [1:0] write_banks, write_pieces;
  logic [255:0] write_data, gold_data, gate_data;
  portable gold (.*, .read_data(gold_data));
  xilinx gate (.*, .read_data(gate_data));
  int words = 0;

  // Words at both ends of every UltraRAM, all of which are written first.
  localparam CHOICES = DEPTH / 4096 * 16;
  function automatic [BITS - 1:0] address(int choice);
    return BITS'(choice / 16 * 4096 + (choice / 8 % 2) * 4088 + choice % 8);
  endfunction
  function automatic [BITS - 1:0] some_address();
    return address($urandom % CHOICES);
  endfunction

  initial begin
    for (int cycle = 0; cycle < 20000; cycle++) begin
      writing = write_address;  // a cycle later
      write_valid = cycle < CHOICES || $urandom % 4 != 0;
      write_address = cycle < CHOICES ? address(cycle) : some_address();
      {{write_banks, write_pieces}} = cycle < CHOICES ? 4'b1111 : 4'($urandom);
      write_data = {{8{{$urandom}}}};
      for (int bank = 0; bank < 2; bank++) begin
        read_addresses[bank * BITS +: BITS] = some_address();
        reads[bank] = $urandom % 4 != 0 && read_addresses[bank * BITS +: BITS] != writing;
      end
      #1 clk = 1;
      #1 clk = 0;
      for (int bank = 0; bank < 2; bank++)
        if (cycle > CHOICES && reads[bank] && gold_data[bank * 128 +: 128] !== gate_data[bank * 128 +: 128])
          $fatal(1, "differs in cycle %0d", cycle);
      words += 32'(reads[0] && gold_data[127:0] != 0);
    end
    $display("same in %0d words", words);
    $finish;
  end
endmodule
"""


@cache
def memory(depth: int, technology: Technology) -> str:
    dut = SpikeMemory(LARGE, depth, technology=technology)
    return emit_component(dut, technology.value)


def bench(depth: int) -> str:
    sources = "\n".join(memory(depth, technology) for technology in Technology)
    return primitive_models(sources) + sources + BENCH.format(depth=depth, bits=address_bits(depth))


@pytest.mark.parametrize(
    ("depth", "rams"),
    [pytest.param(4096, 4, id="alone", marks=pytest.mark.long), pytest.param(12288, 12, id="first-middle-and-last")],
)
def test_cascades_hold_what_a_memory_holds(tmp_path, depth, rams):
    text = bench(depth)
    assert text.count("URAM288 #(") == rams + 1  # and its model
    said = re.search(r"same in (\d+) words", run_bench(text, tmp_path))
    assert said and int(said[1]) > 10000


def test_a_cascade_in_the_wrong_order_is_seen(tmp_path):
    text = re.sub(r"\.SELF_ADDR_B\(11'h001\)", ".SELF_ADDR_B(11'h002)", bench(12288))
    with pytest.raises((AssertionError, subprocess.CalledProcessError), match="differs in cycle"):
        run_bench(text, tmp_path)


@pytest.mark.parametrize(
    ("config", "depth", "fits"),
    [
        (LARGE, LARGE.spike_words, True),
        (LARGE, LARGE.residual_words, True),
        (LARGE, 4095, False),
        (TINY, TINY.spike_words, False),
        (dataclasses.replace(LARGE, outputs=4, inputs=32, neurons=2), 8192, False),
    ],
)
def test_only_what_fills_one_becomes_ultra_ram(config: HardwareConfig, depth: int, fits: bool):
    width = config.group_bits // config.positions
    assert fits_ultra_ram(width, depth, config.piece, Technology.XILINX) == fits
    assert not fits_ultra_ram(width, depth, config.piece, Technology.PORTABLE)
