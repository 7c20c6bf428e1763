"""The treemap of LUTs: every module counts once, within the one that holds it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from spikeloom.report.sections import resources

NONE = {"lut": 0, "lutram": 0, "ff": 0, "bram": 0, "uram": 0, "dsp": 0}


def counted(**counts):
    return {**NONE, **counts}


ENTRY = {
    "resources": counted(lut=100, lutram=20, ff=7, bram=1.5),
    "parts": {
        "(top)": counted(lut=3),
        "core.neurons": counted(lut=57, lutram=20, ff=7),
        "core.walker": counted(lut=40, bram=1.5),
    },
    "modules": {
        "(top)": counted(lut=3),
        "core.neurons": counted(lut=30),
        "core.neurons.walk.tiles": counted(lut=27, lutram=20, ff=7),
        "core.walker": counted(lut=40, bram=1.5),
    },
}


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "synth.json").write_text(json.dumps({"tiny": {"ecp5": ENTRY, "xcup": ENTRY}}))
    return SimpleNamespace(compare={"hardware": {"config": "tiny"}}, build=tmp_path)


def test_every_family_has_a_treemap_that_adds_up(inputs):
    exhibits = resources.section(inputs).exhibits
    assert [exhibit.title for exhibit in exhibits] == [
        "LUTs of tiny on Xilinx UltraScale+",
        "LUTs of tiny on Lattice ECP5",
    ]
    (tree,) = exhibits[0].content.figure.data
    own = dict(zip(tree.ids, tree.values, strict=True))
    assert tree.branchvalues == "remainder" and sum(own.values()) == 120
    assert own["core.neurons.walk.tiles"] == 47 and own["core.neurons.walk"] == own["core"] == 0
    holder = dict(zip(tree.ids, tree.parents, strict=True))
    assert holder == {
        "": None, "(top)": "", "core": "", "core.neurons": "core", "core.neurons.walk": "core.neurons",
        "core.neurons.walk.tiles": "core.neurons.walk", "core.walker": "core",
    }  # fmt: skip


def test_parts_and_total_are_in_the_table_without_what_nothing_takes(inputs):
    exhibit = resources.section(inputs).exhibits[0]
    assert exhibit.table.columns == ("part", "logic LUTs", "LUTs as memory", "registers", "block RAMs")
    assert exhibit.table.rows[0] == ("core.neurons", 57, 20, 7, 0)
    assert exhibit.table.rows[-1] == ("total", 100, 20, 7, 1.5)
    assert "neurons 64%, walker 33%" in exhibit.alternative


def test_a_configuration_that_was_not_synthesised_says_what_to_run(inputs):
    inputs.compare["hardware"]["config"] = "base"
    section = resources.section(inputs)
    assert section.missing == "make synth CONFIG=base" and not section.exhibits
