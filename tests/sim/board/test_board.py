"""A board's system, whole, through its serial pins."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.board.boards import ULX3S_85F
from hw.named_configs import CONFIGS, MINI, TINY
from sim.board.job import BoardJob
from sim.board.run import build_board, run_on_board, simulate_board
from sw.artifact.file import load, save
from sw.checkout import ROOT
from sw.data.samples import load_sample
from sw.errors import UserError
from sw.network import NetworkConfig

SMALL = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=16, depth=1, heads=2, mlp_ratio=2)


def test_the_board_does_what_its_host_says_whatever_happens_on_the_line(tmp_path):
    artifact, pixels = random_artifact(SMALL, 4, seed=3), random_images(SMALL, 2, seed=4)
    save(artifact, tmp_path / "random.spikeloom")
    BoardJob(tmp_path / "random.spikeloom", MINI, pixels.numpy()).save(tmp_path / "job.npz")
    logits = GoldenModel(artifact).run(pixels).logits.tolist()
    build = build_board(ULX3S_85F, MINI, optimise=False)
    simulate_board(build, "tests.sim.board.scenarios", tmp_path / "run", job=str(tmp_path / "job.npz"), logits=logits)


def test_a_network_that_the_memory_does_not_hold_is_refused(tmp_path):
    artifact = ROOT / "models" / "fashion-2-64.spikeloom"
    images = load_sample("fashion-mnist").first(1).images.numpy()
    small = dataclasses.replace(ULX3S_85F, memory_bytes=64 * 1024)
    with pytest.raises(UserError, match=r"needs 114,816 bytes of memory .* there are 65,536"):
        run_on_board(small, artifact, images, TINY, tmp_path)


@pytest.mark.long
def test_real_images_are_classified_through_the_pins_of_the_board_as_it_is_built(tmp_path: Path):
    artifact = ROOT / "models" / "fashion-2-64.spikeloom"
    images = load_sample("fashion-mnist").first(16).images
    run = run_on_board(ULX3S_85F, artifact, images.numpy(), CONFIGS[ULX3S_85F.config], tmp_path)
    found, golden = run.found, GoldenModel(load(artifact)).run(images)
    assert found.logits.tolist() == golden.logits.tolist() and found.predictions.tolist() == golden.predictions.tolist()
    assert len(set(found.cycles.tolist())) == 1 and run.repeated == 0
    # The model's memory takes more bursts ahead, so that an image waits behind the program's.
    assert 0.999 * run.model_cycles < found.cycles[0] <= run.model_cycles
