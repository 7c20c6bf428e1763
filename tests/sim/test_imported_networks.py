"""Checkpoints of other codes on the accelerator: imported, compiled, and equal in every spike, logit and cycle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from golden.random_artifact import random_images
from hw.config import HardwareConfig
from hw.named_configs import LARGE_ANY
from sim.comparison.compare import Comparison
from spikeloom import cli
from spikeloom.commands.own_images import own_images
from sw.artifact.artifact import Artifact
from sw.artifact.file import load
from sw.compiler.compiler import compile_artifact
from sw.data.sets import ImageSet
from sw.network import NetworkConfig
from tests.sim.test_whole_network import CHUNKED, NARROW_CHUNKED, neurons_of
from tests.sw.importer.checkpoints import checkpoint, lively, network

SMALL = network("authors-dvs", embed_dim=64, depth=1, heads=16, timesteps=10, event_bits=2)
PAPERS = network("authors-dvs", image_size=128, embed_dim=256, heads=16, timesteps=10, event_bits=8)
"""The network of the authors' CIFAR10-DVS code at T = 10."""


def imported(folder: Path, kind: str, config: NetworkConfig, bits: int) -> tuple[Artifact, ImageSet]:
    """An artifact made of a checkpoint by `spikeloom import`, and two images or recordings."""
    torch.save(checkpoint(lively(config), kind), folder / "model.pth")
    data = write_frames(folder, config) if config.event_bits else write_images(folder, config)
    options = {
        "--out": folder / "model.spikeloom", "--calibrate": data, "--dataset": "mine", "--bits": bits,
        "--size": config.image_size, "--heads": config.heads, "--timesteps": config.timesteps,
        **({"--event-bits": config.event_bits} if config.event_bits else {"--mean": ".5,.5,.5", "--std": ".2,.2,.2"}),
    }  # fmt: skip
    given = [str(text) for pair in options.items() for text in pair]
    assert cli.run(["import", str(folder / "model.pth"), *given]) == 0
    artifact, images = load(folder / "model.spikeloom"), own_images(data, config)
    assert artifact.network == config and images.labels.tolist() == [3, 8]
    return artifact, images


def write_images(folder: Path, config: NetworkConfig) -> Path:
    """A file of two images and their labels."""
    np.savez(folder / "images.npz", images=random_images(config, 2, seed=4).numpy(), labels=np.array([3, 8]))
    return folder / "images.npz"


def write_frames(folder: Path, config: NetworkConfig) -> Path:
    """Two recordings as frames, as SpikingJelly keeps them, by class."""
    for label in range(config.classes):
        (folder / "frames" / str(label)).mkdir(parents=True)
    frames = random_images(config, 2, seed=4)
    assert int(frames.max()) == config.largest_pixel
    for label, counts in zip((3, 8), frames.numpy(), strict=True):
        np.savez_compressed(folder / "frames" / str(label) / "0.npz", frames=counts.astype(np.float32))
    return folder / "frames"


@pytest.mark.parametrize(
    ("kind", "config", "hardware", "images"),
    [
        ("cml", network("cml", depth=1), CHUNKED, 2),
        ("spikingjelly", network("spikingjelly", depth=1), NARROW_CHUNKED, 2),
        ("authors-dvs", SMALL, NARROW_CHUNKED, 2),
        pytest.param("authors-dvs", PAPERS, LARGE_ANY, 1, marks=pytest.mark.long),
    ],
    ids=["cml", "spikingjelly", "authors-dvs", "the-papers-2-256-at-128x128"],
)
def test_checkpoints_of_other_codes_run_on_the_accelerator(
    tmp_path: Path, kind: str, config: NetworkConfig, hardware: HardwareConfig, images: int
):
    """Pools before neurons; counts of events, ten time steps in chunks, four pools, 16 heads, attention times 1/4."""
    artifact, data = imported(tmp_path, kind, config, hardware.weight_bits)
    comparison = Comparison(
        artifact=artifact, program=compile_artifact(artifact, hardware), data=data, images=images, traced=images,
        jobs=1, optimise=hardware is LARGE_ANY, folder=tmp_path / "run",
    )  # fmt: skip
    report = comparison.run()
    figures = report.to_dict()
    assert report.mismatch is None
    spikes = sum(neurons_of(layer) for layer in config.layers() if layer.kind != "head")
    assert figures["mismatches"].pop("values_compared") > 2 * images * config.timesteps * spikes
    assert set(figures["mismatches"].values()) == {0}
    assert figures["cycles"]["rtl_min"] == figures["cycles"]["rtl_max"] == figures["cycles"]["model"]
    assert all(layer["input_rate"] > 0.005 for layer in figures["layers"][1:])  # nothing is silent
