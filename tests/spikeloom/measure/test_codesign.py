"""Rows of a codesign comparison: what they hold, what does not fit, and who is on the Pareto front."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from golden.accounting.energy import counted_j, paper_j
from golden.accounting.operations import OperationCounter
from golden.cycles.cycle_model import predict_cycles
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.named_configs import TINY
from spikeloom.measure.codesign import Variant, fronts, measure_variant, pareto_front
from sw.compiler.compiler import compile_artifact
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=12, image_channels=1, classes=4, embed_dim=16, depth=1, heads=2)
ARTIFACT = random_artifact(NETWORK, 4, seed=51)
IMAGES = random_images(NETWORK, 3, seed=52)
LATENCY = 20


def measured(artifact=ARTIFACT, config=TINY, **options):
    labels = GoldenModel(artifact).run(IMAGES).predictions.clone()
    labels[0] = (labels[0] + 1) % NETWORK.classes
    return measure_variant("x", artifact, config, IMAGES, labels, memory_latency=LATENCY, image_set="mine", **options)


def test_a_row_holds_what_the_parts_say():
    row = measured()
    model, counter = GoldenModel(ARTIFACT), OperationCounter(NETWORK)
    result = model.record(IMAGES, observers=(counter,))
    program = compile_artifact(ARTIFACT, TINY)
    assert (row.name, row.image_set, row.config, row.refusal) == ("x", "mine", "tiny", None)
    assert (row.depth, row.embed_dim, row.heads, row.timesteps) == (1, 16, 2, 4)
    assert (row.weight_bits, row.residual_mode, row.neuron) == (4, "add", "lif")
    assert (row.images, row.correct, row.accuracy) == (3, 2, 2 / 3)
    assert row.cycles == predict_cycles(program, LATENCY).total
    assert row.program_bytes == 8 * len(program.memory)
    assert row.weights == sum(parameters.weight.size for parameters in ARTIFACT.tensors.values())
    assert row.weight_bytes == -(-row.weights // 2)
    assert row.spikes == sum(int(spikes.sum()) for spikes in result.spikes.values()) / 3
    assert row.executed_sops == pytest.approx(sum(layer.executed_sops for layer in counter.report()), rel=1e-12)
    assert row.dense_sops == sum(layer.dense_sops for layer in counter.report())
    assert row.paper_j == paper_j(NETWORK, counter.report())
    assert row.counted_j == counted_j(NETWORK, counter.report())
    assert row.to_dict() == {**dataclasses.asdict(row), "accuracy": 2 / 3}


def test_bytes_follow_the_weight_bits():
    eight = measured(random_artifact(NETWORK, 8, seed=51), dataclasses.replace(TINY, weight_bits=8))
    assert (eight.weight_bits, eight.weight_bytes) == (8, eight.weights)
    assert eight.cycles > measured().cycles


def test_what_does_not_fit_keeps_its_row_and_the_reason():
    row = measured(config=dataclasses.replace(TINY, spike_words=64))
    assert row.cycles is None and row.program_bytes is None
    assert "spike memory" in row.refusal
    assert row.accuracy == 2 / 3 and row.counted_j == measured().counted_j


def test_labels_without_meaning_give_no_accuracy():
    row = measured(labelled=False)
    assert row.correct is None and row.accuracy is None


def test_progress_counts_images():
    seen = []
    measured(progress=seen.append)
    assert seen == [3]


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([], []),
        ([(1.0, 0.5)], [0]),
        ([(2.0, 0.9), (1.0, 0.5), (3.0, 0.9), (1.5, 0.4)], [1, 0]),  # dearer without a gain, and worse, are beaten
        ([(1.0, 0.5), (1.0, 0.7)], [1]),  # as cheap and better
        ([(1.0, 0.7), (1.0, 0.7)], [0]),
        ([(3.0, 0.9), (2.0, 0.8), (1.0, 0.7)], [2, 1, 0]),
    ],
)
def test_pareto_front(points, front):
    assert pareto_front(points) == front


def test_fronts_are_of_one_data_set_and_leave_out_what_is_not_known():
    row = measured()

    def variant(name, image_set, correct, cycles) -> Variant:
        return dataclasses.replace(row, name=name, image_set=image_set, correct=correct, cycles=cycles)

    rows = [
        variant("large", "a", 3, 300), variant("small", "a", 2, 100), variant("beaten", "a", 1, 200),
        variant("other", "b", 1, 400), variant("unfit", "a", 3, None), variant("unlabelled", "c", None, 1),
    ]  # fmt: skip
    found = {image_set: [row.name for row in front] for image_set, front in fronts(rows, "cycles").items()}
    assert found == {"a": ["small", "large"], "b": ["other"]}
    # All cost the same bytes: the first of the best stays.
    assert [row.name for row in fronts(rows, "weight_bytes")["a"]] == ["large"]


def test_without_images_wrong():
    with pytest.raises(ValueError, match="at least 1 image"):
        measure_variant("x", ARTIFACT, TINY, IMAGES[:0], torch.zeros(0), memory_latency=LATENCY, image_set="mine")
