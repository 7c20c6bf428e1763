"""The attention engine and the weight array in their emitted Verilog, simulated by Verilator."""

from __future__ import annotations

import pytest

from hw.array.weight_array import WeightArray
from hw.attention.attention import Attention
from hw.named_configs import TINY
from sim.components.run import build_component, simulate_component

SHAPES = [
    {"tokens": 49, "head_channels": 16},  # the last chunk and the last group are partly filled
    {"tokens": 21, "head_channels": 4},  # half a step of channels
    {"tokens": 33, "head_channels": 20},  # the last step is half full
    {"tokens": 1, "head_channels": 32},  # K^T V is what takes time
]


@pytest.mark.parametrize("stall", [0.4, pytest.param(0.0, marks=pytest.mark.long)])
def test_attention_attends_like_integer_attention(stall):
    build = build_component(Attention(TINY), "attention_tiny")
    simulate_component(build, "attention", config=TINY.to_dict(), shapes=SHAPES, stall=stall, seed=1)


@pytest.mark.parametrize("stall", [0.4, pytest.param(0.0, marks=pytest.mark.long)])
def test_weight_array_accumulates_integer_products(stall):
    """In long tiles the weights wait for a free table, in short ones the steps for a filled one."""
    build = build_component(WeightArray(TINY), "weight_array_tiny")
    whole = TINY.tile_groups
    shape = {"slices": 6, "tile_groups": [whole, whole, 5, 1, 1, whole, 3, 1, whole, whole]}
    simulate_component(build, "weight_array", config=TINY.to_dict(), **shape, stall=stall, seed=1)
