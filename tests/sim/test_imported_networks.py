"""Checkpoints of other codes on the accelerator: imported, compiled, and equal in every spike, logit and cycle."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from golden.random_artifact import random_images
from hw.config import HardwareConfig
from hw.named_configs import LARGE
from sim.comparison.compare import Comparison
from spikeloom import cli
from spikeloom.commands.own_images import own_images
from sw.artifact.artifact import Artifact
from sw.artifact.file import load
from sw.compiler.compiler import compile_artifact
from sw.data.sets import ImageSet
from sw.network import NetworkConfig
from tests.sim.test_whole_network import NARROW_CHUNKED
from tests.sw.importer.checkpoints import checkpoint, lively, network

SMALL = network("authors-dvs", embed_dim=64, depth=1, heads=16, timesteps=10, event_bits=2)
PAPERS = network("authors-dvs", image_size=128, embed_dim=256, heads=16, timesteps=10, event_bits=8)
"""The network of the authors' CIFAR10-DVS code at T = 10."""

LARGE_CHUNKED = dataclasses.replace(LARGE, name="large-chunked", time_chunks=3)


def imported(folder: Path, config: NetworkConfig) -> tuple[Artifact, ImageSet]:
    """An artifact of 8-bit weights made of a checkpoint by `spikeloom import`, and two recordings of event frames.

    Frames are kept as SpikingJelly keeps them, by class.
    """
    torch.save(checkpoint(lively(config), "authors-dvs"), folder / "model.pth")
    for label in range(config.classes):
        (folder / "frames" / str(label)).mkdir(parents=True)
    for label, frames in zip((3, 8), random_images(config, 2, seed=4).numpy(), strict=True):
        np.savez_compressed(folder / "frames" / str(label) / "0.npz", frames=frames.astype(np.float32))
    options = {
        "--out": folder / "model.spikeloom", "--calibrate": folder / "frames", "--dataset": "frames", "--bits": 8,
        "--size": config.image_size, "--heads": config.heads, "--timesteps": config.timesteps,
        "--event-bits": config.event_bits,
    }  # fmt: skip
    given = [str(text) for pair in options.items() for text in pair]
    assert cli.run(["import", str(folder / "model.pth"), *given]) == 0
    artifact, data = load(folder / "model.spikeloom"), own_images(folder / "frames", config)
    assert artifact.network == config and data.labels.tolist() == [3, 8]
    assert int(data.images.max()) == config.largest_pixel
    return artifact, data


@pytest.mark.parametrize(
    ("config", "hardware", "images"),
    [(SMALL, NARROW_CHUNKED, 2), pytest.param(PAPERS, LARGE_CHUNKED, 1, marks=pytest.mark.long)],
    ids=["small", "the-papers-2-256-at-128x128"],
)
def test_the_authors_network_for_event_cameras(
    tmp_path: Path, config: NetworkConfig, hardware: HardwareConfig, images: int
):
    """Counts, ten time steps in chunks, four pools, 16 heads, attention scaled by 1/4."""
    artifact, data = imported(tmp_path, config)
    comparison = Comparison(
        artifact=artifact, program=compile_artifact(artifact, hardware), data=data, images=images, traced=images,
        jobs=1, optimise=hardware is LARGE_CHUNKED, folder=tmp_path / "run",
    )  # fmt: skip
    report = comparison.run()
    figures = report.to_dict()
    assert report.mismatch is None
    spikes = sum(layer.positions * layer.out_channels for layer in config.layers() if layer.kind != "head")
    assert figures["mismatches"].pop("values_compared") > 2 * images * config.timesteps * spikes
    assert set(figures["mismatches"].values()) == {0}
    assert figures["cycles"]["rtl_min"] == figures["cycles"]["rtl_max"] == figures["cycles"]["model"]
    assert all(layer["input_rate"] > 0.005 for layer in figures["layers"][1:])  # nothing is silent
