"""Compares what the hardware made of the images with the golden model: spikes, residual integers, logits, failures."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from golden.recorder import Recording
from sim.comparison.decode import decode_trace
from sim.comparison.mismatch import AXES, Mismatches
from sim.comparison.trace import read_trace
from sim.rtl import RtlRun
from sim.runner import ImageResult
from sw.compiler.program import Program

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

    def __getitem__(self, number: int) -> tuple[Recording, int]:
        """The recording of an image's batch, and the image's place in it."""
        return self._places[number]


def compare_hardware(
    program: Program, rtl: RtlRun, logits: Tensor, traced: TracedImages, mismatches: Mismatches
) -> None:
    """Add where the hardware differs from the golden model.

    Parameters
    ----------
    program : Program
        Says where each layer writes.
    rtl : RtlRun
        What the hardware gave.
    logits : int64 Tensor [n, classes]
        Of the golden model.
    traced : TracedImages
        Of every image that left a trace.
    mismatches : Mismatches
        Gets what is found.
    """
    for image, expected in zip(rtl.images, logits, strict=True):
        if image.failure:
            mismatches.failures.append(failure_of(program, image))
        if image.trace is not None:
            _compare_spikes(program, image, *traced[image.image], mismatches)
        if image.result is not None:
            where = f"image {image.image}, logits and prediction"
            golden = np.array([*expected.tolist(), int(torch.argmax(expected))])
            actual = np.array([*image.result.logits, image.result.prediction])
            mismatches.logits.add(where, golden, actual, SIDES, ("class",))


def _compare_spikes(
    program: Program, image: ImageResult, recording: Recording, place: int, mismatches: Mismatches
) -> None:
    """Every spike, pooled spike and residual integer of an image, layer by layer in their order."""
    assert image.trace is not None
    found = decode_trace(program, read_trace(image.trace))
    kinds = (
        ("spikes", recording.spikes, found.spikes, mismatches.spikes),
        ("pooled spikes", recording.pooled, found.pooled, mismatches.spikes),
        ("residual", recording.residuals, found.residuals, mismatches.residuals),
    )
    for name in recording.spikes:
        for kind, expected, actual, tally in kinds:
            if name in expected:
                where = f"image {image.image}, {name} {kind}"
                tally.add(where, expected[name][:, place].numpy(), actual[name], SIDES, AXES)


def failure_of(program: Program, image: ImageResult) -> str:
    """Why an image has no result, with the name of the layer unless all descriptors were taken."""
    reached = image.job.descriptors if image.job is not None else len(program.steps)
    at = f" at descriptor {reached} ({program.steps[reached].name})" if reached < len(program.steps) else ""
    return f"{image.failure}{at}"
