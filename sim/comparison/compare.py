"""Compares the Brevitas model, the golden model and the RTL on the same images: the project's main job."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from golden.accounting.energy import counted_j, paper_j
from golden.model import check_images
from golden.recorder import Recording
from hw.config import HardwareConfig
from hw.named_configs import BASE
from hw.parts.technology import Technology
from sim.comparison.brevitas import compare_brevitas
from sim.comparison.golden_run import GoldenRun, run_golden
from sim.comparison.hardware import TracedImages, compare_hardware
from sim.comparison.mismatch import Mismatches
from sim.comparison.performance import performance
from sim.comparison.recorded_image import RECORDING
from sim.comparison.timeline import timeline, write_timeline
from sim.faults import Flip
from sim.rtl import RtlRun, RtlSimulation
from sim.runner import ImageResult, build
from sim.verilator.simulation import Build
from sim.verilator.verilate import BUILD_FOLDER
from sw.artifact.accuracy import as_figures, counts, recorded
from sw.artifact.artifact import Artifact
from sw.artifact.file import load
from sw.checkout import BUILD
from sw.claims import first_free, using
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import Program
from sw.data.sets import ImageSet
from sw.errors import UserError

ProgressCallback = Callable[[str, int, int], None]
"""Called with the name of a phase, what is done of it and its total."""

IDENTITY = ("artifact", "image_set", "hardware", "images", "mismatches")
"""Figures that say which run a recorded image is of."""


@dataclass(frozen=True)
class CompareReport:
    """Outcome.

    Attributes
    ----------
    figures : dict
        Plain JSON values, the content of ``compare.json``.
    mismatch : str, optional
        Where the computations differ first; None if they agree.
    """

    figures: dict[str, Any]
    mismatch: str | None

    def to_dict(self) -> dict[str, Any]:
        """The figures."""
        return self.figures


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An artifact, the accelerator it is compiled for, and the images to compare on.

    Attributes
    ----------
    artifact : Artifact
    program : Program
        The artifact, compiled for the accelerator.
    data : ImageSet
        Images that the network takes; the golden model classifies them all.
    name : str
        What the figures call the artifact.
    images : int
        The first so many also run on the RTL.
    traced : int
        The first so many of those are compared spike by spike, the others by logits.
    brevitas : int, optional
        The first so many images are compared spike by spike between Brevitas and golden model; by default those traced.
    stall_percent : int
        Random stalls of the external memory, in percent of cycles.
    flips : tuple of Flip
        Faults to inject into the memory image.
    technology : Technology
        Form of the Verilog, see `sim.runner.build`.
    jobs : int
        Simulator processes, and compilers that build one, at a time.
    optimise : bool
        Whether to optimise the simulator, see `verilate`; a few images of a small network are sooner done without.
    folder : Path
        Keeps traces, logs and, of one traced image, the recording (`sim.comparison.recorded_image`).

    Raises
    ------
    UserError
        If the data has fewer images.
    """

    artifact: Artifact
    program: Program
    data: ImageSet
    name: str = "artifact"
    images: int = 16
    traced: int = 4
    brevitas: int | None = None
    stall_percent: int = 0
    flips: tuple[Flip, ...] = ()
    technology: Technology = Technology.PORTABLE
    jobs: int = 2
    optimise: bool = True
    folder: Path = Path("build/compare")

    def __post_init__(self) -> None:
        available = len(self.data)
        if not 1 <= self.images <= available:
            raise UserError(
                f"the data has {available} images, {self.images} cannot run on the RTL: choose 1 to {available}"
            )
        if self._brevitas > available:
            raise UserError(
                f"the data has {available} images, {self._brevitas} cannot run on the Brevitas model: choose fewer"
            )

    @property
    def config(self) -> HardwareConfig:
        """The accelerator."""
        return self.program.config

    @property
    def _traced(self) -> int:
        return min(self.traced, self.images)

    @property
    def _brevitas(self) -> int:
        return self._traced if self.brevitas is None else self.brevitas

    def run(self, progress: ProgressCallback = lambda *_: None) -> CompareReport:
        """Run the three models and compare them.

        Parameters
        ----------
        progress : callable
            Told how far it is.
        """
        (self.folder / RECORDING).unlink(missing_ok=True)  # of an earlier run
        mismatches, traced = Mismatches(), TracedImages(self._traced)
        simulator, build_seconds = self._build(progress)
        golden = self._run_golden(traced, mismatches, progress)
        rtl = self._simulate(simulator, progress)
        recorded_image = compare_hardware(self.program, self.data, rtl, golden.logits, traced, mismatches)
        self._write_timeline(rtl.images[0])
        figures = {
            "artifact": self.name,
            "image_set": self.data.name,
            "hardware": _hardware(self.config, self.technology),
            "images": {"rtl": self.images, "golden": len(self.data), "brevitas": self._brevitas},
            "accuracy": self._accuracies(golden, rtl),
            "mismatches": mismatches.to_dict(),
            "first_mismatch": mismatches.first,
            **performance(
                self.program, [image.result for image in rtl.images if image.result is not None], golden.operations
            ),
            "energy": {
                "counted_j": counted_j(self.artifact.network, golden.operations),
                "paper_j": paper_j(self.artifact.network, golden.operations),
            },
            "firing": [layer.to_dict() for layer in golden.firing],
            "simulation": {
                "build_s": build_seconds,
                "run_s": rtl.seconds,
                "cycles_per_s": rtl.cycles / rtl.seconds if rtl.seconds else 0.0,
            },
        }
        if recorded_image is not None:
            recorded_image.save(self.folder / RECORDING, {name: figures[name] for name in IDENTITY})
        return CompareReport(figures, mismatches.first)

    def _build(self, progress: ProgressCallback) -> tuple[Build, float]:
        """The simulator, and the seconds it took."""
        started = time.perf_counter()
        progress("build the simulator", 0, 1)
        simulator = build(self.config, technology=self.technology, jobs=self.jobs, optimise=self.optimise)
        progress("build the simulator", 1, 1)
        return simulator, time.perf_counter() - started

    def _run_golden(self, traced: TracedImages, mismatches: Mismatches, progress: ProgressCallback) -> GoldenRun:
        """Golden model over all images, and beside it the Brevitas model over its own, batch by batch."""

        def on_recorded(first: int, images: Tensor, logits: Tensor, recording: Recording) -> None:
            traced.keep(first, len(images), recording)
            if first < self._brevitas:
                compare_brevitas(self.artifact, first, images, logits, recording, mismatches)
                progress("Brevitas model", min(first + len(images), self._brevitas), self._brevitas)

        progress("golden model", 0, len(self.data))
        progress("Brevitas model", 0, self._brevitas)
        return run_golden(
            self.artifact, self.data.images, counted=self.images, recorded=(self._traced, self._brevitas),
            on_recorded=on_recorded, progress=lambda done: progress("golden model", done, len(self.data)),
        )  # fmt: skip

    def _simulate(self, simulator: Build, progress: ProgressCallback) -> RtlRun:
        """The accelerator over the first images."""
        finished = 0

        def on_image() -> None:
            nonlocal finished
            finished += 1
            progress("RTL simulation", finished, self.images)

        progress("RTL simulation", 0, self.images)
        simulation = RtlSimulation(
            simulator=simulator, artifact=self.artifact, program=self.program, folder=self.folder,
            stall_percent=self.stall_percent, flips=self.flips, jobs=self.jobs,
        )  # fmt: skip
        return simulation.run(self.data.images[: self.images].numpy(), traced=self._traced, on_image=on_image)

    def _write_timeline(self, image: ImageResult) -> None:
        """What the engines did over the first image, if it was traced and ran to its end."""
        job, seen = image.result, image.activity
        write_timeline(self.folder, timeline(self.program, seen, job.cycles) if job and seen else None)

    def _accuracies(self, golden: GoldenRun, rtl: RtlRun) -> dict[str, dict[str, Any] | None]:
        """Correct predictions and the images they are of; those of float and Brevitas model are the artifact's."""
        stored = recorded(self.artifact)
        found = {name: stored.get(name) for name in ("float", "brevitas")}
        labels = self.data.labels
        right = (golden.predictions == labels).tolist()
        in_rtl = [
            image.job is not None and image.job.prediction == label
            for image, label in zip(rtl.images, labels.tolist(), strict=False)
        ]
        measured = {"golden": right, "golden_on_rtl_images": right[: self.images], "rtl": in_rtl}
        for name, correct in measured.items():
            found[name] = counts(sum(correct), len(correct), self.data.name) if self.data.labelled else None
        return {name: entry and as_figures(entry) for name, entry in found.items()}


def compare(
    artifact: Artifact | str | os.PathLike[str],
    images: Tensor | ImageSet,
    config: HardwareConfig = BASE,
    *,
    jobs: int | None = None,
    folder: Path = BUILD / "compare",
) -> CompareReport:
    """Compare Brevitas model, golden model and RTL in every spike of every image.

    `Comparison` has more choices: images that only some of the models run, stalls of the memory, faults.

    Parameters
    ----------
    artifact : Artifact or path
    images : uint8 Tensor [n, channels, size, size], or ImageSet
        Raw pixels; with labels there are accuracies too.
    config : HardwareConfig
        Size of the accelerator.
    jobs : int, optional
        Simulator processes, and compilers that build one, at a time; by default one for each processor.
    folder : Path
        Keeps traces and logs; if another process works there, the same name with a number.

    Raises
    ------
    ValueError
        If the images are not uint8 or not of the network's shape.
    UserError
        If the network does not fit the configuration, or a tool is missing.
    """
    name = "artifact" if isinstance(artifact, Artifact) else os.fspath(artifact)
    artifact = artifact if isinstance(artifact, Artifact) else load(artifact)
    data = images if isinstance(images, ImageSet) else _unlabelled(images)
    check_images(data.images, artifact.network)
    program = compile_artifact(artifact, config)
    with using(BUILD_FOLDER), first_free(folder, lambda _: None) as place:
        comparison = Comparison(
            artifact=artifact, program=program, data=data, name=name, images=len(data), traced=len(data),
            jobs=jobs or os.cpu_count() or 1, folder=place,
        )  # fmt: skip
        return comparison.run()


def _unlabelled(images: Tensor) -> ImageSet:
    """Images whose classes are not known."""
    count = len(images)
    labels = torch.zeros(count, dtype=torch.int64)
    return ImageSet(images=images, labels=labels, indices=torch.arange(count), labelled=False)


def _hardware(config: HardwareConfig, technology: Technology) -> dict[str, Any]:
    """Size of the accelerator."""
    fields = ("outputs", "inputs", "positions", "timesteps", "sops_per_cycle")
    return {"config": config.name, "technology": technology.value, **{name: getattr(config, name) for name in fields}}
