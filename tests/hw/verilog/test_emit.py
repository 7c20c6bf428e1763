"""Emitted Verilog: names, description, the same bytes from run to run, lint."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Module, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.host.registers import REGISTERS
from hw.named_configs import BASE, MINI
from hw.parts.technology import Technology
from hw.verilog.description import TOP
from hw.verilog.emit import accelerator_verilog, emit, emit_component
from hw.verilog.lint import lint_warnings
from sim.verilator.toolchain import find_toolchain
from tests.hw.verilog.emitted import ALL_PARTS, declared_ports, verilog_of

ROOT = Path(__file__).resolve().parents[3]


FRESH_PROCESS = """
import dataclasses, json, sys
from hw.named_configs import CONFIGS
from hw.verilog.emit import emit
json.dump(dataclasses.asdict(emit(CONFIGS[sys.argv[1]])), sys.stdout)
"""


@pytest.fixture(scope="module")
def mini():
    return emit(MINI)


def test_ports_have_the_documented_names(mini):
    address = {"id": 1, "addr": 40, "len": 8, "size": 3, "burst": 2, "lock": 1, "cache": 4, "prot": 3, "qos": 4}
    master = {
        "output": {"arvalid": 1, "rready": 1, "awvalid": 1, "wdata": 64, "wstrb": 8, "wlast": 1, "wvalid": 1}
        | {"bready": 1}
        | {channel + name: width for channel in ("ar", "aw") for name, width in address.items()},
        "input": {"arready": 1, "rid": 1, "rdata": 64, "rresp": 2, "rlast": 1, "rvalid": 1}
        | {"awready": 1, "wready": 1, "bid": 1, "bresp": 2, "bvalid": 1},
    }
    slave = {
        "input": {"awaddr": 14, "awprot": 3, "awvalid": 1, "wdata": 32, "wstrb": 4, "wvalid": 1, "bready": 1}
        | {"araddr": 14, "arprot": 3, "arvalid": 1, "rready": 1},
        "output": {"awready": 1, "wready": 1, "bresp": 2, "bvalid": 1}
        | {"arready": 1, "rdata": 32, "rresp": 2, "rvalid": 1},
    }
    expected = {"aclk": ("input", 1), "aresetn": ("input", 1), "interrupt": ("output", 1)}
    for prefix, port in (("m_axi_mem", master), ("s_axi_ctrl", slave)):
        for direction, names in port.items():
            expected |= {f"{prefix}_{name}": (direction, width) for name, width in names.items()}
    assert declared_ports(mini.verilog) == expected


def test_packager_is_told_which_clock_and_reset_belong_to_the_buses(mini):
    verilog = mini.verilog
    attributes = (
        r"\(\* X_INTERFACE_INFO = \"xilinx.com:signal:{kind}:1.0 {name} {pin}\" \*\)\n"
        r".*{text}.*\n  {direction} {name};"
    )
    for kind, name, pin, direction, text in (
        ("clock", "aclk", "CLK", "input", "ASSOCIATED_BUSIF s_axi_ctrl:m_axi_mem, ASSOCIATED_RESET aresetn"),
        ("reset", "aresetn", "RST", "input", "POLARITY ACTIVE_LOW"),
        ("interrupt", "interrupt", "INTERRUPT", "output", "SENSITIVITY LEVEL_HIGH"),
    ):
        pattern = attributes.format(kind=kind, name=name, pin=pin, text=text, direction=direction)
        assert re.search(pattern, verilog), name


def test_memories_that_are_written_first_have_no_initial_values(mini):
    emitted = mini.verilog
    initial = set(re.findall(r"^    \\?(\w+)\[\d+\] = ", emitted, re.MULTILINE))
    memories = {"bank0", "drain"}
    assert memories <= set(re.findall(r"^  reg \[\d+:0\] (\w+) \[\d+:0\];", emitted, re.MULTILINE))
    assert not memories & initial
    # Entry 0 of a table of subset sums is never written.
    assert "step0_table0" in initial
    assert "written_first" not in emitted


def test_batches_of_sums_are_written_in_one_process(mini):
    """Vivado finds a memory that is written wide and read narrow only so."""
    processes = re.findall(r"^  always @.*?^(?:  end|    \S.*;)$", mini.verilog, re.MULTILINE | re.DOTALL)
    writes = [found for text in processes if (found := len(re.findall(r"^ +drain\[.+\] <= ", text, re.MULTILINE)))]
    assert writes == [MINI.outputs // MINI.neurons]


def test_nothing_but_the_clock_starts_a_block(mini):
    """What waited for a change of what it reads would be X as long as a register keeps its initial value."""
    blocks = set(re.findall(r"^ *(always.*)$", mini.verilog, re.MULTILINE))
    assert [block for block in blocks if not re.match(r"always @\(posedge (aclk|core_clk)\)", block)] == []


@pytest.mark.parametrize(
    ("config", "technology"),
    [(MINI, Technology.PORTABLE), pytest.param(ALL_PARTS, Technology.XILINX, marks=pytest.mark.long)],
    ids=["mini", "all-parts"],
)
def test_every_signal_has_a_name_of_its_own(config, technology):
    # Amaranth takes a name from the assignment, which must be of one signal.
    verilog = verilog_of(config, technology)
    declared = re.findall(r"^  (?:input|output|wire|reg) (?:\[\d+:-?\d+\] )?(\S+)", verilog, re.MULTILINE)
    assert len(declared) > 1000
    assert [name for name in declared if name.startswith("\\$")] == []


def test_what_is_simulated_is_what_is_emitted(mini):
    assert mini.verilog == accelerator_verilog(MINI)


def test_trace_signals_are_in_the_core(mini):
    verilog = mini.verilog
    top = verilog[verilog.index(f"module \\{TOP}.core ") :].split("endmodule", 1)[0]
    declared = set(re.findall(r"^  wire (?:\[\d+:0\] )?(trace_\w+)", top, re.MULTILINE))
    assert {
        "trace_neuron_layer",
        "trace_neuron_data",
        "trace_spike_banks",
        "trace_token_value",
        "trace_logit_index",
    } <= declared


def test_description_matches_the_verilog(mini):
    description = json.loads(mini.description)
    described = {port["name"]: (port["direction"], port["width"]) for port in description["ports"]}
    assert described == declared_ports(mini.verilog)
    assert description["module"] == TOP
    assert description["config"] == MINI.to_dict()
    assert description["fingerprint"] == MINI.fingerprint
    assert description["registers"].keys() == REGISTERS.keys()
    assert description["registers"]["PROFILE"]["address"] == 0x2000
    fields = description["descriptor"]["fields"]
    assert fields[0] == {"name": "check", "offset": 0, "width": 8}
    assert all(after["offset"] == field["offset"] + field["width"] for field, after in itertools.pairwise(fields))


def test_bytes_do_not_depend_on_the_hash_seed(mini):
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    command = [sys.executable, "-c", FRESH_PROCESS, MINI.name]
    fresh = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True).stdout
    assert json.loads(fresh) == dataclasses.asdict(mini)


def test_files_are_named_after_the_configuration(mini):
    assert mini.files == {"mini.v": mini.verilog, "mini.json": mini.description, "spikeloom.h": mini.header}


def test_no_source_location_is_written(mini):
    verilog = mini.verilog
    assert str(ROOT) not in verilog
    assert "src =" not in verilog


def lint_here(path):
    tools = find_toolchain()
    return lint_warnings(path, verilator=tools.verilator, environment=tools.environment)


@pytest.mark.parametrize(
    ("config", "technology"),
    [
        (MINI, Technology.PORTABLE),
        (ALL_PARTS, Technology.XILINX),
        pytest.param(ALL_PARTS, Technology.PORTABLE, marks=pytest.mark.long),
        *(pytest.param(BASE, technology, marks=pytest.mark.long) for technology in Technology),
    ],
    ids=lambda value: value.name.lower(),
)
def test_verilog_is_lint_clean(config, technology, tmp_path):
    path = tmp_path / f"{config.name}.v"
    path.write_text(verilog_of(config, technology))
    assert lint_here(path) == []


def test_lint_reports_what_is_not_waived(tmp_path):
    path = tmp_path / "bad.v"
    path.write_text(f"module {TOP}(input clk, output [3:0] q); wire [7:0] d = {{8{{clk}}}}; assign q = d; endmodule\n")
    assert any("WIDTHTRUNC" in line for line in lint_here(path))


class Members(wiring.Component):
    """A struct payload, a plain payload and a nested member."""

    def __init__(self):
        pair = data.StructLayout({"low": unsigned(3), "high": unsigned(5)})
        super().__init__({
            "wide": In(stream.Signature(pair)),
            "plain": Out(stream.Signature(unsigned(8))),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self.plain.payload.eq(self.wide.payload.high - self.wide.payload.low),
            self.plain.valid.eq(self.wide.valid),
            self.wide.ready.eq(self.plain.ready),
        ]
        return m


def test_members_become_plain_ports():
    verilog = emit_component(Members(), TOP)
    assert declared_ports(verilog) == {
        "wide_low": ("input", 3),
        "wide_high": ("input", 5),
        "wide_valid": ("input", 1),
        "wide_ready": ("output", 1),
        "plain_data": ("output", 8),
        "plain_valid": ("output", 1),
        "plain_ready": ("input", 1),
    }
