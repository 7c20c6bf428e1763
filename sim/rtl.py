"""Runs an artifact's images on the simulated accelerator."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.cycles.cycle_model import predict_cycles
from hw.integers import ceil_div
from sim.runner import ImageResult, run
from sim.testbench.protocol import Disturbance, Event, Job
from sim.verilator.verilate import Build, kill_running
from sw.artifact.artifact import Artifact
from sw.compiler.image_pack import pack_image
from sw.compiler.program import Program
from sw.errors import UserError

IMAGES_PER_PROCESS = 64
"""Images that one simulator process gets: bounds its memory, and what an interruption costs."""

MEMORY_LATENCY = 20
"""Cycles from the acceptance of a burst to its first beat."""


PAGE_WORDS = 4096 // 8
"""Words of the memory image whose multiples program, images and record begin at."""


def _padded(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Zeros behind `words`, up to a whole page."""
    return np.concatenate([words, np.zeros(-len(words) % PAGE_WORDS, np.uint64)])


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A fault injected into the memory image: one bit of one beat, flipped before the run."""

    beat: int
    bit: int

    @classmethod
    def parse(cls, text: str) -> Flip:
        """Read ``BEAT:BIT``.

        Raises
        ------
        UserError
            If it is not that.
        """
        try:
            beat, bit = (int(part) for part in text.split(":"))
        except ValueError:
            raise UserError(f"a bit to flip is BEAT:BIT, two integers such as 120:3, not {text!r}") from None
        if not 0 <= bit < 64:
            raise UserError(f"a beat has bits 0 to 63, not {bit} (in {text!r})")
        return cls(beat=beat, bit=bit)


def memory_image(program: Program, flips: Sequence[Flip]) -> NDArray[np.uint64]:
    """Program and weights with the faults injected."""
    memory = program.memory.copy()
    for flip in flips:
        if not 0 <= flip.beat < len(memory):
            raise UserError(
                f"the program has beats 0 to {len(memory) - 1}, not {flip.beat}: choose one of them to flip"
            )
        memory[flip.beat] ^= np.uint64(1) << np.uint64(flip.bit)
    return memory


@dataclass(frozen=True)
class RtlRun:
    """What the accelerator made of the images.

    Attributes
    ----------
    images : tuple of ImageResult
        In the order given; `ImageResult.image` counts from the first.
    seconds : float
        Time spent simulating, added over the processes.
    """

    images: tuple[ImageResult, ...]
    seconds: float

    @property
    def cycles(self) -> int:
        """Simulated cycles."""
        return sum(image.elapsed for image in self.images)


def run_images(
    build: Build,
    artifact: Artifact,
    program: Program,
    images: NDArray[np.uint8],
    *,
    folder: Path,
    traced: int = 0,
    stall_percent: int = 0,
    stall_seed: int = 1,
    start_seed: int | None = None,
    latency: int = MEMORY_LATENCY,
    flips: Sequence[Flip] = (),
    disturbances: Sequence[Disturbance] = (),
    record: bool = False,
    behind_program: int = 0,
    jobs: int = 1,
    on_image: Callable[[], None] | None = None,
) -> RtlRun:
    """Simulate images, several processes side by side.

    Parameters
    ----------
    build : Build
        The simulator.
    artifact, program
        The network and its compiled form.
    images : uint8 array [n, channels, size, size]
        Raw pixels.
    folder : Path
        Keeps traces and logs, one folder per process; those of an earlier run are deleted.
    traced : int
        The first so many images leave a trace.
    stall_percent, stall_seed, latency, start_seed : int
        Behaviour of the external memory, and what the machine holds before it starts, see `Job`.
    flips : sequence of Flip
        Faults to inject.
    disturbances : sequence of Disturbance
        What happens to single images; `Disturbance.image` counts from the first.
    record : bool
        Let the accelerator write result records.
    behind_program : int
        Bytes by which the accelerator is told that the program is longer than it is.
    jobs : int
        Simulator processes at a time.
    on_image : callable, optional
        Called after every image.

    Returns
    -------
    RtlRun
        A timeout or a fault of the accelerator is part of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob("images_*"):
        shutil.rmtree(earlier)
    memory = memory_image(program, flips)
    expected = predict_cycles(program, latency).total
    # Stalls slow both directions of the port; a broken descriptor may ask for far more than the network does.
    limit = int(4 * expected * (100 / (100 - stall_percent)) ** 2) + 100_000
    size = min(IMAGES_PER_PROCESS, ceil_div(len(images), jobs))

    def simulate(first: int) -> tuple[list[ImageResult], float]:
        chunk = images[first : first + size]
        # Images begin where a host's buffers do, so they are cut into bursts alike and take the same cycles.
        packed = [_padded(pack_image(artifact, program.config, image, program.image_strips)) for image in chunk]
        images_at = _padded(memory).nbytes
        addresses = tuple(images_at + i * packed[0].nbytes for i in range(len(chunk)))
        record_at = images_at + len(chunk) * packed[0].nbytes
        program_bytes = memory.nbytes + behind_program
        run_folder = folder / f"images_{first}"
        run_folder.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=run_folder, suffix=".memory") as file:
            np.concatenate([_padded(memory), *packed, np.zeros(PAGE_WORDS, np.uint64)]).astype("<u8").tofile(file)
            file.flush()
            job = Job(
                config=program.config, memory=Path(file.name), program_bytes=program_bytes, image_addresses=addresses,
                record_address=record_at if record else None, classes=artifact.network.classes,
                layers=len(program.names), cycle_limit=limit,
                latency=latency, stall_percent=stall_percent, stall_seed=stall_seed + first, start_seed=start_seed,
                traced=tuple(i for i in range(len(chunk)) if first + i < traced), folder=run_folder,
                disturbances=tuple(
                    replace(one, image=one.image - first) for one in disturbances if 0 <= one.image - first < len(chunk)
                ),
            )  # fmt: skip
            result = run(build, job, on_event=report)
        return [replace(image, image=first + image.image) for image in result.images], result.seconds

    def report(event: Event) -> None:
        if event.kind == "finished" and on_image is not None:
            on_image()

    with ThreadPoolExecutor(jobs) as pool:
        try:
            chunks = list(pool.map(simulate, range(0, len(images), size)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            kill_running()
            raise
    return RtlRun(tuple(image for chunk, _ in chunks for image in chunk), sum(seconds for _, seconds in chunks))
