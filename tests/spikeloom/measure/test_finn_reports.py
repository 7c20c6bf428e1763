"""FINN's reports: its keys and units, figures equal to their sources; sources of something else are refused."""

from __future__ import annotations

import json
import math

import pytest

from golden.accounting.operations import dense_operations
from golden.cycles.cycle_model import predict_cycles
from golden.random_artifact import random_artifact
from hw.named_configs import BASE, TINY
from sim.comparison.performance import performance
from sim.rtl import MEMORY_LATENCY
from spikeloom import cli
from spikeloom.commands.hardware import synth
from spikeloom.commands.measuring.finn_reports import REPORTS
from spikeloom.measure.compare_file import provenance, sealed
from spikeloom.measure.finn_reports import estimate_layer_resources, post_synth_resources, rtlsim_performance
from sw.artifact.file import save
from sw.compiler.compiler import compile_artifact
from sw.driver.results import JobResult, LayerCounters
from sw.network import NetworkConfig
from sw.synthesis.modules import VerilogModules
from sw.synthesis.report import entry
from sw.synthesis.yosys import Synthesis

NETWORK = NetworkConfig(image_size=16, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)
SEED = 7
CLOCK_MHZ = 250.0

# What FINN writes, from its repository github.com/Xilinx/finn at commit 39f0c9a6b7675f62d47390fbf9a591707bcbac9b. The
# files are listed in docs/finn/command_line.rst, under "Generated outputs"; `build_dataflow_steps.py` in
# src/finn/builder writes them.
ESTIMATE_KEYS = {"BRAM_18K", "BRAM_efficiency", "LUT", "URAM", "URAM_efficiency", "DSP"}
"""Of a node and of "total": HWCustomOp.node_res_estimation in src/finn/custom_op/fpgadataflow/hwcustomop.py."""
POST_SYNTH_KEYS = {"LUT", "SRL", "FF", "BRAM_36K", "BRAM_18K", "URAM", "DSP"}
"""Of a node and of "(top)": post_synth_res in src/finn/analysis/fpgadataflow/post_synth_res.py."""
PERFORMANCE_KEYS = {
    "N", "cycles", "latency_cycles", "runtime[ms]", "throughput[images/s]", "stable_throughput[images/s]", "fclk[mhz]",
    "DRAM_in_bandwidth[MB/s]", "DRAM_out_bandwidth[MB/s]",
}  # fmt: skip
"""step_measure_rtlsim_performance, and throughput_test_rtlsim in src/finn/core/throughput_test.py."""

VERILOG = "module spikeloom(a);\nmodule \\spikeloom.core (a);\nmodule \\spikeloom.core.walker (a);\n"
"""Modules of a design, a line each, that cells may lie in."""

CELLS = {
    "xcup": {1: {"FDRE": 2, "LUT6": 1}, 2: {"RAMB36E2": 3, "RAMB18E2": 1, "URAM288": 2},
             3: {"FDRE": 4, "SRL16E": 5, "RAM32M": 1, "LUT2": 3, "DSP48E2": 1}},
    "ecp5": {1: {"TRELLIS_FF": 3}, 3: {"DP16KD": 4, "LUT4": 2, "MULT18X18D": 1}},
}  # fmt: skip
"""By family and line of `VERILOG`."""


def synthesised(family: str, config=TINY) -> dict:
    """An entry of ``build/synth.json``, of cells instead of a run of Yosys."""
    cells = [(line, kind) for line, kinds in CELLS[family].items() for kind, count in kinds.items()
             for _ in range(count)]  # fmt: skip
    netlist = {
        f"cell{number}": {
            "hide_name": 1, "type": kind, "port_directions": {}, "connections": {},
            "attributes": {"src": f"design.v:{line}.1-{line}.2"},
        }
        for number, (line, kind) in enumerate(cells)
    }  # fmt: skip
    modules = VerilogModules.read(VERILOG, "spikeloom")
    found = entry(Synthesis({"cells": netlist}, "{}", "synth"), modules, family, config.sops_per_cycle, 1.0)
    return {"config_fingerprint": f"{config.fingerprint:08x}", **found}


@pytest.fixture(scope="module")
def artifact():
    return random_artifact(NETWORK, 4, seed=SEED)


@pytest.fixture(scope="module")
def program(artifact):
    return compile_artifact(artifact, TINY)


@pytest.fixture(scope="module")
def figures(artifact, program):
    """Figures of a comparison of three images, whose cycles memory stalls have spread."""
    jobs = [
        JobResult(0, (0,) * 5, cycles, "NONE", len(program.steps), (LayerCounters(*[0] * 8),) * len(program.names))
        for cycles in (1000, 1001, 1003)
    ]
    return {
        "hardware": {"config": "tiny"}, "images": {"rtl": 3}, "mismatches": {"values_compared": 1},
        "first_mismatch": None, **performance(program, jobs, dense_operations(NETWORK)),
        "provenance": provenance("spikeloom compare", "random.spikeloom", b"", program, "build/compare"),
    }  # fmt: skip


def test_performance_has_finns_keys_and_the_cycles_of_the_hardware(figures, program):
    found = rtlsim_performance(figures, program, CLOCK_MHZ)
    assert found.keys() == PERFORMANCE_KEYS - {"DRAM_out_bandwidth[MB/s]"}
    assert (found["N"], found["cycles"], found["latency_cycles"], found["fclk[mhz]"]) == (3, 3004, 1003, 250.0)
    microseconds = 3004 / 250
    assert found["runtime[ms]"] == pytest.approx(microseconds / 1e3, rel=1e-12)
    assert found["throughput[images/s]"] == pytest.approx(3 / microseconds * 1e6, rel=1e-12)
    assert found["stable_throughput[images/s]"] == found["throughput[images/s]"], "an image begins behind the last"
    read = program.memory.nbytes + program.image_words * 8
    assert found["DRAM_in_bandwidth[MB/s]"] == pytest.approx(3 * read / microseconds, rel=1e-12)


def test_performance_without_a_clock_has_no_times(figures, program):
    assert rtlsim_performance(figures, program, None) == {"N": 3, "cycles": 3004, "latency_cycles": 1003}


def test_resources_have_finns_keys_and_add_up_to_the_whole():
    found = estimate_layer_resources(synthesised("xcup"), "xcup")
    assert found == {
        "(spikeloom)": {"BRAM_18K": 0, "LUT": 1, "URAM": 0, "DSP": 0},
        "core": {"BRAM_18K": 7, "LUT": 0, "URAM": 2, "DSP": 0},
        "core.walker": {"BRAM_18K": 0, "LUT": 12, "URAM": 0, "DSP": 1},
        "total": {"BRAM_18K": 7, "LUT": 13, "URAM": 2, "DSP": 1},
    }
    assert all(node.keys() == ESTIMATE_KEYS - {"BRAM_efficiency", "URAM_efficiency"} for node in found.values())


def test_cells_have_finns_keys_and_add_up_to_the_top():
    found = post_synth_resources(synthesised("xcup"), "xcup")
    assert found.pop("(top)") == {
        "LUT": 13, "FF": 6, "SRL": 5, "BRAM_36K": 3, "BRAM_18K": 1, "URAM": 2, "DSP": 1
    }  # fmt: skip
    assert found["core"] == {"LUT": 0, "FF": 0, "SRL": 0, "BRAM_36K": 3, "BRAM_18K": 1, "URAM": 2, "DSP": 0}
    assert found["core.walker"] == {"LUT": 12, "FF": 4, "SRL": 5, "BRAM_36K": 0, "BRAM_18K": 0, "URAM": 0, "DSP": 1}
    assert found["(spikeloom)"]["FF"] == 2 and all(node.keys() == POST_SYNTH_KEYS for node in found.values())


def test_a_family_has_no_keys_of_what_it_has_not():
    entry = synthesised("ecp5")
    assert estimate_layer_resources(entry, "ecp5")["total"] == {"BRAM_18K": 4, "LUT": 2, "DSP": 1}
    assert post_synth_resources(entry, "ecp5")["(top)"] == {"LUT": 2, "FF": 3, "BRAM_18K": 4, "DSP": 1}


@pytest.fixture
def sources(artifact, figures, monkeypatch, tmp_path):
    """A model, its comparison and the synthesis of its configuration; what the command takes."""
    save(artifact, tmp_path / "random.spikeloom")
    (tmp_path / "compare.json").write_text(json.dumps(sealed(figures)))
    (tmp_path / "synth.json").write_text(json.dumps({"tiny": {"xcup": synthesised("xcup")}}))
    monkeypatch.setattr(synth, "OUT", tmp_path / "synth.json")
    monkeypatch.chdir(tmp_path)
    return ["finn-reports", "--model", "random.spikeloom", "--config", "tiny", "--compare", "compare.json",
            "--out", "report"]  # fmt: skip


def refused(capsys, arguments):
    assert cli.run([str(argument) for argument in arguments]) == cli.EXIT_MENDABLE
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("spikeloom: "))
    return line


def written(tmp_path):
    return {path.stem: json.loads(path.read_text()) for path in (tmp_path / "report").glob("*.json")}


def test_the_command_writes_all_four(sources, figures, program, capsys, tmp_path):
    assert cli.run([*sources, "--clock", "250"]) == 0
    assert capsys.readouterr().out.split() == [f"report/{name}.json" for name in REPORTS]
    cycles, resources, performance, cells = (written(tmp_path)[name] for name in REPORTS)
    predicted = predict_cycles(program, MEMORY_LATENCY)
    assert cycles == predicted.layers and sum(cycles.values()) == predicted.total
    assert set(cycles) == {"load", *(layer.name for layer in NETWORK.layers())}
    assert all(type(count) is int for count in cycles.values())
    assert resources == estimate_layer_resources(synthesised("xcup"), "xcup")
    assert performance == rtlsim_performance(figures, program, CLOCK_MHZ)
    assert cells == post_synth_resources(synthesised("xcup"), "xcup")
    assert all(math.isfinite(value) for value in performance.values())


def test_what_is_missing_is_not_written_and_what_to_run_is_said(sources, capsys, tmp_path):
    assert cli.run(sources) == 0
    (tmp_path / "compare.json").unlink()
    (tmp_path / "synth.json").unlink()
    line = refused(capsys, sources)
    assert (
        "estimate_layer_resources.json and post_synth_resources.json not written: synth.json has no tiny on xcup: run "
        "spikeloom synth --config tiny --family xcup" in line
    )
    assert (
        "rtlsim_performance.json not written: compare.json is missing: run spikeloom compare --model random.spikeloom "
        "--config tiny" in line
    )
    assert set(written(tmp_path)) == {"estimate_layer_cycles"}, "those of the earlier call are gone"
    assert cli.run([*sources, "--only", "estimate_layer_cycles"]) == 0


def test_a_comparison_of_something_else_is_refused_by_name(sources, artifact, figures, capsys, tmp_path):
    only = ["--only", "rtlsim_performance"]
    save(random_artifact(NETWORK, 4, seed=SEED + 1), tmp_path / "other.spikeloom")
    line = refused(capsys, [*sources, *only, "--model", "other.spikeloom"])
    assert f"compare.json is of random.spikeloom on tiny, not of {tmp_path / 'other.spikeloom'} on tiny as they" in line
    assert line.endswith("run spikeloom compare --model other.spikeloom --config tiny")
    line = refused(capsys, [*sources, *only, "--config", "base"])
    assert "is of random.spikeloom on tiny, not of " in line and f"on {BASE.name} as they are now" in line
    own = tmp_path / "tiny.json"
    own.write_text(json.dumps({**TINY.to_dict(), "spike_words": TINY.spike_words * 2}))
    line = refused(capsys, [*sources, *only, "--config", own])
    assert "on tiny as they are now" in line and line.endswith("--config <its JSON file>")
    wrong = {**figures, "first_mismatch": "conv0: spike 1 of image 0"}
    (tmp_path / "compare.json").write_text(json.dumps(sealed(wrong)))
    assert "compare.json is of a run that found a mismatch: run spikeloom compare" in refused(capsys, [*sources, *only])
    assert not (tmp_path / "report").exists()


def test_a_synthesis_of_something_else_is_refused_by_name(sources, capsys, tmp_path):
    only = ["--only", "post_synth_resources"]
    assert "synth.json has no tiny on ecp5: run" in refused(capsys, [*sources, *only, "--family", "ecp5"])
    own = tmp_path / "tiny.json"
    own.write_text(json.dumps({**TINY.to_dict(), "spike_words": TINY.spike_words * 2}))
    line = refused(capsys, [*sources, *only, "--config", own])
    assert "synth.json has tiny on xcup as it was once, or another of that name: run spikeloom synth --config" in line


def test_files_of_others_are_kept(sources, capsys, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "notes.txt").write_text("mine")
    assert "report holds notes.txt, which was not written by this command" in refused(capsys, sources)
    assert [path.name for path in (tmp_path / "report").iterdir()] == ["notes.txt"]
