"""What is read from nextpnr's report, and how a path is told."""

from __future__ import annotations

import json

import pytest

from sw.errors import UserError
from sw.synthesis.modules import VerilogModules
from sw.synthesis.place import DEVICE, PlacedDesign, describe_path, fmax_entry, pin_name, read_report
from sw.synthesis.timing import PathStep, TimingPath
from sw.synthesis.yosys import Synthesis

REPORT = {
    "fmax": {"$glbnet$clk$TRELLIS_IO_IN": {"achieved": 62.78252029418945, "constraint": 150}},
    "utilization": {
        "ALU54B": {"available": 78, "used": 0}, "DP16KD": {"available": 208, "used": 9},
        "TRELLIS_FF": {"available": 83640, "used": 5396},
    },
}  # fmt: skip

PATH = TimingPath(
    (
        PathStep("neurons.descriptor_TRELLIS_FF_Q_76", "", "Q", 0.525, 0.0),
        PathStep("sum$CCU2_COMB0", "A", "FCO", 0.447, 0.976),
        PathStep("sum$CCU2_COMB1", "FCI", "FCO", 0.0, 0.0),
        PathStep("next$CCU2_COMB0", "FCI", "F", 0.443, 0.0),
        PathStep("below_LUT4_Z", "D", "F", 0.236, 0.92),
        PathStep("neurons.batch_TRELLIS_FF_Q_2", "CE", "", 0.0, 1.67),
    )
)

NETLIST = {
    "cells": {
        "sum": {"attributes": {"src": "design.v:3.1-3.9|/share/lattice/arith_map_ccu2c.v:74.7-80.4"}},
        "next": {"attributes": {"src": "design.v:3.1-3.9"}},
        "below_LUT4_Z": {"attributes": {"src": "/share/lattice/cells_map_trellis.v:108.23-108.24"}},
    }
}
MODULES = VerilogModules.read(
    "module small(a);\nmodule \\small.neurons (a);\n  assign \\$9  = \\$like$12  + 1'h1;\n", "small"
)


def test_frequency_and_what_is_used_are_read():
    found = read_report(REPORT, 3, [PATH])
    assert found == PlacedDesign(3, 62.78252029418945, {"DP16KD": 9, "TRELLIS_FF": 5396}, (PATH,))


@pytest.mark.parametrize("clocks", [{}, {"a": {"achieved": 1}, "b": {"achieved": 2}}])
def test_a_design_without_exactly_one_clock_is_refused(clocks):
    with pytest.raises(UserError, match=f"{len(clocks)} clocks, the design must have one"):
        read_report({**REPORT, "fmax": clocks}, 1, [])


def test_a_path_is_told_in_words_of_the_design():
    assert describe_path(PATH, NETLIST, MODULES) == {
        "from": "neurons.descriptor", "to": "neurons.batch (CE)", "delay_ns": 5.217, "logic_ns": 1.651,
        "routing_ns": 3.566, "luts": 1, "carry_chains": 1, "arithmetic": ["neurons: $like$12  + 1'h1"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("port", "expected"), [("DI", "a.b"), ("Q", "a.b"), ("LSR", "a.b (LSR)"), ("DOB9", "a.b (DOB9)")]
)
def test_only_ports_that_matter_are_named(port, expected):
    assert pin_name("a$7.b_TRELLIS_FF_Q_3", port) == expected


def test_an_entry_names_the_best_seed_and_lists_all():
    placements = [PlacedDesign(1, 60.0, {"DP16KD": 9}, (PATH,)), PlacedDesign(2, 64.0, {"DP16KD": 9}, (PATH,))]
    found = fmax_entry(placements, Synthesis(NETLIST, "{}", "synth_ecp5"), MODULES)
    assert (found["fmax_mhz"], found["median_mhz"], found["seeds"]) == (64.0, 62.0, {"1": 60.0, "2": 64.0})
    assert found["device"] == DEVICE["device"] and len(found["paths"]) == 1
    json.dumps(found)
