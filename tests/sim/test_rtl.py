"""Images spread over simulator processes."""

from __future__ import annotations

import os
import signal
import time

import pytest

import sim.rtl
from golden.random_artifact import random_artifact, random_images
from hw.named_configs import TINY
from sim.rtl import RtlSimulation
from sim.verilator.processes import running
from sim.verilator.simulation import Build
from sw.compiler.compiler import compile_artifact
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)


def test_a_simulator_that_starts_after_the_interruption_is_killed(tmp_path, monkeypatch):
    begun = []

    def run(build, job, *, on_event):
        if job.folder.name == "images_0":
            raise KeyboardInterrupt
        time.sleep(0.5)
        with running(["sleep", "60"], cwd=tmp_path, env=os.environ) as process:
            begun.append(process)
            process.wait()

    monkeypatch.setattr(sim.rtl, "run", run)
    artifact = random_artifact(NETWORK, 4, seed=3)
    simulation = RtlSimulation(
        simulator=Build("none", tmp_path, "none", False), artifact=artifact, program=compile_artifact(artifact, TINY),
        folder=tmp_path, jobs=2,
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        simulation.run(random_images(NETWORK, 2, seed=4).numpy())
    assert [process.returncode for process in begun] == [-signal.SIGKILL]
