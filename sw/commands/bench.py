"""`spikeloom bench`: measured speeds, each with its unit and the command that measures it again."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from sw.commands.common import BUILD, MODEL, ConfigType, console, model_option, progress_console, shown, write_json
from sw.errors import UserError

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from sw.artifact import Artifact
    from sw.data import ImageSet

OUT = BUILD / "bench.json"
GOLDEN_IMAGES = 64


@dataclass(frozen=True)
class Figure:
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


@click.command()
@model_option()
@click.option(
    "--config", "configs", type=ConfigType(), multiple=True, default=["tiny", "base"], metavar="NAME|FILE.json",
    help="Hardware configuration; may be given several times.  [default: tiny, base]",
)  # fmt: skip
def bench(model: Path, configs: tuple[HardwareConfig, ...]) -> None:
    """Measure the speed of golden model, simulation and accelerator.

    Golden images per second, seconds to build each simulator from nothing, simulated cycles per second, and cycles per
    image in RTL beside the cycle model and the ideal (dense operations x bit-planes / operations per cycle). A
    configuration too small for the model runs a small network of random weights instead, and the table says so.
    """
    from sw.artifact import load
    from sw.commands.images import images_for

    artifact = load(model)
    images = images_for(artifact, None, whole=False)
    again = "spikeloom bench" + ("" if model == MODEL else f" --model {shown(model)}")
    figures = [measure_golden(artifact, images, again)]
    for config in configs:
        figures += measure_config(config, artifact, images, f"{again} --config {config.name}")
    write_json(OUT, [asdict(figure) for figure in figures])
    table = Table("measurement", "unit", "command")
    table.add_column("value", justify="right")
    for figure in figures:
        digits = 0 if figure.value >= 1000 else 1 if figure.unit != "of ideal" else 3
        table.add_row(figure.name, figure.unit, figure.command, f"{figure.value:,.{digits}f}")
    console.print(table)
    console.print(shown(OUT))


def measure_golden(artifact: Artifact, images: ImageSet, command: str) -> Figure:
    """Speed of the golden model."""
    from golden.evaluate import evaluate

    count = min(GOLDEN_IMAGES, len(images))
    evaluate(artifact, images.images[:1], images.labels[:1], bar=False)  # the first call sets threads up
    with progress_console.status(f"golden model over {count} images"):
        result = evaluate(artifact, images.images[:count], images.labels[:count], bar=False)
    return Figure("golden model", count / result.seconds, "images/s", command)


def measure_config(config: HardwareConfig, artifact: Artifact, images: ImageSet, command: str) -> list[Figure]:
    """Build and run one configuration; one image."""
    from golden.cycles import predict_cycles
    from golden.operations import dense_operations
    from sim.rtl import MEMORY_LATENCY, run_images
    from sim.runner import build
    from sw.compiler import compile_artifact
    from sw.random_artifact import random_images

    pixels, name = images.images, artifact.dataset
    try:
        program = compile_artifact(artifact, config)
    except UserError:
        artifact = small_artifact(config)
        program, name = compile_artifact(artifact, config), "random 16x16 network"
        pixels = random_images(artifact.network, 1, seed=1)
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=BUILD) as folder:
        with progress_console.status(f"{config.name}: building the simulator"):
            began = time.perf_counter()
            simulator = build(config, waves=False, folder=Path(folder) / "sim")
            built = time.perf_counter() - began
        with progress_console.status(f"{config.name}: running one image"):
            rtl = run_images(simulator, artifact, program, pixels[:1].numpy(), folder=Path(folder) / "run")
    (image,) = rtl.images
    if image.failure or image.job is None:
        raise UserError(f"{config.name}: {image.failure or 'no result'}; see what `spikeloom compare` says")
    predicted = predict_cycles(program, MEMORY_LATENCY).total
    ideal = sum(layer.plane_operations for layer in dense_operations(artifact.network)) / config.sops_per_cycle
    title = f"{config.name}, {name}"
    return [
        Figure(f"{title}: build of the simulator", built, "s", command),
        Figure(f"{title}: simulation", rtl.cycles / rtl.seconds, "cycles/s", command),
        Figure(f"{title}: RTL", image.job.cycles, "cycles/image", command),
        Figure(f"{title}: cycle model", predicted, "cycles/image", command),
        Figure(f"{title}: ideal", ideal, "cycles/image", command),
        Figure(f"{title}: utilisation", ideal / image.job.cycles, "of ideal", command),
    ]


def small_artifact(config: HardwareConfig) -> Artifact:
    """A random network that the smallest configuration holds."""
    from sw.network import NetworkConfig
    from sw.random_artifact import random_artifact

    network = NetworkConfig(
        image_size=16, image_channels=1, classes=10, embed_dim=32, depth=1, heads=2, timesteps=config.timesteps
    )
    return random_artifact(network, config.weight_bits, seed=1)
