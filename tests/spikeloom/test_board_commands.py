"""`bitstream` and `board-sim`: what they print, write and refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from sim.board.run import BoardRun
from spikeloom import cli
from spikeloom.commands.hardware import bitstream, board_sim
from sw.artifact.file import save
from sw.driver.outcomes import Classification
from sw.driver.results import JobResult
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=16, depth=1, heads=2)
MET = {
    "met": True, "clock_mhz": 50.0, "fmax_mhz": 51.3, "seeds": {"1": 49.2, "2": 51.3}, "seconds": 7,
    "utilisation": {"DP16KD": [174, 208]}, "bitstream": "ulx3s_85f-tiny.bit",
}  # fmt: skip


@pytest.fixture
def places(monkeypatch, tmp_path):
    monkeypatch.setattr(bitstream, "FOLDER", tmp_path)
    monkeypatch.setattr(bitstream, "OUT", tmp_path / "bitstream.json")
    monkeypatch.setattr(board_sim, "FOLDER", tmp_path)
    return tmp_path


def test_a_bitstream_ends_with_the_command_that_loads_it(capsys, monkeypatch, places):
    (places / "ulx3s_85f-tiny.bit").write_bytes(bytes(1234))
    monkeypatch.setattr(bitstream, "build_bitstream", lambda board, config, seeds, *_: {**MET, "asked": seeds})
    assert cli.run(["bitstream", "--seeds", "2"]) == 0
    shown = capsys.readouterr().out
    assert "block RAMs of 18 Kbit   174  208  84" in shown
    assert "clock 50.0 MHz, reached 51.3 MHz (by seed 1: 49.2, 2: 51.3)" in shown and "1,234 bytes in 7 s" in shown
    assert shown.rstrip().endswith("ulx3s_85f-tiny.bit")
    assert shown.splitlines()[-1].startswith("openFPGALoader -b ulx3s ")
    assert json.loads((places / "bitstream.json").read_text())["ulx3s_85f"]["tiny"] == {**MET, "asked": 2}


def test_a_clock_that_is_missed_is_exit_code_1(capsys, monkeypatch, places):
    missed = {**MET, "met": False, "bitstream": None}
    monkeypatch.setattr(bitstream, "build_bitstream", lambda *_: missed)
    assert cli.run(["bitstream", "--board", "ecpix5_85f", "--config", "mini"]) == 1
    shown = capsys.readouterr().out
    assert "timing not met, no bitstream: try more --seeds" in shown and "openFPGALoader" not in shown


@pytest.mark.parametrize("wrong", [0, 1])
def test_the_simulated_board_is_compared_with_the_golden_model(capsys, monkeypatch, places, wrong):
    artifact, images = random_artifact(NETWORK, 4, seed=7), random_images(NETWORK, 3, seed=8)
    save(artifact, places / "model.spikeloom")
    np.savez(places / "images.npz", images=images.numpy(), labels=np.array([0, 1, 2]))

    def run(*_, **__):
        golden = GoldenModel(artifact).run(images)
        jobs = zip(golden.predictions.tolist(), (golden.logits + wrong).tolist(), strict=True)
        found = Classification(tuple(JobResult(best, tuple(logits), 1000, "NONE", 20, ()) for best, logits in jobs))
        return BoardRun(found, 1001, 5000, 0)

    monkeypatch.setattr("sim.board.run.run_on_board", run)
    arguments = ["--model", places / "model.spikeloom", "--data", places / "images.npz", "--images", "3"]
    assert cli.run(["board-sim", *map(str, arguments)]) == wrong
    shown = capsys.readouterr().out
    assert "1,000 cycles per image (cycle model: 1,001): 60000.0 frames/s at 60 MHz" in shown
    assert ("MISMATCH" in shown) is bool(wrong)


@pytest.mark.parametrize("command", ["bitstream", "board-sim"])
def test_an_unknown_board_is_refused_with_those_there_are(capsys, command):
    assert cli.run([command, "--board", "ulx4s"]) == cli.EXIT_MENDABLE
    assert "unknown board 'ulx4s'; choose one of ulx3s_85f, ecpix5_85f, orangecrab_85f" in capsys.readouterr().err
