"""Compares the Brevitas model, the golden model and the RTL on the same images: the project's main job."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from golden.accounting.energy import paper_formula_j, sop_j
from golden.cycles.cycle_model import CycleModel, predict_cycles
from golden.evaluate import Evaluation, evaluate
from golden.model import GoldenModel, GoldenResult
from hw.config import HardwareConfig
from hw.host.registers import Counter
from sim.comparison.decode import decode_trace
from sim.comparison.mismatch import AXES, Tally
from sim.comparison.trace import read_trace
from sim.rtl import MEMORY_LATENCY, Flip, RtlRun, run_images
from sim.runner import build
from sw.artifact.accuracy import counts, recorded, with_share
from sw.artifact.artifact import Artifact
from sw.artifact.file import load
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import Program
from sw.data.sets import ImageSet
from sw.errors import UserError
from sw.export.deployed import run_deployed

STALLS = tuple(counter.name.removeprefix("STALL_").lower() for counter in Counter if counter.name.startswith("STALL_"))
"""Causes for which the hardware counts the cycles in which the array waits."""

BREVITAS_BATCH = 8
"""Images of the Brevitas model at a time: it keeps every spike, in float64."""

Progress = Callable[[str, int, int], None]
"""Called with the name of a phase, what is done of it and its total."""


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What to compare.

    Attributes
    ----------
    model : Path
        The artifact.
    config : HardwareConfig
        The accelerator.
    data : ImageSet
        Images that the network takes; the golden model classifies them all.
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
    jobs : int
        Simulator processes, and compilers that build one, at a time.
    folder : Path
        Keeps traces and logs.
    """

    model: Path
    config: HardwareConfig
    data: ImageSet
    images: int = 16
    traced: int = 4
    brevitas: int | None = None
    stall_percent: int = 0
    flips: tuple[Flip, ...] = ()
    jobs: int = 2
    folder: Path = Path("build/compare")


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


def compare(options: CompareOptions, progress: Progress = lambda *_: None) -> CompareReport:
    """Run the three models and compare them.

    Parameters
    ----------
    options : CompareOptions
        What to run.
    progress : callable
        Told how far it is.

    Returns
    -------
    CompareReport

    Raises
    ------
    UserError
        If the network does not fit the hardware, or an option makes no sense.
    """
    artifact = load(options.model)
    program = compile_artifact(artifact, options.config)
    available = len(options.data.images)
    if not 1 <= options.images <= available:
        raise UserError(
            f"the data has {available} images, {options.images} cannot run on the RTL: choose 1 to {available}"
        )
    traced = min(options.traced, options.images)
    brevitas = traced if options.brevitas is None else options.brevitas
    if brevitas > available:
        raise UserError(f"the data has {available} images, {brevitas} cannot run on the Brevitas model: choose fewer")
    predicted = predict_cycles(program, MEMORY_LATENCY)

    started = time.perf_counter()
    progress("build the simulator", 0, 1)
    simulator = build(options.config, jobs=options.jobs)
    built = time.perf_counter() - started
    progress("build the simulator", 1, 1)

    rtl_images = options.data.images[: options.images]
    golden = evaluate(
        artifact, options.data.images, options.data.labels, bar=False,
        progress=lambda done: progress("golden model", done, available),
    )  # fmt: skip
    counted = evaluate(artifact, rtl_images, options.data.labels[: options.images], bar=False, count_operations=True)
    model = GoldenModel(artifact)
    recorded = model.run(rtl_images[: max(traced, 1)], record=True)
    expected = torch.cat([result.logits for result in model.stream(rtl_images)])

    brevitas_spikes, brevitas_logits = Tally(), Tally()
    for start in range(0, brevitas, BREVITAS_BATCH):
        progress("Brevitas model", start, brevitas)
        some = options.data.images[start : min(start + BREVITAS_BATCH, brevitas)]
        _compare_brevitas(artifact, some, start, brevitas_spikes, brevitas_logits)
    progress("Brevitas model", brevitas, brevitas)

    finished = 0

    def on_image() -> None:
        nonlocal finished
        finished += 1
        progress("RTL simulation", finished, options.images)

    progress("RTL simulation", 0, options.images)
    rtl = run_images(
        simulator, artifact, program, rtl_images.numpy(), folder=options.folder, traced=traced,
        stall_percent=options.stall_percent, flips=options.flips, jobs=options.jobs, on_image=on_image,
    )  # fmt: skip
    spikes, residuals, logits = Tally(), Tally(), Tally()
    failures = [_failure(program, image) for image in rtl.images if image.failure]
    _compare_spikes(program, rtl, recorded, spikes, residuals)
    _compare_logits(rtl, expected, logits)

    first = next((text for text in (*failures, spikes.first, residuals.first, logits.first) if text), None)
    first = first or brevitas_spikes.first or brevitas_logits.first
    figures = {
        "artifact": str(options.model),
        "dataset": options.data.name,
        "hardware": _hardware(options.config),
        "images": {"rtl": options.images, "golden": available, "brevitas": brevitas},
        "accuracy": _accuracies(artifact, options.data, golden, counted, rtl),
        "mismatches": {
            "brevitas_golden_spikes": brevitas_spikes.mismatches,
            "brevitas_golden_logits": brevitas_logits.mismatches,
            "golden_rtl_spikes": spikes.mismatches,
            "golden_rtl_residuals": residuals.mismatches,
            "golden_rtl_logits": logits.mismatches,
            "rtl_failures": len(failures),
            "values_compared": sum(
                tally.compared for tally in (brevitas_spikes, brevitas_logits, spikes, residuals, logits)
            ),
        },
        **_performance(artifact, program, rtl, counted, predicted),
        "simulation": {
            "build_s": built,
            "run_s": rtl.seconds,
            "cycles_per_s": rtl.cycles / rtl.seconds if rtl.seconds else 0.0,
        },
    }
    return CompareReport(figures, first)


def _compare_brevitas(artifact: Artifact, images: torch.Tensor, first: int, spikes: Tally, logits: Tally) -> None:
    """Every spike of every layer of images from number `first` on; logits as the integers they stand for."""
    recorded = GoldenModel(artifact).run(images, record=True)
    real, trace = run_deployed(artifact, images)
    sides = ("Brevitas", "golden")
    for name, expected in recorded.spikes.items():
        for image in range(len(images)):
            where = f"image {first + image}, {name} spikes"
            spikes.add(where, trace.spikes[name][:, image].numpy(), expected[:, image].numpy(), sides, AXES)
    head = artifact.tensors["head"]
    integers = np.rint(real.numpy() / head.scale * 2**artifact.bias_fraction_bits).astype(np.int64)
    logits.add(f"logits from image {first} on", integers, recorded.logits.numpy(), sides, ("image", "class"))


def _compare_spikes(program: Program, rtl: RtlRun, recorded: GoldenResult, spikes: Tally, residuals: Tally) -> None:
    """Every spike, pooled spike and residual integer of the traced images, layer by layer in their order."""
    sides = ("golden", "RTL")
    for image in rtl.images:
        if image.trace is None:
            continue
        found = decode_trace(program, read_trace(image.trace))
        for name in recorded.spikes:
            kinds = (
                ("spikes", recorded.spikes, found.spikes, spikes),
                ("pooled spikes", recorded.pooled, found.pooled, spikes),
                ("residual", recorded.residuals, found.residuals, residuals),
            )
            for kind, expected, actual, tally in kinds:
                if name in expected:
                    where = f"image {image.image}, {name} {kind}"
                    tally.add(where, expected[name][:, image.image].numpy(), actual[name], sides, AXES)


def _compare_logits(rtl: RtlRun, golden: torch.Tensor, logits: Tally) -> None:
    """Logits and prediction of every image that finished."""
    for image in rtl.images:
        if image.job is None or image.failure:
            continue
        expected = [*golden[image.image].tolist(), int(golden[image.image].argmax())]
        actual = [*image.job.logits, image.job.prediction]
        where = f"image {image.image}, logits and prediction"
        logits.add(where, np.array(expected), np.array(actual), ("golden", "RTL"), ("class",))


def _failure(program: Program, image: Any) -> str:
    """Why an image has no result, with the name of the layer."""
    reached = image.job.descriptors if image.job is not None else None
    at = f" at descriptor {reached} ({program.steps[reached].name})" if reached is not None else ""
    return f"{image.failure}{at}"


def _hardware(config: HardwareConfig) -> dict[str, Any]:
    return {
        "config": config.name,
        "outputs": config.outputs,
        "inputs": config.inputs,
        "positions": config.positions,
        "timesteps": config.timesteps,
        "sops_per_cycle": config.sops_per_cycle,
    }


def _accuracies(
    artifact: Artifact, data: ImageSet, golden: Evaluation, counted: Evaluation, rtl: RtlRun
) -> dict[str, dict[str, Any] | None]:
    """Correct predictions and the images they are of; those of the float and the Brevitas model are the artifact's."""
    stored = recorded(artifact)
    found: dict[str, dict[str, Any] | None] = {name: stored.get(name) for name in ("float", "brevitas")}
    labels = data.labels[: len(rtl.images)].tolist()
    right = sum(
        image.job is not None and image.job.prediction == label for image, label in zip(rtl.images, labels, strict=True)
    )
    measured = {"golden": golden.correct, "golden_on_rtl_images": counted.correct, "rtl": right}
    images = {"golden": golden.images, "golden_on_rtl_images": counted.images, "rtl": len(labels)}
    for name, correct in measured.items():
        found[name] = counts(correct, images[name], data.name) if data.labelled else None
    return {name: entry and with_share(entry) for name, entry in found.items()}


def _performance(
    artifact: Artifact, program: Program, rtl: RtlRun, counted: Evaluation, predicted: CycleModel
) -> dict[str, Any]:
    """Cycles of RTL and model beside operations and energy, whole and layer by layer."""
    assert counted.operations is not None
    per_cycle = program.config.sops_per_cycle
    jobs = [image.job for image in rtl.images if image.job is not None and not image.failure]
    operations = {layer.name: layer for layer in counted.operations}

    layers: list[dict[str, Any]] = []
    for number, name in enumerate(program.names):
        measured = [asdict(job.layers[number]) for job in jobs]
        means = {key: float(np.mean([layer[key] for layer in measured])) for key in (measured[0] if measured else ())}
        counts = operations.get(name)
        # Attention has an engine of its own beside the array, whose operations per cycle are meant.
        in_array = counts is not None and not name.endswith(".attention")
        ideal = counts.plane_operations / per_cycle if counts is not None and in_array else 0.0
        cycles = means.get("cycles")
        layers.append(
            {
                "name": name,
                "planes": counts.planes if counts else 0,
                "sops_dense": counts.dense if counts else 0,
                "sops_executed": counts.executed if counts else 0.0,
                "cycles": cycles,
                "model_cycles": predicted.layers[name],
                "ideal_cycles": ideal,
                "utilization": ideal / cycles if cycles else None,
                "firing_rate_in": counts.input_rate if counts else None,
                "engine_cycles": means.get("busy"),
                "stalls": {cause: means.get(f"stall_{cause}") for cause in STALLS},
            }
        )
    totals = [job.cycles for job in jobs]
    ideal = sum(layer["ideal_cycles"] for layer in layers)
    mean = float(np.mean(totals)) if totals else None
    return {
        "cycles": {
            "rtl_mean": mean,
            "rtl_min": min(totals, default=None),
            "rtl_max": max(totals, default=None),
            "model": predicted.total,
            "ideal": ideal,
            "utilization": ideal / mean if mean else None,
        },
        "layers": layers,
        "energy": {
            "sop_j": sop_j(artifact.network, counted.operations),
            "paper_formula_j": paper_formula_j(artifact.network, counted.operations),
        },
    }
