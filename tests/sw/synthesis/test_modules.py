"""Which module a mapped cell is counted for."""

from __future__ import annotations

import pytest

from sw.synthesis.modules import TOP_MODULE, VerilogModules, assign_modules, cells_by_module, clean, source_lines

VERILOG = r"""
module small(clk, a, y);
  assign y = a;
endmodule

module \small.store$1 (clk, a);
  reg x;
endmodule

module \small.store$1.inner (clk, a);
  reg x;
endmodule

module \small.count (clk, a);
  reg x;
endmodule
"""
STORE, INNER, COUNT = 7, 11, 15
MODULES = VerilogModules.read(VERILOG, "small")
MAP = "/share/xilinx/ff_map.v:68.41-68.95"


def cell(kind, inputs=(), outputs=(), line=None, hidden=True):
    """A cell in the form of ``write_json``; a line makes it one that kept its source."""
    source = MAP if line is None else f"design.v:{line}.3-{line}.20|{MAP}"
    return {
        "hide_name": int(hidden), "type": kind, "attributes": {"src": source},
        "port_directions": {"I": "input", "O": "output"}, "connections": {"I": list(inputs), "O": list(outputs)},
    }  # fmt: skip


def assigned(cells):
    return assign_modules({"cells": cells}, MODULES, "design.v")


def test_modules_are_found_by_line_and_by_name():
    assert MODULES.names == (TOP_MODULE, "store", "store.inner", "count")
    assert [MODULES.at(line) for line in (2, STORE, INNER, COUNT)] == [TOP_MODULE, "store", "store.inner", "count"]
    assert MODULES.of_name("store$1.inner.memory.0.0") == "store.inner"
    assert MODULES.of_name("store$1.memory.0.0") == "store"
    assert MODULES.of_name("elsewhere.memory") is None


@pytest.mark.parametrize(
    ("name", "expected"), [("attention$273.lif0", "attention.lif0"), ("a.b$1", "a.b"), (r"\spikes$274", "spikes")]
)
def test_numbers_that_keep_names_apart_are_dropped(name, expected):
    assert clean(name) == expected


def test_only_lines_of_the_design_count_as_source():
    attributes = {"src": f"design.v:26364.18-26364.69|design.v:9.1-9.2|{MAP}"}
    assert source_lines(attributes, "design.v") == [26364, 9]
    assert source_lines({"src": MAP}, "design.v") == source_lines({}, "design.v") == []


def test_registers_belong_to_their_line_and_memories_to_their_name():
    found = assigned({
        "$auto$ff.cc:337:slice$1": cell("FDRE", [1], [2], line=INNER),
        "store$1.memory.0.0": cell("RAM32M16", [3], [4], hidden=False),
    })  # fmt: skip
    assert found == {"$auto$ff.cc:337:slice$1": "store.inner", "store$1.memory.0.0": "store"}


def test_luts_belong_to_what_they_feed_through_other_luts():
    found = assigned({
        "a": cell("LUT2", ["0", 1], [2]), "b": cell("LUT6", [2], [3]), "c": cell("FDRE", [3], [4], line=COUNT),
    })  # fmt: skip
    assert found == dict.fromkeys("abc", "count")


def test_a_lut_that_feeds_several_belongs_to_most_pins():
    found = assigned({
        "a": cell("LUT2", [1], [2]), "b": cell("FDRE", [2], [3], line=COUNT), "c": cell("FDRE", [2], [4], line=STORE),
        "d": cell("FDRE", [2], [5], line=STORE),
    })  # fmt: skip
    assert found["a"] == "store"


def test_logic_in_front_of_a_block_ram_belongs_to_where_it_comes_from():
    ram = cell("RAMB36E2", [5, 6], [9], hidden=False)
    found = assigned({
        "r": cell("FDRE", [1], [2], line=COUNT), "s": cell("FDRE", [1], [3], line=INNER),
        "near": cell("LUT2", [2, 2], [4]), "far": cell("LUT2", [4, 4, 3], [5]), "mux": cell("LUT3", [2, 3], [6]),
        "store$1.memory.0.0": ram,
    })  # fmt: skip
    assert found["near"] == found["far"] == "count"
    assert found["mux"] == TOP_MODULE
    assert found["store$1.memory.0.0"] == "store"


def test_luts_at_the_ports_belong_to_the_top():
    assert assigned({"a": cell("LUT2", [1], [2])}) == {"a": TOP_MODULE}


def test_registers_without_source_belong_to_their_readers_even_in_a_loop():
    found = assigned({
        "a": cell("FDRE", [3], [2]), "b": cell("LUT2", [2], [3]), "c": cell("FDRE", [2], [4], line=STORE)
    })  # fmt: skip
    assert found == dict.fromkeys("abc", "store")


def test_shares_add_up_to_the_whole():
    cells = {
        "a": cell("LUT2", [1], [2]), "b": cell("FDRE", [2], [3], line=COUNT), "c": cell("LUT2", [3], [4]),
        "d": cell("FDRE", [3], [5], line=STORE),
    }  # fmt: skip
    shares = cells_by_module({"cells": cells}, MODULES, "design.v")
    assert shares == {TOP_MODULE: {"LUT2": 1}, "count": {"FDRE": 1, "LUT2": 1}, "store": {"FDRE": 1}}
    assert list(shares) == sorted(shares)
