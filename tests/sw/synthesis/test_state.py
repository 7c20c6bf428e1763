"""State that neurons keep is found where there is some."""

from __future__ import annotations

import dataclasses

import pytest

from hw.named_configs import TINY
from hw.neurons.lif import Lif
from hw.neurons.membranes import Membranes, membrane_words
from hw.verilog.emit import emit_component
from sw.errors import UserError
from sw.synthesis.state import kept_bits, membrane_bits, named_memory_bits

KEEPING = r"""
module small(clk);
  input clk;
  reg [19:0] \all_membranes [31:0];
endmodule

module \small.lif0 (clk, current, fired);
  input clk; input [7:0] current; output fired;
  reg [7:0] kept;
  reg [7:0] passed;
  assign fired = passed[7];
  always @(posedge clk) begin
    kept <= fired ? 8'd0 : kept + current;
    passed <= kept;
  end
endmodule
"""


def test_a_kept_membrane_is_found_in_registers_and_in_memories(tmp_path):
    # `kept` depends on itself, `passed` leads back to it through `fired`; registers count whole.
    assert membrane_bits(KEEPING, "small", tmp_path) == 20 * 32 + 8 + 8


def test_the_pipeline_of_the_neuron_keeps_nothing(tmp_path):
    neuron = emit_component(Lif(4, 8, 3), "lif")
    verilog = "module small(clk);\nendmodule\n" + neuron.replace("module lif", r"module \small.lif0 ")
    assert membrane_bits(verilog, "small", tmp_path) == 0


def test_membranes_of_time_chunks_are_found():
    config = dataclasses.replace(TINY, time_chunks=4)
    words, bits = membrane_words(config), config.neurons * config.positions * config.carried_bits
    assert named_memory_bits(emit_component(Membranes(config), "carry")) == words * bits


def test_a_design_without_neurons_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no module named lif\*"):
        membrane_bits("module small(clk);\nendmodule\n", "small", tmp_path)


def test_memories_of_a_neuron_count_whole():
    memory = {"type": "$mem_v2", "parameters": {"SIZE": "10000", "WIDTH": "1010"}, "connections": {}}
    assert kept_bits({"cells": {"memory": memory}}) == 16 * 10


@pytest.mark.parametrize(
    ("line", "bits"),
    [
        (r"  reg [15:0] \membrane [63:0];", 1024), ("  reg membranes [7:0];", 8), ("  reg [15:0] sums [63:0];", 0),
        ("  wire [15:0] membrane;", 0),
    ],
)  # fmt: skip
def test_memories_are_known_by_name(line, bits):
    assert named_memory_bits(line) == bits
