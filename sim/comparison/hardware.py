"""Compares what the hardware made of the images with the golden model: spikes, residual integers, logits, failures."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from golden.recorder import Recording
from sim.comparison.decode import KINDS, Recorded, decode_trace
from sim.comparison.mismatch import AXES, Mismatches
from sim.comparison.recorded_image import RecordedImage
from sim.comparison.trace import read_trace
from sim.rtl import RtlRun
from sim.runner import ImageResult
from sw.compiler.program import Program
from sw.data.sets import ImageSet

SIDES = ("golden", "RTL")


class TracedImages:
    """What the golden model gave for the images whose every spike is compared.

    Parameters
    ----------
    count : int
        The first so many images are traced.
    """

    def __init__(self, count: int):
        self._count = count
        self._places: dict[int, tuple[Recording, int]] = {}

    def keep(self, first: int, images: int, recording: Recording) -> None:
        """Keep what is needed of a batch of so many images, the first of them number `first` of all."""
        for number in range(first, min(first + images, self._count)):
            self._places[number] = recording, number - first

    def __getitem__(self, number: int) -> Recorded:
        """What was recorded of an image."""
        recording, place = self._places[number]
        kinds = (recording.spikes, recording.pooled, recording.residuals)
        return Recorded(*({name: values[:, place].numpy() for name, values in kind.items()} for kind in kinds))


def compare_hardware(
    program: Program, data: ImageSet, rtl: RtlRun, logits: Tensor, traced: TracedImages, mismatches: Mismatches
) -> RecordedImage | None:
    """Add where the hardware differs from the golden model.

    Parameters
    ----------
    program : Program
        Says where each layer writes.
    data : ImageSet
        The images, and perhaps more.
    rtl : RtlRun
        What the hardware gave.
    logits : int64 Tensor [n, classes]
        Of the golden model.
    traced : TracedImages
        Of every image that left a trace.
    mismatches : Mismatches
        Gets what is found.

    Returns
    -------
    RecordedImage, optional
        The first traced image that differs in anything, or the first one if they are all equal; None without traces.
    """
    chosen: RecordedImage | None = None
    chosen_differs = False
    for image, expected in zip(rtl.images, logits, strict=True):
        before = mismatches.of_hardware
        if image.failure:
            mismatches.failures.append(failure_of(program, image))
        found = None
        if image.trace is not None:
            found = decode_trace(program, read_trace(image.trace))
            _compare_values(image.image, traced[image.image], found, mismatches)
        if image.result is not None:
            where = f"image {image.image}, logits and prediction"
            golden = np.array([*expected.tolist(), int(torch.argmax(expected))])
            actual = np.array([*image.result.logits, image.result.prediction])
            mismatches.logits.add(where, golden, actual, SIDES, ("class",))
        differs = mismatches.of_hardware > before
        if found is not None and (chosen is None or (differs and not chosen_differs)):
            chosen, chosen_differs = _recorded(data, image, traced[image.image], found, expected), differs
    return chosen


def _compare_values(number: int, golden: Recorded, found: Recorded, mismatches: Mismatches) -> None:
    """Every spike, pooled spike and residual integer of an image, layer by layer in their order."""
    for name, kind, expected, actual in golden.beside(found):
        tally = mismatches.residuals if kind == "residuals" else mismatches.spikes
        tally.add(f"image {number}, {name} {KINDS[kind]}", expected, actual, SIDES, AXES)


def _recorded(data: ImageSet, image: ImageResult, golden: Recorded, found: Recorded, logits: Tensor) -> RecordedImage:
    """All that is kept of an image."""
    result = image.result
    return RecordedImage(
        index=image.image,
        label=int(data.labels[image.image]) if data.labelled else None,
        pixels=data.images[image.image].numpy(),
        golden=golden,
        rtl=found,
        logits=logits.numpy(),
        rtl_logits=None if result is None else np.array(result.logits, np.int64),
        rtl_prediction=None if result is None else result.prediction,
    )


def failure_of(program: Program, image: ImageResult) -> str:
    """Why an image has no result, with the name of the layer unless all descriptors were taken."""
    reached = image.job.descriptors if image.job is not None else len(program.steps)
    at = f" at descriptor {reached} ({program.steps[reached].name})" if reached < len(program.steps) else ""
    return f"{image.failure}{at}"
