"""How fast golden model, simulators and accelerator are with a model of the user's."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from golden.accounting.operations import dense_operations
from golden.cycles.cycle_model import predict_cycles
from golden.evaluate import evaluate
from golden.random_artifact import random_artifact, random_images
from hw.config import HardwareConfig
from sim.rtl import MEMORY_LATENCY, RtlSimulation
from sim.runner import build
from spikeloom.measure.figures import StatusLine
from spikeloom.measure.inference import seconds_per_image
from sw.artifact.artifact import Artifact
from sw.claims import scratch
from sw.compiler.compiler import compile_artifact
from sw.data.sets import ImageSet
from sw.errors import UserError
from sw.network import NetworkConfig

GOLDEN_IMAGES = 64


@dataclass(frozen=True)
class Benchmark:
    """One measurement.

    Attributes
    ----------
    name : str
        What was measured.
    value : float
    unit : str
    command : str
        Measures it again.
    """

    name: str
    value: float
    unit: str
    command: str


def measure_golden(artifact: Artifact, images: ImageSet, command: str, status: StatusLine) -> Benchmark:
    """Speed of the golden model."""
    count = min(GOLDEN_IMAGES, len(images))
    evaluate(artifact, images.images[:1], images.labels[:1], bar=False)  # the first call sets threads up
    with status(f"golden model over {count} images"):
        result = evaluate(artifact, images.images[:count], images.labels[:count], bar=False)
    return Benchmark("golden model", count / result.seconds, "images/s", command)


def measure_inference(command: str, status: StatusLine) -> list[Benchmark]:
    """Speed of the golden model with Spikformer-4-256, and of SpikingJelly's Spikformer if it is installed."""
    with status("golden model and, if installed, SpikingJelly with Spikformer-4-256 on one thread"):
        golden, spikingjelly = seconds_per_image()
    rows = [Benchmark("golden model, Spikformer-4-256, one thread", 1 / golden, "images/s", command)]
    if spikingjelly is not None:
        rows += [
            Benchmark("SpikingJelly, Spikformer-4-256 in float, one thread", 1 / spikingjelly, "images/s", command),
            Benchmark("golden model over SpikingJelly", spikingjelly / golden, "times as fast", command),
        ]
    return rows


def measure_config(
    config: HardwareConfig, artifact: Artifact, images: ImageSet, command: str, folder: Path, status: StatusLine
) -> list[Benchmark]:
    """Build and run one configuration; one image.

    A configuration too small for the model runs a small network of random weights, and the names say so.
    """
    pixels, name = images.images, artifact.dataset
    try:
        program = compile_artifact(artifact, config)
    except UserError:
        artifact = small_artifact(config)
        program, name = compile_artifact(artifact, config), "random 16x16 network"
        pixels = random_images(artifact.network, 1, seed=1)
    with scratch(folder, ".bench-") as work:
        with status(f"{config.name}: building the simulator"):
            began = time.perf_counter()
            simulator = build(config, waves=False, jobs=os.cpu_count() or 1, folder=work / "sim")
            built = time.perf_counter() - began
        with status(f"{config.name}: running one image"):
            simulation = RtlSimulation(simulator=simulator, artifact=artifact, program=program, folder=work / "run")
            rtl = simulation.run(pixels[:1].numpy())
    (image,) = rtl.images
    if image.failure or image.job is None:
        raise UserError(f"{config.name}: {image.failure or 'no result'}; see what `spikeloom compare` says")
    predicted = predict_cycles(program, MEMORY_LATENCY).total
    ideal = sum(layer.plane_sops for layer in dense_operations(artifact.network)) / config.sops_per_cycle
    title = f"{config.name}, {name}"
    return [
        Benchmark(f"{title}: build of the simulator", built, "s", command),
        Benchmark(f"{title}: simulation", rtl.cycles / rtl.seconds, "cycles/s", command),
        Benchmark(f"{title}: RTL", image.job.cycles, "cycles/image", command),
        Benchmark(f"{title}: cycle model", predicted, "cycles/image", command),
        Benchmark(f"{title}: ideal", ideal, "cycles/image", command),
        Benchmark(f"{title}: utilisation", ideal / image.job.cycles, "of ideal", command),
    ]


def small_artifact(config: HardwareConfig) -> Artifact:
    """A random network that the smallest configuration holds."""
    network = NetworkConfig(
        image_size=16, image_channels=1, classes=10, embed_dim=32, depth=1, heads=2, timesteps=config.timesteps
    )
    return random_artifact(network, config.weight_bits, seed=1)
