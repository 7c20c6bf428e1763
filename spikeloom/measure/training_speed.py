"""How fast training is: images per second of whole optimiser steps, ours beside SpikingJelly's where it is installed.

All in one run, on one device, with the same batch, and beside the rate of a large matrix product there: dense
multiply-accumulates of a step (forward, and twice that backward) over that rate is the share of peak. What is timed
takes turns, and the median of its rounds counts: a machine that does other work disturbs all lines alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from golden.accounting.operations import dense_operations
from sw.model.neuron import compile_neurons
from sw.model.quantizers import begin_scales
from sw.named_networks import SPIKFORMER_4_256
from sw.training.phases import spikformer_class
from sw.training.processes import Processes
from sw.training.step import WARM_UP, TrainStep, adamw

OPERATIONS = 2 * 3
"""Floating-point operations of a training step per multiply-accumulate of the forward pass."""

WARM_UPS = {"cpu": 1, "cuda": WARM_UP + 2}
"""Steps before the timed ones, by kind of device: the first compiles the neurons or, after a few, records a graph."""

PEAK_SIZE = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices whose product stands for the peak, by kind of device."""


@dataclass(frozen=True)
class TrainingSpeed:
    """One line of the table.

    Attributes
    ----------
    name : str
        What was timed.
    images_per_s : float
        Of whole steps.
    of_peak : float
        Share of the matrix product's rate.
    """

    name: str
    images_per_s: float
    of_peak: float


def wait(device: torch.device) -> None:
    """Until the device has done everything asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(device: torch.device, repeat: int, action: Callable[[], object]) -> float:
    """Seconds of one of `repeat` actions."""
    wait(device)
    began = time.perf_counter()
    for _ in range(repeat):
        action()
    wait(device)
    return (time.perf_counter() - began) / repeat


def training_speeds(
    processes: Processes, *, batch: int, steps: int, rounds: int, graph: bool = True
) -> list[TrainingSpeed]:
    """Time training of Spikformer-4-256 in bf16: float, quantised to 4 bits, and SpikingJelly's.

    Parameters
    ----------
    processes : Processes
        The device. It holds all models at once.
    batch, steps, rounds : int
        Images of a step, steps of each model in a round, and rounds.
    graph : bool
        Replay our steps as CUDA graphs.
    """
    device = processes.device
    if device.type == "cpu":
        compile_neurons()
    images, classes = torch.randn(batch, *SPIKFORMER_4_256.input_shape, device=device), SPIKFORMER_4_256.classes
    targets = functional.one_hot(torch.arange(batch, device=device) % classes, classes).float()
    models = {
        f"ours, {name}": our_step(processes, bits, images, targets, graph)
        for name, bits in (("float", None), ("4-bit weights", 4))
    }
    theirs = spikingjelly_step(device, images, targets)
    if theirs is not None:
        models["SpikingJelly, float"] = theirs
    for step in models.values():
        timed(device, WARM_UPS[device.type], step)
    product = matrix_product(device)
    timed(device, 3, product)
    products = []
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(rounds):
        products.append(timed(device, 10, product))
        for name, step in models.items():
            times[name].append(timed(device, steps, step))
    work = OPERATIONS * sum(layer.macs * layer.steps for layer in dense_operations(SPIKFORMER_4_256))
    rate = 2 * PEAK_SIZE[device.type] ** 3 / statistics.median(products)
    speeds = {name: batch / statistics.median(seconds) for name, seconds in times.items()}
    return [TrainingSpeed(name, per_second, per_second * work / rate) for name, per_second in speeds.items()]


def matrix_product(device: torch.device) -> Callable[[], object]:
    """Return a large product of bf16 matrices of random numbers: `PEAK_SIZE` cubed multiply-accumulates."""
    size = PEAK_SIZE[device.type]
    left, right = torch.randn(2, size, size, device=device, dtype=torch.bfloat16)
    return lambda: torch.mm(left, right)


def our_step(
    processes: Processes, bits: int | None, images: Tensor, targets: Tensor, graph: bool
) -> Callable[[], None]:
    """Return a training step of our model, float or with weights of `bits`."""
    model = spikformer_class(processes.device)(SPIKFORMER_4_256, bits, 1 / 64)
    begin_scales(model)
    model.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    step = TrainStep(model, adamw(model, 0.06, processes.device), processes, bf16=True, graph=graph)
    return lambda: step(images, targets, 1e-3)


def spikingjelly_step(device: torch.device, images: Tensor, targets: Tensor) -> Callable[[], None] | None:
    """Return a training step of SpikingJelly 2.0's Spikformer of the same size, or None if it is not installed."""
    try:
        from spikingjelly.activation_based import functional as spiking
        from spikingjelly.activation_based.model.spikformer import Spikformer
    except ImportError:
        return None
    network = SPIKFORMER_4_256
    model: Any = Spikformer(
        T=network.timesteps, in_channels=network.image_channels, img_size_h=network.image_size,
        img_size_w=network.image_size, patch_size=4, num_classes=network.classes, embed_dims=network.embed_dim,
        num_heads=network.heads, depths=network.depth,
    ).to(device)  # fmt: skip
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.06, fused=device.type == "cuda")

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(images).mean(0)
        loss: Tensor = functional.cross_entropy(logits.float(), targets)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        spiking.reset_net(model)

    return step
