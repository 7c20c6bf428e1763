"""Byte dot products are exact wherever they are used, on CPUs with and without instructions for them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from golden.byte_sums import LARGEST_PAIR, ByteSums
from golden.model import GoldenModel
from golden.random_artifact import random_artifact
from sw.artifact.artifact import LayerParameters
from sw.artifact.ranges import LayerRange, accumulator_range
from sw.layer import Layer
from sw.network import NetworkConfig
from tests.golden.integer_reference import convolve

SHIFT = 4
CONV = Layer(part="x", kind="conv", source="y", in_channels=40, out_channels=24, height=6, width=6, input_max=129)
LINEAR = dataclasses.replace(CONV, kind="linear", in_channels=400, height=3, width=5)


def extreme_parameters(layer: Layer) -> LayerParameters:
    """Weights of the largest magnitude; the first channel has them all positive."""
    rng = np.random.default_rng(layer.in_channels)
    weight = (127 * rng.choice([-1, 1], layer.weight_shape)).astype(np.int8)
    weight[0] = 127
    bias = rng.integers(-1000, 1000, layer.out_channels).astype(np.int32)
    ones = np.ones(layer.out_channels)
    return LayerParameters(weight=weight, bias=bias, threshold=ones.astype(np.int64), scale=ones)


def bounds_of(layer: Layer, parameters: LayerParameters) -> LayerRange:
    low, high = accumulator_range(parameters.weight, 0, layer.input_max)
    return LayerRange(accumulator=(int(low.min()), int(high.max())), result=(0, 0), result_name="membrane")


def proven(layer: Layer, parameters: LayerParameters, shift: int = 0) -> bool:
    return ByteSums.proven(layer, parameters, shift, bounds_of(layer, parameters))


def assert_exact(layer: Layer) -> None:
    """Every input is the largest in the first image, where sums would saturate first; random in the second."""
    parameters = extreme_parameters(layer)
    shape = (2, 2, layer.height, layer.width, layer.in_channels)
    inputs = torch.randint(0, layer.input_max + 1, shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    inputs[:, 0] = layer.input_max
    currents = ByteSums(layer, parameters, 0)(inputs)
    kernel = np.zeros((layer.out_channels, layer.in_channels, 3, 3), np.int64)
    if layer.kind == "conv":
        kernel[:] = parameters.weight
    else:
        kernel[:, :, 1, 1] = parameters.weight
    sums = convolve(kernel, inputs.permute(0, 1, 4, 2, 3).to(torch.int64).numpy())
    expected = sums + parameters.bias[:, None, None]
    assert currents.dtype is torch.int32
    assert np.array_equal(currents.permute(0, 1, 4, 2, 3).numpy(), expected)


@pytest.mark.parametrize("layer", [CONV, LINEAR], ids=["conv", "linear"])
def test_exact_at_the_largest_pair(layer):
    assert 2 * layer.input_max * 127 <= LARGEST_PAIR < 2 * (layer.input_max + 1) * 127
    assert proven(layer, extreme_parameters(layer))
    assert_exact(layer)


@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE"])
def test_exact_without_byte_instructions(isa):
    """Without VNNI oneDNN adds pairs that saturate at 16 bits."""
    program = "import tests.golden.test_byte_sums as t; t.assert_exact(t.CONV); t.assert_exact(t.LINEAR)"
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": isa, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_refuses_pairs_that_saturate():
    assert not proven(dataclasses.replace(LINEAR, input_max=130), extreme_parameters(LINEAR))


def test_refuses_currents_beyond_float32():
    parameters = extreme_parameters(LINEAR)
    largest = 129 * 127 * LINEAR.in_channels
    assert largest == bounds_of(LINEAR, parameters).accumulator[1]
    for bias, expected in ((2**24 - 1 - largest, True), (2**24 - largest, False)):
        changed = dataclasses.replace(parameters, bias=np.full_like(parameters.bias, bias))
        assert proven(LINEAR, changed) is expected
    assert not proven(LINEAR, parameters, shift=SHIFT)


def test_refuses_signed_inputs():
    image = dataclasses.replace(LINEAR, source="image", input_max=1)
    assert not proven(image, extreme_parameters(image))


def test_networks_use_them_for_all_but_the_image():
    network = NetworkConfig(image_size=8, image_channels=3, classes=3, embed_dim=16, depth=1, heads=2)
    model = GoldenModel(random_artifact(network, 8, seed=1))
    without = {name for name, layer in model._layers.items() if layer.byte_sums is None}
    assert without == {"conv0", "block0.attention", "head"}
