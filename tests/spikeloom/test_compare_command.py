"""`spikeloom compare`: what it prints, writes and ends with; flips."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from golden.random_artifact import random_artifact
from hw.named_configs import TINY
from sim.faults import find_flip
from spikeloom import cli
from spikeloom.commands.measuring import compare
from spikeloom.measure.compare_file import PROVENANCE, read_compare
from sw.checkout import ROOT
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import DESCRIPTOR_WORDS, header_words
from sw.errors import UserError
from tests.spikeloom.command_line import NETWORK, figures, refused


@pytest.mark.parametrize("mismatch", [None, "image 0, conv0 spikes: time step 1, channel 2: golden 1, RTL 0"])
def test_compare_prints_writes_and_exits_by_the_outcome(mismatch, capsys, tmp_path, monkeypatch, model, images):
    from sim.comparison.compare import CompareReport

    seen = []

    def fake(options, progress):
        seen.append(options)
        progress("RTL simulation", 1, 2)
        return CompareReport(figures(7 if mismatch else 0), mismatch)

    monkeypatch.setattr("sim.comparison.compare.Comparison.run", fake)
    monkeypatch.setattr(compare, "BUILD", tmp_path / "build")
    out = tmp_path / "out" / "compare.json"
    arguments = ["compare", "--model", model, "--config", "tiny", "--images", 2, "--traced", 1, "--data", images,
                 "--stalls", "--flip", "conv0.weight", "--out", out]  # fmt: skip
    assert cli.run([str(argument) for argument in arguments]) == (cli.EXIT_DIFFERENT if mismatch else 0)
    shown = capsys.readouterr().out
    assert "conv0" in shown and "12,345 values compared" in shown
    rows = [re.split(r" {2,}", line.strip()) for line in shown.splitlines()]
    assert ["Brevitas model, as the artifact records", "mnist test set", "10", "90.00%"] in rows
    assert ["float model, as the artifact records", "-", "-", "-"] in rows and ["RTL", "x.npz", "2", "50.00%"] in rows
    assert (mismatch in shown) if mismatch else ("no mismatch of any kind" in shown)
    written = json.loads(out.read_text())
    assert written["mismatches"]["golden_rtl_spikes"] == (7 if mismatch else 0)
    assert [path.name for path in out.parent.iterdir()] == ["compare.json"]
    (options,) = seen
    assert (options.images, options.traced, len(options.data), options.config) == (2, 1, 3, TINY)
    assert options.stall_percent > 0 and len(options.flips) == 1
    origin = read_compare(out)["provenance"]
    assert json.loads((tmp_path / "build" / "compare" / PROVENANCE).read_text()) == origin
    assert origin["model_sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()
    assert (ROOT / origin["model"], ROOT / origin["folder"]) == (model, tmp_path / "build" / "compare")


def test_a_failed_comparison_leaves_the_old_figures(capsys, tmp_path, monkeypatch, model, images):
    def fail(*_):
        raise UserError("make is not on the PATH: install it")

    monkeypatch.setattr("sim.comparison.compare.Comparison.run", fail)
    monkeypatch.setattr(compare, "BUILD", tmp_path / "build")
    out = tmp_path / "compare.json"
    out.write_text("old")
    refused(capsys, "compare", "--model", model, "--config", "tiny", "--data", images, "--out", out)
    assert out.read_text() == "old"


def test_flips_name_bits_of_the_memory_image():
    artifact = random_artifact(NETWORK, 4, seed=7)
    program = compile_artifact(artifact, TINY)
    assert find_flip(program, "load.descriptor").beat == header_words(TINY)
    assert find_flip(program, "conv0.descriptor").beat == header_words(TINY) + DESCRIPTOR_WORDS
    channel = artifact.network.layers()[1].out_channels // 2
    parameters = program.steps_of("conv1")[0].address + DESCRIPTOR_WORDS
    for part in ("bias", "threshold"):
        flip = find_flip(program, f"conv1.{part}")
        assert flip.beat == parameters + channel and (flip.bit >= 32) == (part == "threshold")
    flip = find_flip(program, "conv1.weight")
    nibble = int(program.memory[flip.beat]) >> (flip.bit - 3) & 0xF
    # Slices of 8 outputs x 4 inputs x 4 bits are two words, input 0 of all outputs first; one slice per tap, tap 4 is
    # the kernel's middle.
    assert flip.beat == parameters + 8 + 4 * 2
    assert nibble == int(artifact.tensors["conv1"].weight[channel, 0, 1, 1]) & 0xF
    assert find_flip(program, "12:34").beat == 12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv9.weight", "no layer 'conv9' to corrupt; there are load, conv0"),
        ("block0.attention.weight", "block0.attention has no weight"),
        ("load.bias", "load has no bias"),
        ("12", "BEAT:BIT"),
        ("1:64", "bits 0 to 63, not 64"),
    ],
)
def test_flip_wrong(text, message):
    with pytest.raises(UserError, match=message):
        find_flip(compile_artifact(random_artifact(NETWORK, 4, seed=7), TINY), text)
