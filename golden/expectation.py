"""What golden model and cycle model say of one image: the known answer of an accelerator's self-test."""

from __future__ import annotations

from golden.cycles.cycle_model import predict_cycles
from golden.model import GoldenModel
from golden.random_artifact import random_images
from sw.artifact.artifact import Artifact
from sw.compiler.program import Program
from sw.driver.outcomes import Expectation

SEED = 14
"""Of the image: the same for everyone."""


def expect(artifact: Artifact, program: Program, *, memory_latency: int = 20) -> Expectation:
    """Logits and cycles of a random image.

    Parameters
    ----------
    artifact : Artifact
    program : Program
        The artifact, compiled for the accelerator.
    memory_latency : int
        Cycles from a request to its first beat.
    """
    image = random_images(artifact.network, 1, seed=SEED)
    logits = GoldenModel(artifact).run(image).logits[0].tolist()
    return Expectation(image[0].numpy(), tuple(logits), predict_cycles(program, memory_latency).total)
