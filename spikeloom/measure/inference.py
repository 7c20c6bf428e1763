"""Inference speed of the golden model beside SpikingJelly's Spikformer in float: one network, one batch, one thread.

SpikingJelly is no dependency. Where it is installed its Spikformer is measured too, round by round with the golden
model, in processor time: other work on the machine then counts for neither, except where it takes caches from both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from spikeloom.measure.figures import SEED
from sw.named_networks import SPIKFORMER_4_256
from sw.network import STEM, NetworkConfig

IMAGES = 32
ROUNDS = 7

INSTALL = "pip install --no-deps spikingjelly==2.0.0 loguru==0.7.3 h5py==3.16.0"
"""Brings SpikingJelly without its dependencies, which would replace this PyTorch."""


def seconds_per_image() -> tuple[float, float | None]:
    """Medians for Spikformer-4-256, T = 4, 32 images at a time, on one thread: the golden model's, and SpikingJelly's.

    On an idle machine processor time, which this is, is the time that passes. Weights are random, 4 bit in the golden
    model, and neurons of both fire. SpikingJelly's is None where it is not installed.
    """
    network = SPIKFORMER_4_256
    golden = GoldenModel(random_artifact(network, weight_bits=4, seed=SEED))
    images = random_images(network, IMAGES, seed=SEED)
    runs: list[Callable[[], Any]] = [lambda: list(golden.stream(images))]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        spikformer = spikingjelly_spikformer(network)
        if spikformer is not None:
            runs.append(lambda: spikformer(images / 128 - 1))
        times: list[list[float]] = [[] for _ in runs]
        for number in range(1 + ROUNDS):
            for run, taken in zip(runs, times, strict=True):
                began = time.thread_time()
                run()
                if number:  # the first round sets things up
                    taken.append((time.thread_time() - began) / IMAGES)
    finally:
        torch.set_num_threads(threads)
    return median(times[0]), median(times[1]) if spikformer else None


def spikingjelly_spikformer(network: NetworkConfig) -> Callable[[Tensor], Tensor] | None:
    """SpikingJelly's Spikformer of this shape in inference mode, from images to logits; None if it is not installed.

    Its stem pools after all four convolutions. Where `network` has fewer pools the first stages are replaced by its own
    stages without one, so that both have the same layers on the same grids. Batch norms hold the statistics of a batch
    of noise.
    """
    try:
        from spikingjelly.activation_based import functional
        from spikingjelly.activation_based.model.spikformer import Spikformer, SpikformerConv2dBNLIF
    except ImportError:
        return None
    model = Spikformer(
        T=network.timesteps, in_channels=network.image_channels, img_size_h=network.image_size,
        img_size_w=network.image_size, num_classes=network.classes, embed_dims=network.embed_dim,
        num_heads=network.heads, mlp_ratio=network.mlp_ratio, depths=network.depth,
    )  # fmt: skip
    for number, layer in enumerate(network.layers()[: STEM - network.pools]):
        model.patch_embed.stages[number] = SpikformerConv2dBNLIF(
            layer.in_channels, layer.out_channels, kernel_size=3, padding=1
        )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the statistics are then those of all batches seen
            nn.init.constant_(module.weight, 2.0)  # normalised currents alone rarely reach the threshold

    def run(images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = model(images).mean(dim=0)
        functional.reset_net(model)
        return logits

    torch.manual_seed(SEED)
    run(torch.randn(IMAGES, network.image_channels, network.image_size, network.image_size))
    model.eval()
    return run
