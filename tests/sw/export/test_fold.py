"""From the trained model to integers and back to a Brevitas model: nothing is lost but the rounding of the biases."""

from __future__ import annotations

import copy
import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from golden.model import GoldenModel
from hw.named_configs import LARGE
from sw.artifact import file as artifact_file
from sw.artifact.ranges import layer_ranges
from sw.compiler.compiler import compile_artifact
from sw.data.sets import data_set
from sw.errors import UserError
from sw.export.deployed import deployed_model, encoded_images, run_deployed
from sw.export.fold import biases_of, export_artifact, fold, thresholds_of
from sw.model.quantizers import begin_scales
from sw.model.spikformer import Spikformer, SpikingLayer, Trace
from sw.network import NetworkConfig

DATA = dataclasses.replace(data_set("cifar10"), image_size=16)
CONFIG = NetworkConfig(image_size=16, image_channels=3, classes=10, embed_dim=16, depth=2, heads=2)


def trained(bits: int, seed: int = 0, config: NetworkConfig = CONFIG) -> Spikformer:
    """A quantised model with every sign of batch norm gain, and some gains of zero."""
    torch.manual_seed(seed)
    model = Spikformer(config, bits, DATA.image_scale)
    model(torch.zeros(1, 3, 16, 16))  # calibrates the weight scales
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.05, 0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0.6, 1.8)
            module.weight.data[1] *= -1
            if len(module.weight) > 2:
                module.weight.data[2] = 0
        elif isinstance(module, nn.Linear):
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return model.eval()


def pixels(count: int = 4) -> Tensor:
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def with_rounded_biases(model: Spikformer, fraction: int) -> Spikformer:
    """The model in float64 with every layer's constant current moved to the grid of the artifact's bias."""
    model = copy.deepcopy(model).double()
    for layer in model.config.layers():
        if layer.has_weights:
            folded = fold(model, layer, DATA.image_scale)
            biases = torch.tensor([float(bias) for bias in biases_of(folded, fraction)], dtype=torch.float64)
            change = folded.alpha * biases / 2**fraction - folded.constant
            module = model.get_submodule(layer.name)
            (module if layer.kind == "head" else module.norm).bias.data += change
    return model


@pytest.mark.parametrize(
    ("bits", "change"),
    [
        (2, {}),
        (3, {}),
        (4, {}),
        (8, {}),
        (4, {"residual_mode": "clamp"}),
        (4, {"residual_mode": "iand"}),
        (4, {"neuron": "if"}),
    ],
)
def test_deployed_model_is_the_trained_one_with_rounded_biases(tmp_path, bits, change):
    model = trained(bits, config=dataclasses.replace(CONFIG, **change))
    artifact_file.save(export_artifact(model, DATA), tmp_path / "tiny.spikeloom")
    artifact = artifact_file.load(tmp_path / "tiny.spikeloom")
    logits, trace = run_deployed(artifact, pixels())
    expected = Trace()
    with torch.no_grad():
        rounded = with_rounded_biases(model, artifact.bias_fraction_bits)
        expected_logits = rounded(DATA.encode(pixels()).double() * DATA.image_scale, expected)
    assert list(trace.spikes) == [layer.name for layer in CONFIG.layers() if layer.kind != "head"]
    for name, spikes in trace.spikes.items():
        assert trace.margin[name] > 1e-9 or name.endswith("attention")
        assert torch.equal(spikes, expected.spikes[name]), name
        assert 0.005 < spikes.float().mean() < 0.99, name
    assert all(torch.equal(trace.residual[name], expected.residual[name]) for name in expected.residual)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-12, atol=1e-12)


def test_deployed_weights_are_exactly_integers_times_alpha():
    artifact = export_artifact(trained(4), DATA)
    model = deployed_model(artifact)
    for layer in CONFIG.layers():
        if layer.has_weights and layer.kind != "head":
            weight = model.get_submodule(layer.name).weights.quant_weight()
            tensors = artifact.tensors[layer.name]
            assert torch.equal(weight.int(), torch.tensor(tensors.weight))
            assert torch.equal(weight.scale.flatten(), torch.tensor(tensors.scale))


def test_deployed_model_reads_the_artifacts_pixel_table():
    artifact = export_artifact(trained(4), DATA)
    assert torch.equal(encoded_images(artifact, pixels()), DATA.encode(pixels()).double())


def test_scales_are_positive_and_negative_gains_flip_weights():
    model = trained(4)
    artifact = export_artifact(model, DATA)
    exact = copy.deepcopy(model).double()
    for name, tensors in artifact.tensors.items():
        assert (tensors.scale > 0).all()
        if name != "head":
            module = exact.get_submodule(name)
            integers = module.weights.quant_weight().int()
            signs = module.norm.weight.sign().to(torch.int8).reshape(-1, *(1,) * (integers.ndim - 1))
            assert torch.equal(torch.tensor(tensors.weight), integers * signs)


@pytest.mark.parametrize(
    ("constant", "bias", "threshold"),
    # A current of 2 fires in every step, of 4/3 in every second one: its membrane is 2/3, then 1.
    [(-3.0, 0, 1), (0.0, 0, 1), (1.0, 0, 1), (1.34, 1, 12), (1.999, 1, 12), (2.0, 1, 8), (1e9, 1, 8)],
)
def test_zero_gain_becomes_zero_weights_and_a_bias(constant, bias, threshold):
    model = trained(4)
    model.get_submodule("conv1").norm.bias.data[2] = constant
    tensors = export_artifact(model, DATA).tensors["conv1"]
    assert (tensors.weight[2] == 0).all()
    assert (tensors.bias[2], tensors.threshold[2]) == (bias, threshold)


DEAD = {"pruned": (0.0, 1.0), "no gain": (1.0, 0.0), "small": (1.0, 1e-4), "tiny": (1.0, 1e-9), "none": (1.0, 1e-20)}
"""Factors on the weights, and on the gain, of channels 4, 5, ... of every layer that has so many."""


@pytest.mark.parametrize(("neuron", "timesteps"), [("lif", 4), ("lif", 7), ("if", 4)])
def test_dead_channels_fire_as_they_did_and_ask_for_no_wider_neurons(neuron, timesteps):
    """Some never fire, some at every step, some at every other one."""
    config = dataclasses.replace(CONFIG, embed_dim=64, neuron=neuron, timesteps=timesteps)
    plain, dead = (trained(4, config=config) for _ in range(2))
    for module in dead.modules():
        if isinstance(module, SpikingLayer) and len(module.norm.weight) >= 16:
            for channel, (weights, gain) in enumerate(DEAD.values(), start=4):
                for constant, each in (
                    (-1.0, channel),
                    (1.5 if neuron == "lif" else 0.7, channel + 5),
                    (40.0, channel + 10),
                ):
                    if each < len(module.norm.weight):
                        module.weights.weight.data[each] *= weights
                        module.norm.weight.data[each] *= gain
                        module.norm.bias.data[each] = constant
    begin_scales(dead)
    artifact, expected = export_artifact(dead, DATA), Trace()
    widths = [layer_ranges(each) for each in (export_artifact(plain, DATA), artifact)]
    assert max(r.result_bits for r in widths[1].values()) <= max(r.result_bits for r in widths[0].values()) + 1
    if neuron == "lif":
        assert compile_artifact(artifact, dataclasses.replace(LARGE, time_chunks=2)).memory.size
    logits, trace = run_deployed(artifact, pixels())
    with torch.no_grad():
        rounded = with_rounded_biases(dead, artifact.bias_fraction_bits)
        expected_logits = rounded(DATA.encode(pixels()).double() * DATA.image_scale, expected)
    golden = GoldenModel(artifact).record(pixels())
    for name, spikes in trace.spikes.items():
        assert torch.equal(spikes, expected.spikes[name]), name
        assert torch.equal(spikes, golden.spikes[name]), name
    assert {0.0, 1.0} < set(trace.spikes["rpe"].float().mean(dim=(0, 1, 3, 4)).tolist())
    torch.testing.assert_close(logits, expected_logits, rtol=1e-12, atol=1e-12)


def test_a_head_of_zero_weights_keeps_its_biases():
    model = trained(4)
    model.head.weight.data.zero_()
    begin_scales(model)
    model.head.bias.data = torch.linspace(-0.3, 0.2, 10)
    artifact = export_artifact(model, DATA)
    logits, _ = run_deployed(artifact, pixels(2))
    torch.testing.assert_close(logits, model.head.bias.double().expand(2, -1), rtol=0, atol=0.3 / 2**16)
    assert GoldenModel(artifact).run(pixels(2)).predictions.tolist() == [9, 9]
    model.head.weight.data.fill_(1e-6)
    begin_scales(model)
    model.head.bias.data *= 1e6
    with pytest.raises(UserError, match=r"^head: bias .* of channel 0 exceeds 2\.14748e\+09; the weights are, beside"):
        export_artifact(model, DATA)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(value):
    model = trained(4)
    model.get_submodule("conv2").norm.bias.data[1] = value
    with pytest.raises(UserError, match=r"^conv2: batch norm or bias of channel 1 is not a finite number; train"):
        export_artifact(model, DATA)


def test_threshold_is_the_exact_ceiling():
    alphas = [0.1, 1 / 3, 0.25, 1.0, 3.0, 1e-9, np.nextafter(0.25, 1), np.nextafter(0.25, 0)]
    expected = [-(-Fraction(256) // Fraction(alpha)) for alpha in alphas]
    assert thresholds_of(torch.tensor(alphas, dtype=torch.float64), 8) == expected
    assert expected[2] == 1024
    assert expected[6] == 1024
    assert expected[7] == 1025


def test_head_has_one_scale_with_the_mean_inside():
    model = trained(4)
    scale = export_artifact(model, DATA).tensors["head"].scale
    expected = copy.deepcopy(model).double().get_submodule("head").quant_weight().scale.item() / (16 * 4)
    assert (scale == expected).all()


def test_export_leaves_the_model_alone():
    model = trained(4)
    before = copy.deepcopy(model.state_dict())
    export_artifact(model, DATA)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) and after[name].dtype == value.dtype for name, value in before.items())


def test_wrong_models_are_refused():
    with pytest.raises(UserError, match="the model has float weights; train the quantised phase first"):
        export_artifact(Spikformer(CONFIG), DATA)
    with pytest.raises(UserError, match="the weight quantiser of conv0 was never calibrated"):
        export_artifact(Spikformer(CONFIG, 4, DATA.image_scale), DATA)
    # A current of 2 is the threshold's in the first step: what next to no gain adds decides.
    tiny = trained(4)
    norm = tiny.get_submodule("rpe").norm
    norm.weight.data[3], norm.running_mean[3], norm.bias.data[3] = 1e-12, 0.0, 2.0
    with pytest.raises(
        UserError, match=r"rpe: bias .* of channel 3 exceeds 2\.14748e\+09; its batch norm gain is next"
    ):
        export_artifact(tiny, DATA)
    broken = trained(4)
    broken.get_submodule("conv1").weights.weight_quant.tensor_quant.scaling_impl.value.data[0] = float("nan")
    with pytest.raises(UserError, match="the weight quantiser of conv1 has the scale nan"):
        export_artifact(broken, DATA)
