"""One row per artifact of what a codesign choice gains and costs: accuracy beside cycles, bytes and energy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from golden.accounting.energy import counted_j, paper_j
from golden.accounting.firing import FiringStatistics
from golden.cycles.cycle_model import predict_cycles
from golden.evaluate import evaluate
from hw.config import HardwareConfig
from sw.artifact.artifact import Artifact
from sw.compiler.compiler import compile_artifact
from sw.errors import UserError

COSTS = ("cycles", "weight_bytes", "counted_j", "paper_j")
"""Fields of a `Variant` that accuracy is paid with."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What one artifact gains and costs; counts and energies are per image.

    Attributes
    ----------
    name : str
    image_set : str
        What the images are of.
    embed_dim, depth, heads, timesteps, weight_bits : int
        The choices made before training.
    residual_mode, neuron : str
    config : str
        Hardware configuration that cycles and program are of.
    images : int
        Images measured.
    correct : int, optional
        How many of them the golden model classified correctly; None where labels mean nothing.
    weights : int
    weight_bytes : int
        Bytes of the weights at their width, packed: what storing them takes.
    program_bytes, cycles : int, optional
        The compiled program, as the hardware fetches it (weights of 2 and 3 bits take 4 bits there), and the cycle
        model's prediction; None if the artifact does not fit.
    refusal : str, optional
        Why the artifact does not fit.
    spikes : float
        Spikes of all neurons.
    dense_sops : int
        Dense synaptic operations.
    executed_sops : float
        Synaptic operations that spikes caused, those of the image's bits included.
    paper_j, counted_j : float
        Energy in joules by the paper's formula and from counted operations; see `golden.accounting.energy`.
    """

    name: str
    image_set: str
    embed_dim: int
    depth: int
    heads: int
    timesteps: int
    weight_bits: int
    residual_mode: str
    neuron: str
    config: str
    images: int
    correct: int | None
    weights: int
    weight_bytes: int
    program_bytes: int | None
    cycles: int | None
    refusal: str | None
    spikes: float
    dense_sops: int
    executed_sops: float
    paper_j: float
    counted_j: float

    @property
    def accuracy(self) -> float | None:
        """Share of correct predictions."""
        return None if self.correct is None else self.correct / self.images

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "accuracy": self.accuracy}


def measure_variant(
    name: str,
    artifact: Artifact,
    config: HardwareConfig,
    images: Tensor,
    labels: Tensor,
    *,
    memory_latency: int,
    image_set: str,
    labelled: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Variant:
    """Run an artifact in the golden model, compile it, and predict its cycles.

    Parameters
    ----------
    name : str
        What to call it.
    artifact : Artifact
    config : HardwareConfig
        The accelerator to compile for.
    images : uint8 Tensor [images, C, H, W]
    labels : integer Tensor [images]
    memory_latency : int
        Cycles, see `golden.cycles.cycle_model.predict_cycles`.
    image_set : str
        What the images are of; accuracies are compared within it.
    labelled : bool
        Whether the labels mean anything.
    progress : callable, optional
        Called with the number of images done after every batch.

    Raises
    ------
    ValueError
        If there are no images, they are not of the network's shape, or not one label for each.
    """
    network = artifact.network
    firing = FiringStatistics(network)
    result = evaluate(
        artifact, images, labels, bar=False, count_operations=True, progress=progress, observers=(firing,)
    )
    assert result.operations is not None
    program_bytes = cycles = refusal = None
    try:
        program = compile_artifact(artifact, config)
    except UserError as error:
        refusal = str(error)
    else:
        program_bytes = program.memory.nbytes
        cycles = predict_cycles(program, memory_latency).total
    weights = sum(parameters.weight.size for parameters in artifact.tensors.values())
    return Variant(
        name=name,
        image_set=image_set,
        embed_dim=network.embed_dim,
        depth=network.depth,
        heads=network.heads,
        timesteps=network.timesteps,
        weight_bits=artifact.weight_bits,
        residual_mode=network.residual_mode,
        neuron=network.neuron,
        config=config.name,
        images=result.images,
        correct=result.correct if labelled else None,
        weights=weights,
        weight_bytes=-(-weights * artifact.weight_bits // 8),
        program_bytes=program_bytes,
        cycles=cycles,
        refusal=refusal,
        spikes=sum(layer.spikes for layer in firing.report()),
        dense_sops=sum(layer.dense_sops for layer in result.operations),
        executed_sops=sum(layer.executed_sops or 0 for layer in result.operations),
        paper_j=paper_j(network, result.operations),
        counted_j=counted_j(network, result.operations),
    )


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of some points (cost, gain) no other one beats by costing at most as much and gaining at least as much.

    Returns
    -------
    list of int
        Indices, the cheapest first; of equal points the first.
    """
    front: list[int] = []
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1], index)):
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def fronts(variants: Sequence[Variant], cost: str) -> dict[str, list[Variant]]:
    """Variants on the Pareto front of accuracy against a cost of `COSTS`, by data set, the cheapest first.

    Those without an accuracy or without that cost are left out.
    """
    found = {}
    for image_set in dict.fromkeys(variant.image_set for variant in variants):
        points = [
            (variant, (float(price), variant.accuracy))
            for variant in variants
            if variant.image_set == image_set
            and (price := getattr(variant, cost)) is not None
            and variant.accuracy is not None
        ]
        if points:
            found[image_set] = [points[index][0] for index in pareto_front([point for _, point in points])]
    return found
