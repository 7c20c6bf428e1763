"""Entries are merged, compared with committed ones, and growth is noticed."""

from __future__ import annotations

import json

import pytest

from sw.errors import UserError
from sw.synthesis.baseline import compare, update
from sw.synthesis.modules import VerilogModules
from sw.synthesis.report import entry, merge, read_entries
from sw.synthesis.yosys import Synthesis, yosys_version

RESOURCES = {"lut": 1000, "lutram": 200, "ff": 500, "bram": 2.5, "uram": 0, "dsp": 0}


def made(yosys="0.70", **changes):
    return {"yosys": yosys, "resources": {**RESOURCES, **changes}, "seconds": 3}


def baselines(yosys="0.70"):
    return {"tiny": {"xcup": {"yosys": yosys, "resources": RESOURCES}}}


def test_merging_keeps_other_configurations_and_families(tmp_path):
    path = tmp_path / "out" / "synth.json"
    merge(path, "tiny", "xcup", {"n": 1})
    merge(path, "tiny", "ecp5", {"n": 2})
    merge(path, "base", "xcup", {"n": 3})
    whole = merge(path, "tiny", "xcup", {"n": 4})
    assert (
        whole
        == json.loads(path.read_text())
        == {"tiny": {"xcup": {"n": 4}, "ecp5": {"n": 2}}, "base": {"xcup": {"n": 3}}}
    )
    assert [file.name for file in path.parent.iterdir()] == ["synth.json"]


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_file_is_named(content, tmp_path):
    path = tmp_path / "synth.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"synth\.json is not .*: delete it"):
        read_entries(path)


def test_equal_totals_have_no_differences():
    found = compare(baselines(), "tiny", "xcup", made())
    assert found.differences == () and found.skipped is None and found.grown == ()


@pytest.mark.parametrize(
    ("changes", "grown"),
    [
        ({"lut": 1020}, []), ({"lut": 1021}, ["lut"]), ({"lut": 500, "ff": 511}, ["ff"]), ({"dsp": 1}, ["dsp"]),
        ({"bram": 3}, ["bram"]), ({"lutram": 204}, []), ({"lut": 900}, []),
    ],
)  # fmt: skip
def test_growth_above_two_percent_is_found(changes, grown):
    found = compare(baselines(), "tiny", "xcup", made(**changes))
    assert {difference.resource for difference in found.differences} == set(changes)
    assert [difference.resource for difference in found.grown] == grown


def test_differences_are_readable():
    found = compare(baselines(), "tiny", "xcup", made(lut=1100, dsp=2))
    assert [str(difference) for difference in found.differences] == [
        "logic LUTs 1,000 -> 1,100 (+10.0%)", "DSP blocks 0 -> 2"
    ]  # fmt: skip


def test_another_yosys_is_said_and_not_compared():
    found = compare(baselines("0.69"), "tiny", "xcup", made(lut=9999))
    assert found.skipped == "the baseline is of Yosys 0.69, this is 0.70" and not found.grown


@pytest.mark.parametrize(("config", "family"), [("base", "xcup"), ("tiny", "ecp5")])
def test_no_baseline_is_said(config, family):
    assert compare(baselines(), config, family, made()).skipped == "no baseline"


def test_an_updated_baseline_equals_its_entry(tmp_path):
    path = tmp_path / "baseline.json"
    update(path, "tiny", "xcup", made(lut=77))
    update(path, "base", "ecp5", made())
    assert json.loads(path.read_text())["tiny"]["xcup"] == {"yosys": "0.70", "resources": {**RESOURCES, "lut": 77}}
    assert not compare(read_entries(path), "tiny", "xcup", made(lut=77)).differences


def test_an_entry_holds_totals_parts_and_modules():
    verilog = "module small(a);\nmodule \\small.part (a);\nmodule \\small.part.inner (a);\n"
    register = {"hide_name": 1, "type": "FDRE", "port_directions": {}, "connections": {}}
    cells = {str(line): {**register, "attributes": {"src": f"design.v:{line}.1-{line}.2"}} for line in (1, 2, 3)}
    cells["lut"] = {**register, "type": "LUT6", "attributes": {"src": "design.v:3.1-3.2"}}
    found = entry(Synthesis({"cells": cells}, "{}", "synth"), VerilogModules.read(verilog, "small"), "xcup", 4, 1.25)
    assert found["yosys"] == yosys_version() and found["bram_kbit"] == 36
    assert found["resources"]["ff"] == 3 and found["resources"]["lut"] == 1
    assert found["lut_per_sop_per_cycle"] == 0.25
    assert {name: part["ff"] for name, part in found["parts"].items()} == {"(top)": 1, "part": 2}
    assert {name: part["ff"] for name, part in found["modules"].items()} == {"(top)": 1, "part": 1, "part.inner": 1}
    assert found["cells"] == {"FDRE": 3, "LUT6": 1}
    assert found["part_cells"] == {"(top)": {"FDRE": 1}, "part": {"FDRE": 2, "LUT6": 1}}
    json.dumps(found)
