"""The golden model equals an independent integer reference in every value, in whatever arithmetic it picks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from golden.arithmetic import EXACT_FLOAT32, exact_arithmetic, exact_dtype, or_pool, weighted_sum
from golden.evaluate import evaluate
from golden.model import GoldenModel
from golden.neuron import thresholds_at
from golden.random_artifact import random_artifact, random_images
from sw.artifact.artifact import Artifact
from sw.artifact.ranges import layer_ranges
from sw.export.deployed import run_deployed
from sw.layer import Layer
from sw.network import NetworkConfig
from tests.golden.integer_reference import convolve, run_reference

TINY = NetworkConfig(image_size=8, image_channels=3, classes=3, embed_dim=16, depth=2, heads=2)
NETWORKS = {
    "tiny": TINY,
    "one step": NetworkConfig(image_size=8, image_channels=2, classes=4, embed_dim=8, depth=1, heads=1, timesteps=1),
    "long": dataclasses.replace(TINY, timesteps=16, depth=1, attention_scale=0.25),
    "odd tokens": NetworkConfig(image_size=12, image_channels=1, classes=5, embed_dim=24, depth=1, heads=3),
    "clamp": dataclasses.replace(TINY, residual_mode="clamp"),
    "iand": dataclasses.replace(TINY, residual_mode="iand"),
    "if": dataclasses.replace(TINY, neuron="if"),
    "events": dataclasses.replace(TINY, image_channels=2, timesteps=6, event_bits=1),
    "counts": dataclasses.replace(TINY, image_channels=2, timesteps=6, event_bits=3),
    "bytes": dataclasses.replace(TINY, image_channels=2, event_bits=8, attention_scale=0.25),
    "pool first": dataclasses.replace(TINY, pool_order="before"),
    "four pools": dataclasses.replace(TINY, image_size=16, pools=4),
    "four pools first": dataclasses.replace(TINY, image_size=16, pools=4, pool_order="before"),
    "2-64": NetworkConfig(image_size=28, image_channels=1, classes=10, embed_dim=64, depth=2, heads=4),
}


def assert_equals_reference(artifact: Artifact, images: torch.Tensor) -> None:
    result = GoldenModel(artifact).record(images)
    reference = run_reference(artifact, images.numpy())
    for kind in ("spikes", "pooled", "residuals"):
        ours, theirs = getattr(result, kind), reference[kind]
        assert ours.keys() == theirs.keys()
        for name, expected in theirs.items():
            assert ours[name].dtype == torch.uint8
            assert np.array_equal(ours[name].numpy(), expected), f"{kind} of {name}"
    assert np.array_equal(result.logits.numpy(), reference["logits"])
    assert np.array_equal(result.predictions.numpy(), reference["logits"].argmax(axis=1))


@pytest.mark.parametrize("weight_bits", [2, 3, 4, 8])
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_reference(name, weight_bits):
    network = NETWORKS[name]
    assert_equals_reference(random_artifact(network, weight_bits, seed=7), random_images(network, 2, seed=8))


@pytest.mark.parametrize(
    ("name", "weight_bits"),
    [
        *((name, 4) for name in ("tiny", "clamp", "iand", "if", "events", "pool first", "four pools first")),
        ("counts", 4),
        ("bytes", 8),
        ("tiny", 2),
        ("tiny", 3),
    ],
)
def test_equals_the_brevitas_model(name, weight_bits):
    network = NETWORKS[name]
    artifact, images = random_artifact(network, weight_bits, seed=7), random_images(network, 4, seed=8)
    golden = GoldenModel(artifact).record(images)
    logits, trace = run_deployed(artifact, images)
    assert golden.spikes.keys() == trace.spikes.keys() and golden.residuals.keys() == trace.residual.keys()
    assert all(torch.equal(golden.spikes[layer], spikes) for layer, spikes in trace.spikes.items())
    assert all(torch.equal(golden.residuals[layer], residual) for layer, residual in trace.residual.items())
    scale = artifact.tensors["head"].scale / 2**artifact.bias_fraction_bits
    assert np.array_equal(np.rint(logits.numpy() / scale), golden.logits.numpy())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 17])
def test_threads_and_batches_do_not_matter(threads, batch):
    # One thread and few images is where PyTorch considers NNPACK's Winograd convolution.
    network = NETWORKS["odd tokens"]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_equals_reference(random_artifact(network, 8, seed=1), random_images(network, batch, seed=2))
    finally:
        torch.set_num_threads(before)


def test_reduced_precision_settings_do_not_matter():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert_equals_reference(random_artifact(TINY, 8, seed=3), random_images(TINY, 4, seed=4))
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_float32_sums_are_exact_up_to_the_last_integer(threads):
    """Convolution sums that end just below 2^24, where any rounding anywhere would show."""
    channels, size = 1010, 14
    layer = Layer(
        part="x", kind="conv", source="y", in_channels=channels, out_channels=8, height=size, width=size, input_max=16
    )
    rng = np.random.default_rng(0)
    weight = rng.integers(100, 128, layer.weight_shape).astype(np.int64)
    inputs = rng.integers(15, 17, (1, 1, channels, size, size)).astype(np.int64)
    bound = int(weight.reshape(8, -1).sum(axis=1).max()) * 16
    assert EXACT_FLOAT32 * 0.9 < bound <= EXACT_FLOAT32 and exact_dtype(bound) is torch.float32
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with exact_arithmetic():
            ours = weighted_sum(
                layer, torch.tensor(weight, dtype=torch.float32), torch.tensor(inputs).permute(0, 1, 3, 4, 2)
            )
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(ours.permute(0, 1, 4, 2, 3).long().numpy(), convolve(weight, inputs))


def test_sums_beyond_float32_use_float64():
    assert exact_dtype(2**24) is torch.float32
    assert exact_dtype(2**24 + 1) is torch.float64
    layer = Layer(part="x", kind="linear", source="y", in_channels=3, out_channels=1, height=1, width=1)
    weight = torch.tensor([[2**24, 1, 1]], dtype=exact_dtype(2**24 + 2))
    with exact_arithmetic():
        assert int(weighted_sum(layer, weight, torch.ones(1, 1, 1, 1, 3))) == 2**24 + 2


def test_exactness_wrong():
    with pytest.raises(ValueError, match=r"^sums of magnitude up to 9007199254740993 are not exact in float64, limit"):
        exact_dtype(2**53 + 1)


def test_wide_layers_fall_back_to_int64():
    """Biases that leave int32 change the arithmetic, not the result."""
    artifact = random_artifact(TINY, 8, seed=5)
    part = artifact.tensors["block0.fc1"]
    huge = dataclasses.replace(part, bias=part.bias + np.int32(2**30), threshold=part.threshold + 2**34)
    changed = dataclasses.replace(artifact, tensors=artifact.tensors | {"block0.fc1": huge})
    assert GoldenModel(changed)._layers["block0.fc1"].int_dtype is torch.int64
    assert_equals_reference(changed, random_images(TINY, 3, seed=6))


def test_internals_stay_within_the_proven_ranges():
    artifact = random_artifact(TINY, 4, seed=9)
    result = GoldenModel(artifact).record(random_images(TINY, 8, seed=10), internals=True)
    for name, bounds in layer_ranges(artifact).items():
        if name == "head":
            assert bounds.result[0] <= int(result.logits.min()) and int(result.logits.max()) <= bounds.result[1]
            continue
        for values, (low, high) in (
            (result.accumulators[name], bounds.accumulator),
            (result.membranes[name], bounds.result),
        ):
            assert low <= int(values.min()) and int(values.max()) <= high, name
    assert result.key_values["block0.attention"].shape == (4, 8, 2, 8, 8)
    assert result.accumulators["conv0"].shape == (1, 8, 2, 8, 8)


@pytest.mark.parametrize("name", ["tiny", "if", "pool first"])
def test_recorded_membranes_are_those_that_fired(name):
    network = NETWORKS[name]
    artifact = random_artifact(network, 4, seed=9)
    result = GoldenModel(artifact).record(random_images(network, 2, seed=10), internals=True)
    assert result.membranes.keys() == result.spikes.keys()
    for layer, membranes in result.membranes.items():
        if layer in artifact.tensors:
            threshold = torch.tensor(artifact.tensors[layer].threshold)
            steps = network.timesteps
            limits = thresholds_at(threshold, steps) if network.leaky else threshold.expand(steps, -1)
            assert torch.equal(membranes >= limits[:, None, :, None, None], result.spikes[layer].bool()), layer


def test_random_artifacts_exercise_the_corners():
    network = NETWORKS["2-64"]
    artifact = random_artifact(network, 4, seed=11)
    result = GoldenModel(artifact).record(random_images(network, 8, seed=11), internals=True)
    layers = {layer.name: layer for layer in network.layers()}
    for name, spikes in result.spikes.items():
        rate = float(spikes.float().mean())
        assert 0.05 < rate < 0.6, f"{name} fires at {rate}"
        if layers[name].has_weights:
            assert spikes[:, :, 0].all() and not spikes[:, :, 1].any()
            assert int(result.accumulators[name].min()) < 0
    assert {name: int(x.max()) for name, x in result.residuals.items()} == {
        "rpe": 2, "block0.proj": 3, "block0.fc2": 4, "block1.proj": 5, "block1.fc2": 6,
    }  # fmt: skip
    for block in range(network.depth):
        ties = result.membranes[f"block{block}.attention"][0] == 8
        assert int(ties.sum()) > 10, "no exact ties after attention"
    assert len(result.predictions.unique()) > 1


def test_random_artifacts_saturate_the_clamp():
    result = GoldenModel(random_artifact(NETWORKS["clamp"], 4, seed=11)).record(random_images(TINY, 8, seed=11))
    full, clamped = (result.residuals[f"block0.{part}"] == 3 for part in ("proj", "fc2"))
    assert full[:, :, 0].all() and clamped[:, :, 0].all()  # channel 0 fires into a full integer
    assert 0 < full.float().mean() < 0.5


@pytest.mark.parametrize("depth", [2, 10])
def test_random_artifacts_keep_the_gated_stream_active(depth):
    network = dataclasses.replace(NETWORKS["iand"], depth=depth)
    result = GoldenModel(random_artifact(network, 4, seed=11)).record(random_images(network, 8, seed=11))
    joining = [layer.name for layer in network.layers() if layer.residual]
    for name, residual in result.residuals.items():
        assert 0.05 < residual.float().mean() < 0.95, name
    for layer in network.layers():
        if layer.has_weights and layer.kind != "head":
            assert 0.005 < result.spikes[layer.name].float().mean() < 0.6, layer.name
    gate = result.spikes[joining[0]]
    assert 0 < gate[:, :, 0].float().mean() < 1  # channel 0 does not clear its own stream for good


def test_random_artifacts_are_deterministic():
    first, second = (random_artifact(TINY, 4, seed=12) for _ in range(2))
    for name, tensor in first.flat_tensors().items():
        assert np.array_equal(tensor, second.flat_tensors()[name])
    other = random_artifact(TINY, 4, seed=13)
    assert not np.array_equal(first.tensors["conv1"].weight, other.tensors["conv1"].weight)


def test_prediction_is_the_first_largest_logit():
    artifact = random_artifact(TINY, 4, seed=14)
    head = artifact.tensors["head"]
    equal = dataclasses.replace(head, weight=np.zeros_like(head.weight), bias=np.array([3, 5, 5], np.int32))
    changed = dataclasses.replace(artifact, tensors=artifact.tensors | {"head": equal})
    result = GoldenModel(changed).run(random_images(TINY, 2, seed=0))
    assert result.logits.tolist() == [[3, 5, 5]] * 2
    assert result.predictions.tolist() == [1, 1]


def test_stream_and_evaluate_equal_one_batch():
    artifact, images = random_artifact(TINY, 4, seed=15), random_images(TINY, 7, seed=16)
    whole = GoldenModel(artifact).run(images)
    done: list[int] = []
    parts = list(GoldenModel(artifact).stream(images, batch_size=3, progress=done.append))
    assert torch.equal(torch.cat([part.logits for part in parts]), whole.logits)
    assert done == [3, 6, 7]
    labels = whole.predictions.clone()
    labels[2] = (labels[2] + 1) % 3
    result = evaluate(artifact, images, labels, batch_size=2, bar=False, count_operations=True)
    assert (result.correct, result.images) == (6, 7)
    assert result.accuracy == 6 / 7
    assert torch.equal(result.predictions, whole.predictions)
    assert result.operations is not None and len(result.operations) == len(TINY.layers())


def test_or_pool_is_a_max_pool_of_28_to_14():
    spikes = torch.randint(0, 2, (2, 3, 5, 28, 28), generator=torch.Generator().manual_seed(0)).float()
    ours = or_pool(spikes.permute(0, 1, 3, 4, 2)).permute(0, 1, 4, 2, 3)
    assert torch.equal(ours.flatten(0, 1), functional.max_pool2d(spikes.flatten(0, 1), 3, 2, 1))
    assert ours.shape[-2:] == (14, 14)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_or_pool_takes_the_largest_integer_of_any_type(dtype):
    low, high = (0, 3) if dtype is torch.uint8 else (-(2**31), 0)  # beyond float32, and below the padding's zero
    values = torch.randint(low, high, (1, 2, 6, 4, 3), generator=torch.Generator().manual_seed(1)).to(dtype)
    expected = functional.max_pool2d(values[0].permute(0, 3, 1, 2).double(), 3, 2, 1)
    assert torch.equal(or_pool(values)[0].permute(0, 3, 1, 2).double(), expected)


def test_images_wrong():
    model = GoldenModel(random_artifact(TINY, 4, seed=17))
    with pytest.raises(ValueError, match=r"^images must be uint8 pixels, not torch\.float32$"):
        model.run(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"^images must have shape \[B, 3, 8, 8\], not \[1, 3, 8, 4\]$"):
        model.run(torch.zeros(1, 3, 8, 4, dtype=torch.uint8))


def test_labels_wrong():
    artifact, images = random_artifact(TINY, 4, seed=17), random_images(TINY, 2, seed=0)
    with pytest.raises(ValueError, match=r"^labels must be one for each of at least 1 image, not \[3\] for 2$"):
        evaluate(artifact, images, torch.zeros(3), bar=False)
    with pytest.raises(ValueError, match=r"^batch_size must be at least 1, not 0$"):
        evaluate(artifact, images, torch.zeros(2), batch_size=0, bar=False)
