"""Compares a batch of the Brevitas model with the golden model: every spike of every layer, and the logits."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from golden.recorder import Recording
from sim.comparison.mismatch import AXES, Mismatches
from sw.artifact.artifact import Artifact
from sw.export.deployed import run_deployed

SIDES = ("Brevitas", "golden")


def compare_brevitas(
    artifact: Artifact, first: int, images: Tensor, logits: Tensor, recording: Recording, mismatches: Mismatches
) -> None:
    """Run the Brevitas model of an artifact, and add where it differs.

    Parameters
    ----------
    artifact : Artifact
    first : int
        Number of the batch's first image.
    images : uint8 Tensor [B, C, H, W]
        Few at a time: the Brevitas model keeps every spike, in float64.
    logits : int64 Tensor [B, classes]
        Of the golden model; those of the Brevitas model are compared as the integers that they stand for.
    recording : Recording
        What the golden model gave.
    mismatches : Mismatches
        Gets what is found.
    """
    real, trace = run_deployed(artifact, images)
    for name, expected in recording.spikes.items():
        for image in range(len(images)):
            where = f"image {first + image}, {name} spikes"
            found = trace.spikes[name][:, image].numpy()
            mismatches.brevitas_spikes.add(where, found, expected[:, image].numpy(), SIDES, AXES)
    scale = artifact.tensors["head"].scale
    integers = np.rint(real.numpy() / scale * 2**artifact.bias_fraction_bits).astype(np.int64)
    where = f"logits from image {first} on"
    mismatches.brevitas_logits.add(where, integers, logits.numpy(), SIDES, ("image", "class"))
