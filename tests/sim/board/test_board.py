"""A board's system, whole, through its serial pins."""

from __future__ import annotations

import numpy as np

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.board.boards import ULX3S_85F
from hw.named_configs import MINI
from sim.board.job import BoardJob
from sim.board.run import build_board, simulate_board
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.network import NetworkConfig

SMALL = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=16, depth=1, heads=2, mlp_ratio=2)


def test_the_board_does_what_its_host_says_whatever_happens_on_the_line(tmp_path):
    artifact, pixels = random_artifact(SMALL, 4, seed=3), random_images(SMALL, 2, seed=4)
    program = compile_artifact(artifact, MINI)
    packed = [pack_image(artifact, MINI, image, program.image_strips) for image in pixels.numpy()]
    job = BoardJob(MINI, program.memory.tobytes(), np.stack(packed), SMALL.classes, 1_000_000)
    job.save(tmp_path / "job.npz")
    logits = GoldenModel(artifact).run(pixels).logits.tolist()
    build = build_board(ULX3S_85F, MINI, optimise=False)
    simulate_board(build, "tests.sim.board.scenarios", tmp_path / "run", job=str(tmp_path / "job.npz"), logits=logits)
