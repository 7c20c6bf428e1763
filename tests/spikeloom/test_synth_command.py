"""`spikeloom synth` and `fmax`: tables, baselines, paths."""

from __future__ import annotations

import json

import pytest

from hw.named_configs import CONFIGS, TINY
from spikeloom import cli
from spikeloom.commands.hardware import fmax, synth
from sw.synthesis.cells import FAMILIES, RESOURCES


def resources(**changes):
    return {"lut": 1000, "lutram": 200, "ff": 500, "bram": 2.5, "uram": 0, "dsp": 0, **changes}


@pytest.fixture
def synthesised(monkeypatch, tmp_path):
    """`spikeloom synth` without Yosys; what it counts can be changed."""
    counts = resources()

    def fake(config, family, folder):
        return {
            "yosys": "0.70", "sops_per_cycle": config.sops_per_cycle, "bram_kbit": 36, "resources": dict(counts),
            "parts": {"(top)": resources(lut=0), "weight_array": dict(counts)},
        }  # fmt: skip

    monkeypatch.setattr(synth, "synthesis_entry", fake)
    monkeypatch.setattr(synth, "OUT", tmp_path / "synth.json")
    monkeypatch.setattr(synth, "BASELINE", tmp_path / "baseline.json")
    return counts


def test_synth_shows_parts_and_compares_with_the_baseline(synthesised, capsys, tmp_path):
    command = ["synth", "--config", "tiny", "--family", "xcup"]
    assert cli.run(command) == 0
    shown = capsys.readouterr().out
    assert "not compared, no baseline" in shown and "weight_array" in shown and "(top)" in shown
    assert cli.run([*command, "--update-baseline"]) == 0
    assert cli.run(command) == 0
    assert "tiny, xcup: every total as in the baseline" in capsys.readouterr().out
    synthesised["lut"] = 1015
    assert cli.run(command) == 0
    assert "logic LUTs 1,000 -> 1,015 (+1.5%)" in capsys.readouterr().out
    synthesised["lut"] = 1100
    assert cli.run(command) == cli.EXIT_DIFFERENT
    shown = " ".join(capsys.readouterr().out.split())
    assert "logic LUTs grew by more than 2%; if that is meant: spikeloom synth --config tiny --family xcup" in shown
    assert json.loads((tmp_path / "synth.json").read_text())["tiny"]["xcup"]["resources"]["lut"] == 1100


def test_synth_takes_configurations_and_families(synthesised, tmp_path):
    assert cli.run(["synth"]) == 0
    written = json.loads((tmp_path / "synth.json").read_text())
    assert {name: list(entry) for name, entry in written.items()} == {
        "tiny": ["xcup", "ecp5"], "base": ["xcup", "ecp5"]
    }  # fmt: skip
    own = tmp_path / "tiny.json"
    own.write_text(json.dumps({**TINY.to_dict(), "spike_words": 64}))
    assert cli.run(["synth", "--config", "tiny", "--update-baseline"]) == 0
    synthesised["lut"] = 5000
    assert cli.run(["synth", "--config", str(own)]) == 0, "a configuration of the user's has no baseline"


def test_committed_baselines_are_of_named_configurations():
    for config, families in json.loads(synth.BASELINE.read_text()).items():
        assert config in CONFIGS
        for family, entry in families.items():
            assert family in FAMILIES and set(entry["resources"]) == set(RESOURCES)


def test_fmax_writes_frequency_and_paths(capsys, monkeypatch, tmp_path):
    path = {
        "from": "neurons.descriptor", "to": "neurons.batch (CE)", "delay_ns": 15.9, "logic_ns": 6.0, "routing_ns": 9.9,
        "luts": 12, "carry_chains": 3, "arithmetic": ["neurons:10062"],
    }  # fmt: skip
    entry = {"fmax_mhz": 62.8, "median_mhz": 61.0, "seeds": {"1": 59.2, "2": 62.8}, "paths": [path]}
    monkeypatch.setattr(fmax, "measure_fmax", lambda config, seeds, *_: {**entry, "asked": [config.name, seeds]})
    monkeypatch.setattr(fmax, "OUT", tmp_path / "fmax.json")
    assert cli.run(["fmax", "--seeds", "2"]) == 0
    assert json.loads((tmp_path / "fmax.json").read_text())["mini"] == {**entry, "asked": ["mini", 2]}
    shown = capsys.readouterr().out
    assert "mini on ECP5: 62.8 MHz (by seed 1: 59.2, 2: 62.8)" in shown and "neurons.descriptor" in shown
