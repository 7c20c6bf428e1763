"""Checkpoints of other codes on the accelerator: imported, compiled, and equal in every spike, logit and cycle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from golden.random_artifact import random_images
from sim.comparison.compare import Comparison
from spikeloom import cli
from spikeloom.commands.images import images_from_file
from sw.artifact.file import load
from sw.compiler.compiler import compile_artifact
from tests.sim.test_whole_network import NARROW_CHUNKED
from tests.sw.importer.checkpoints import checkpoint, lively, network


def test_a_checkpoint_for_event_cameras_runs_as_it_was_trained(tmp_path: Path):
    """The authors' CIFAR10-DVS code: counts, ten time steps in chunks, four pools, 16 heads, attention scale 1/4."""
    config = network("authors-dvs", embed_dim=64, depth=1, heads=16, timesteps=10, event_bits=2)
    torch.save(checkpoint(lively(config), "authors-dvs"), tmp_path / "model.pth")
    frames, labels = random_images(config, 2, seed=4).numpy(), np.array([3, 8])
    np.savez(tmp_path / "frames.npz", images=frames, labels=labels)
    out = tmp_path / "model.spikeloom"
    options = {"--dataset": "frames", "--size": 32, "--heads": 16, "--timesteps": 10, "--event-bits": 2, "--bits": 8}
    given = [str(text) for pair in options.items() for text in pair]
    where = ["--calibrate", str(tmp_path / "frames.npz"), "--out", str(out)]
    assert cli.run(["import", str(tmp_path / "model.pth"), *given, *where]) == 0

    artifact = load(out)
    assert artifact.network == config and frames.max() == 3
    comparison = Comparison(
        artifact=artifact, program=compile_artifact(artifact, NARROW_CHUNKED),
        data=images_from_file(tmp_path / "frames.npz", config), images=2, traced=2, jobs=1, optimise=False,
        folder=tmp_path / "run",
    )  # fmt: skip
    report = comparison.run()
    figures = report.to_dict()
    assert report.mismatch is None and figures["mismatches"].pop("values_compared") > 500_000
    assert set(figures["mismatches"].values()) == {0}
    assert figures["cycles"]["rtl_min"] == figures["cycles"]["rtl_max"] == figures["cycles"]["model"]
    assert all(layer["input_rate"] > 0.005 for layer in figures["layers"][1:])  # nothing is silent
