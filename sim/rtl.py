"""Runs an artifact's images on the simulated accelerator."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from golden.cycles.cycle_model import predict_cycles
from golden.model import check_images
from hw.config import HardwareConfig
from hw.integers import ceil_div
from hw.named_configs import BASE
from sim.faults import Flip, memory_image
from sim.runner import ImageResult, RunResults, build, run
from sim.testbench.protocol import Disturbance, Event, SimulatorJob
from sim.verilator.processes import kill_running
from sim.verilator.simulation import Build
from sim.verilator.verilate import BUILD_FOLDER
from sw.artifact.artifact import Artifact
from sw.checkout import BUILD
from sw.claims import first_free, using
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.compiler.program import Program
from sw.driver.results import JobResult, LayerCounters
from sw.errors import UserError

IMAGES_PER_PROCESS = 64
"""Images that one simulator process gets: bounds its memory, and what an interruption costs."""

MEMORY_LATENCY = 20
"""Cycles from the acceptance of a burst to its first beat."""

PAGE_WORDS = 4096 // 8
"""Words of the memory image whose multiples program, images and record begin at."""


@dataclass(frozen=True)
class RtlRun:
    """What the accelerator made of the images.

    Attributes
    ----------
    images : tuple of ImageResult
        In the order given; `ImageResult.image` counts from the first.
    seconds : float
        Time spent simulating, added over the processes.
    layers : tuple of str
        Names of the layers, the load of the image first.
    """

    images: tuple[ImageResult, ...]
    seconds: float
    layers: tuple[str, ...]

    @property
    def cycles(self) -> int:
        """Simulated cycles of all images, the host's register accesses among them."""
        return sum(image.elapsed for image in self.images)

    @property
    def jobs(self) -> tuple[JobResult, ...]:
        """What the registers said after every image: logits, prediction, cycles, counters.

        Raises
        ------
        UserError
            If an image has no valid result.
        """
        for image in self.images:
            if image.failure is not None:
                raise UserError(image.failure)
        return tuple(image.result for image in self.images if image.result is not None)

    @property
    def logits(self) -> NDArray[np.int64]:
        """Integers ``[n, classes]``; raises as `jobs` does."""
        return np.array([job.logits for job in self.jobs], np.int64)

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Classes ``[n]``; raises as `jobs` does."""
        return np.array([job.prediction for job in self.jobs], np.int64)

    @property
    def counters(self) -> tuple[dict[str, LayerCounters], ...]:
        """Counters of every image, by name of the layer; raises as `jobs` does."""
        return tuple(dict(zip(self.layers, job.layers, strict=True)) for job in self.jobs)


@dataclass(frozen=True, kw_only=True)
class RtlSimulation:
    """An artifact on a simulated accelerator and its external memory.

    Attributes
    ----------
    simulator : Build
        Of the configuration that `program` was compiled for.
    artifact, program
        The network and its compiled form.
    folder : Path
        Keeps traces and logs, one folder per process; those of an earlier run are deleted.
    latency, stall_percent, stall_seed, start_seed : int
        Behaviour of the external memory, and what the machine holds before it starts, see `SimulatorJob`.
    flips : sequence of Flip
        Faults in the memory image.
    record : bool
        Let the accelerator write result records.
    watchdog : int, optional
        Cycles without progress that end a job; those that the hardware begins with by default.
    jobs : int
        Simulator processes at a time.
    """

    simulator: Build
    artifact: Artifact
    program: Program
    folder: Path
    latency: int = MEMORY_LATENCY
    stall_percent: int = 0
    stall_seed: int = 1
    start_seed: int | None = None
    flips: Sequence[Flip] = ()
    record: bool = False
    watchdog: int | None = None
    jobs: int = 1

    @cached_property
    def cycle_limit(self) -> int:
        """Cycles after which an image is given up.

        Stalls slow both directions of the port; a broken descriptor may ask for far more than the network does.
        """
        expected = predict_cycles(self.program, self.latency).total
        return int(4 * expected * (100 / (100 - self.stall_percent)) ** 2) + 100_000

    def run(
        self,
        images: NDArray[np.uint8],
        *,
        traced: int = 0,
        disturbances: Sequence[Disturbance] = (),
        on_image: Callable[[], None] | None = None,
    ) -> RtlRun:
        """Simulate images, several processes side by side.

        Parameters
        ----------
        images : uint8 array [n, channels, size, size]
            Raw pixels.
        traced : int
            The first so many images leave a trace.
        disturbances : sequence of Disturbance
            What happens to single images; `Disturbance.image` counts from the first.
        on_image : callable, optional
            Called after every image.

        Returns
        -------
        RtlRun
            A timeout or a fault of the accelerator is part of it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for earlier in self.folder.glob("images_*"):
            shutil.rmtree(earlier)
        size = min(IMAGES_PER_PROCESS, ceil_div(len(images), self.jobs))

        def on_event(event: Event) -> None:
            if event.kind == "finished" and on_image is not None:
                on_image()

        def simulate(first: int) -> RunResults:
            return self._simulate(images[first : first + size], first, traced, disturbances, on_event)

        with ThreadPoolExecutor(self.jobs) as pool:
            processes = [pool.submit(simulate, first) for first in range(0, len(images), size)]
            try:
                runs = [process.result() for process in processes]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                while wait(processes, timeout=0.1).not_done:  # some may only be about to start a simulator
                    kill_running()
                raise
        return RtlRun(
            images=tuple(image for one in runs for image in one.images),
            seconds=sum(one.seconds for one in runs),
            layers=self.program.names,
        )

    def _simulate(
        self,
        images: NDArray[np.uint8],
        first: int,
        traced: int,
        disturbances: Sequence[Disturbance],
        on_event: Callable[[Event], None],
    ) -> RunResults:
        """Run images in one process; the first of them is number `first` of all, and so are those of the results."""
        folder = self.folder / f"images_{first}"
        folder.mkdir(exist_ok=True)
        program = memory_image(self.program, self.flips)
        content, image_addresses, record_address = self._external_memory(program, images)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".memory") as file:
            content.tofile(file)
            file.flush()
            job = SimulatorJob(
                config=self.program.config, memory=Path(file.name),
                program_bytes=program.nbytes, image_addresses=image_addresses,
                record_address=record_address if self.record else None, classes=self.artifact.network.classes,
                layers=len(self.program.names), cycle_limit=self.cycle_limit, latency=self.latency,
                stall_percent=self.stall_percent, stall_seed=self.stall_seed + first, start_seed=self.start_seed,
                watchdog=self.watchdog,
                traced=tuple(range(min(max(traced - first, 0), len(images)))), folder=folder,
                disturbances=tuple(
                    replace(one, image=one.image - first)
                    for one in disturbances
                    if 0 <= one.image - first < len(images)
                ),
            )  # fmt: skip
            found = run(self.simulator, job, on_event=on_event)
        return replace(found, images=tuple(replace(image, image=first + image.image) for image in found.images))

    def _external_memory(
        self, program: NDArray[np.uint64], images: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint64], tuple[int, ...], int]:
        """Program, images and room for a record, and the byte addresses of the images and of the record.

        All begin where a host's buffers do, so that images are cut into bursts alike and take the same cycles.
        """
        strips = self.program.image_strips
        packed = [_padded(pack_image(self.artifact, self.program.config, image, strips)) for image in images]
        parts = [_padded(program), *packed, np.zeros(PAGE_WORDS, np.uint64)]
        addresses = np.cumsum([part.nbytes for part in parts]).tolist()
        return np.concatenate(parts).astype("<u8"), tuple(addresses[:-2]), addresses[-2]


def simulate(
    artifact: Artifact,
    images: Tensor | NDArray[np.uint8],
    config: HardwareConfig = BASE,
    *,
    traced: int = 0,
    jobs: int | None = None,
    folder: Path = BUILD / "simulate",
) -> RtlRun:
    """Run images on the accelerator: its Verilog, in Verilator.

    The simulator is built if it is not yet (a minute for small configurations). Memory has no stalls and a latency of
    `MEMORY_LATENCY` cycles; `RtlSimulation` has other ones.

    Parameters
    ----------
    artifact : Artifact
    images : uint8 Tensor or array [n, channels, size, size]
        Raw pixels.
    config : HardwareConfig
        Size of the accelerator.
    traced : int
        The first so many images leave a trace, `ImageResult.trace`.
    jobs : int, optional
        Simulator processes, and compilers that build one, at a time; by default one for each processor.
    folder : Path
        Keeps traces and logs; if another process works there, the same name with a number.

    Returns
    -------
    RtlRun

    Raises
    ------
    ValueError
        If the images are not uint8 or not of the network's shape.
    UserError
        If the network does not fit the configuration, a tool is missing, or the accelerator stops with an error.
    """
    pixels = torch.as_tensor(images)
    check_images(pixels, artifact.network)
    program, jobs = compile_artifact(artifact, config), jobs or os.cpu_count() or 1
    with using(BUILD_FOLDER), first_free(folder, lambda _: None) as place:
        simulation = RtlSimulation(
            simulator=build(config, jobs=jobs), artifact=artifact, program=program, folder=place, jobs=jobs
        )
        found = simulation.run(pixels.numpy(), traced=traced)
    assert len(found.jobs) == len(pixels)
    return found


def _padded(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Zeros behind `words`, up to a whole page."""
    return np.concatenate([words, np.zeros(-len(words) % PAGE_WORDS, np.uint64)])
