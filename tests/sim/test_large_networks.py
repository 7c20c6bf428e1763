"""Networks of the paper's sizes on `large`, spike by spike: minutes each, so only with ``spikeloom test --long``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from golden.random_artifact import random_artifact, random_images
from hw.config import HardwareConfig
from hw.named_configs import LARGE
from sim.comparison.compare import Comparison
from sw.compiler.compiler import compile_artifact
from sw.data.sets import ImageSet
from sw.named_networks import named_network
from sw.network import NetworkConfig

STALLS = 30
"""Percent of cycles in which memory stalls."""

WIDE = dataclasses.replace(LARGE, name="large-wide", head_channels=96, residual_words=12288)
"""For 8-768: heads of 96 channels, and a longer residual memory. Its stem is computed in strips."""

CHUNKED = dataclasses.replace(LARGE, name="large-chunked", time_chunks=4, accumulator_bits=15)
"""For event frames of 16 time steps."""

pytestmark = pytest.mark.long


def run(
    folder: Path, network: NetworkConfig, bits: int = 4, *, images: int = 1, stalls: int = 0,
    config: HardwareConfig = LARGE,
) -> dict[str, Any]:  # fmt: skip
    """Compare a random network, every spike of the first image and the logits of all."""
    artifact = random_artifact(network, bits, seed=1)
    data = ImageSet(
        images=random_images(network, images, seed=2),
        labels=torch.zeros(images, dtype=torch.int64),
        indices=torch.arange(images),
    )
    comparison = Comparison(
        artifact=artifact, program=compile_artifact(artifact, config), data=data, images=images, traced=1,
        stall_percent=stalls, jobs=1, folder=folder / "run",
    )  # fmt: skip
    report = comparison.run()
    assert report.mismatch is None
    figures = report.to_dict()
    spikes = sum(layer.positions * layer.out_channels for layer in network.layers() if layer.kind != "head")
    assert figures["mismatches"]["values_compared"] > 2 * network.timesteps * spikes
    return figures


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("mode", ["add", "clamp", "iand"])
def test_4_256_is_equal_in_every_spike_and_cycle(tmp_path, mode, bits):
    network = dataclasses.replace(named_network("spikformer-4-256"), residual_mode=mode)
    figures = run(tmp_path, network, bits, images=3)
    assert [layer["cycles"] for layer in figures["layers"]] == [layer["model_cycles"] for layer in figures["layers"]]
    assert figures["cycles"]["rtl_min"] == figures["cycles"]["rtl_max"] == figures["cycles"]["model"]


@pytest.mark.parametrize(("mode", "bits"), [("add", 4), ("iand", 4), ("add", 8)])
def test_stalls_cost_4_256_at_most_a_percent(tmp_path, mode, bits):
    network = dataclasses.replace(named_network("spikformer-4-256"), residual_mode=mode)
    cycles = run(tmp_path, network, bits, images=3, stalls=STALLS)["cycles"]
    assert cycles["model"] < cycles["rtl_min"] <= cycles["rtl_max"] < 1.01 * cycles["model"]


@pytest.mark.parametrize("name", ["spikformer-2-384", "spikformer-6-512"])
def test_every_kind_of_layer_of_the_wider_networks(tmp_path, name):
    """Their stem and one block, of CIFAR's 384 channels and of ImageNet's shapes."""
    figures = run(tmp_path, dataclasses.replace(named_network(name), depth=1))
    assert figures["cycles"]["rtl_min"] == pytest.approx(figures["cycles"]["model"], rel=0.01)


def test_the_widest_network_and_its_stem_in_strips(tmp_path):
    network = dataclasses.replace(named_network("spikformer-8-768"), depth=1)
    figures = run(tmp_path, network, config=WIDE)
    assert figures["cycles"]["rtl_min"] == pytest.approx(figures["cycles"]["model"], rel=0.01)


def test_event_frames_of_sixteen_time_steps(tmp_path):
    figures = run(tmp_path, named_network("spikformer-2-256"), config=CHUNKED)
    assert figures["cycles"]["rtl_min"] == pytest.approx(figures["cycles"]["model"], rel=0.01)


def test_a_whole_image_of_imagenets_shape(tmp_path):
    figures = run(tmp_path, named_network("spikformer-8-512"))
    assert figures["cycles"]["rtl_min"] == pytest.approx(figures["cycles"]["model"], rel=0.01)
