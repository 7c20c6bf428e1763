"""A small network on the accelerator, and what must come out of it: for tests of what goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.cycles.cycle_model import predict_cycles
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.config import HardwareConfig
from hw.named_configs import TINY
from sim.rtl import PAGE_WORDS, RtlSimulation
from sim.runner import ImageResult, build, run
from sim.testbench.protocol import Disturbance, SimulatorJob
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.network import NetworkConfig

SMALL = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)
LATENCY = 20


class Network:
    """A small network and what it must come to."""

    def __init__(self, images: int, network: NetworkConfig = SMALL, config: HardwareConfig = TINY):
        self.artifact, self.config = random_artifact(network, 4, seed=3), config
        self.program = compile_artifact(self.artifact, config)
        self.pixels = random_images(network, images, seed=4)
        golden = GoldenModel(self.artifact).run(self.pixels)
        self.logits = golden.logits.tolist()
        self.cycles = predict_cycles(self.program, LATENCY).total
        self.alone: list[ImageResult] = []
        """What comes out of every image where nothing goes wrong."""

    def run(
        self,
        folder: Path,
        images: int,
        *,
        stalls: int = 0,
        latency: int = LATENCY,
        disturbances: Sequence[Disturbance] = (),
        **options,
    ) -> list[ImageResult]:
        """The first `images` ones."""
        simulation = RtlSimulation(
            simulator=build(self.config, optimise=False), artifact=self.artifact, program=self.program, folder=folder,
            latency=latency, stall_percent=stalls, stall_seed=7, **options,
        )  # fmt: skip
        return list(simulation.run(self.pixels[:images].numpy(), disturbances=disturbances).images)

    def check(self, image: ImageResult, *, stalls: int = 0) -> None:
        """The image is exact: its logits, what its layers did and, without stalls, all cycles."""
        assert image.failure is None
        assert image.job is not None
        assert list(image.job.logits) == self.logits[image.image]
        assert image.job.prediction == int(np.argmax(self.logits[image.image]))
        alone = self.alone[image.image].job
        assert alone is not None
        layers = alone.layers
        if not stalls:
            assert image.job.cycles == self.cycles
            assert image.job.layers == layers
        assert [(layer.busy, layer.spikes) for layer in image.job.layers] == [(one.busy, one.spikes) for one in layers]
        assert sum(layer.cycles for layer in image.job.layers) == image.job.cycles

    def run_programs(
        self, folder: Path, programs: Sequence[NDArray[np.uint64]], *, stalls: int = 0, **options
    ) -> list[ImageResult]:
        """The first image with each of these programs, as they lie in memory, in turn."""
        image = pack_image(self.artifact, self.config, self.pixels[0].numpy(), self.program.image_strips)
        parts = [*programs, image]
        pages = [-(-len(part) // PAGE_WORDS) * PAGE_WORDS for part in parts]
        places = np.cumsum([0, *pages]).tolist()
        content = np.zeros(places[-1], "<u8")
        for place, part in zip(places, parts, strict=False):
            content[place : place + len(part)] = part
        content.tofile(folder / "memory.bin")
        job = SimulatorJob(
            config=self.config, memory=folder / "memory.bin", program_bytes=0,
            image_addresses=(8 * places[-2],) * len(programs), classes=self.artifact.network.classes,
            layers=len(self.program.names), latency=LATENCY, stall_percent=stalls, stall_seed=7, folder=folder / "run",
            disturbances=tuple(
                Disturbance(image=number, program_address=8 * place, program_bytes=program.nbytes)
                for number, (place, program) in enumerate(zip(places, programs, strict=False))
            ),
            **options,
        )  # fmt: skip
        return list(run(build(self.config, optimise=False), job).images)
