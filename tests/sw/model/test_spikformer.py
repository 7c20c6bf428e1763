"""Shape, wiring and quantisation of the whole network."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from sw.model.neuron import lif_over_time_stepwise
from sw.model.quantizers import begin_scales, quantised_conv, quantised_image, quantised_linear
from sw.model.spikformer import Spikformer, SpikingLayer, Trace
from sw.network import NetworkConfig

TINY = NetworkConfig(image_size=16, image_channels=3, classes=5, embed_dim=16, depth=2, heads=2)


def lively(model: Spikformer, seed: int = 0) -> Spikformer:
    """The model in float64 and eval mode with batch norms that make neurons fire."""
    torch.manual_seed(seed)
    model = model.double().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.05, 0.2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, 0.2, 1.4)
    return model


def images(batch: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(batch, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bits", [None, 4, 8])
def test_trace_holds_every_layer(bits):
    model, trace = lively(Spikformer(TINY, bits, 1 / 32)), Trace()
    with torch.no_grad():
        assert model(images(), trace).shape == (3, 5)
    layers = [layer for layer in TINY.layers() if layer.kind != "head"]
    assert list(trace.spikes) == [layer.name for layer in layers]
    for layer in layers:
        spikes = trace.spikes[layer.name]
        assert spikes.shape == (4, 3, layer.out_channels, layer.height, layer.width)
        assert spikes.dtype == torch.uint8
        assert spikes.max() == 1, layer.name
        assert trace.margin[layer.name] >= 0
    assert list(trace.residual) == [layer.name for layer in layers if layer.residual]


def test_pools_before_the_neurons_leave_neurons_for_their_output_only():
    """Each neuron then integrates the largest current of its window; the spikes are not pooled again."""
    config = dataclasses.replace(TINY, pool_order="before")
    model, trace = lively(Spikformer(config)), Trace()
    with torch.no_grad():
        model(images(), trace)
        spikes = trace.spikes["conv1"].double().flatten(0, 1)
        pooled = torch.nn.functional.max_pool2d(model.get_submodule("conv2")(spikes), 3, 2, 1).unflatten(0, (4, 3))
        assert torch.equal(lif_over_time_stepwise(pooled, 1.0), trace.spikes["conv2"].double())
    assert trace.spikes["conv2"].shape == (4, 3, 8, 8, 8) and trace.spikes["conv3"].shape == (4, 3, 16, 4, 4)
    assert torch.equal(trace.residual["rpe"], trace.spikes["conv3"] + trace.spikes["rpe"])


@pytest.mark.parametrize(
    ("mode", "join"),
    [
        ("add", lambda x, s: x + s),
        ("clamp", lambda x, s: torch.where(x + s > 3, 3, x + s)),
        ("iand", lambda x, s: torch.where(s == 1, 0, x)),
    ],
)
def test_residual_is_pooled_joined_by_spikes(mode, join):
    model, trace = lively(Spikformer(dataclasses.replace(TINY, residual_mode=mode))), Trace()
    with torch.no_grad():
        model(images(), trace)
    pooled = torch.nn.functional.max_pool2d(trace.spikes["conv3"].double().flatten(0, 1), 3, 2, 1).unflatten(0, (4, 3))
    total = join(pooled, trace.spikes["rpe"])
    assert torch.equal(trace.residual["rpe"].double(), total)
    for i in range(TINY.depth):
        for part in ("proj", "fc2"):
            total = join(total, trace.spikes[f"block{i}.{part}"])
            assert torch.equal(trace.residual[f"block{i}.{part}"].double(), total)
    plain = pooled + sum(trace.spikes[layer.name] for layer in TINY.layers() if layer.residual)
    assert torch.equal(total, plain) == (mode == "add")  # the clamp and the gate had something to do


@pytest.mark.parametrize(
    ("mode", "residual_gradient", "spike_gradient"),
    [
        ("add", [1, 1, 1, 1], [1, 1, 1, 1]),
        ("clamp", [1, 1, 1, 0], [1, 1, 1, 0]),  # nothing flows where 3 met a spike
        ("iand", [1, 0, 1, 0], [0, 0, -3, -3]),
    ],
)
def test_gradient_of_the_residual(mode, residual_gradient, spike_gradient):
    model = Spikformer(dataclasses.replace(TINY, residual_mode=mode))
    residual, spikes = (torch.tensor(values, requires_grad=True) for values in ([0.0, 0.0, 3.0, 3.0], [0.0, 1, 0, 1]))
    model._join("rpe", residual, spikes, None).sum().backward()
    assert residual.grad.tolist() == residual_gradient
    assert spikes.grad.tolist() == spike_gradient


def test_attention_is_the_plain_product_of_the_paper():
    """(Q K^T) V, with channel = head * d + j and token = row * width + column."""
    model, trace = lively(Spikformer(TINY)), Trace()
    with torch.no_grad():
        model(images(), trace)
    for i in range(TINY.depth):
        q, k, v = (
            trace.spikes[f"block{i}.{part}"].double().flatten(3).unflatten(2, (2, 8)).transpose(3, 4) for part in "qkv"
        )
        sums = (q @ k.transpose(3, 4)) @ v
        spikes = lif_over_time_stepwise(sums.transpose(3, 4).reshape(4, 3, 16, 4, 4) * 0.125, 0.5)
        assert torch.equal(spikes, trace.spikes[f"block{i}.attention"].double())


def test_images_of_a_batch_do_not_mix():
    model = lively(Spikformer(TINY))
    with torch.no_grad():
        together = model(images())
        alone = torch.cat([model(image[None]) for image in images()])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_every_layer_is_found_by_its_name():
    model = Spikformer(TINY, 4, 1 / 32)
    for layer in TINY.layers():
        if layer.has_weights:
            module = model.get_submodule(layer.name)
            weights = module.weights if isinstance(module, SpikingLayer) else module
            assert weights.weight.shape == layer.weight_shape


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_quantised_weights_are_narrow_integers_times_scale(bits):
    model = Spikformer(TINY, bits, 1 / 32)
    for layer in TINY.layers():
        top = 119 if bits == 8 and layer.name == "conv0" else 2 ** (bits - 1) - 1
        if not layer.has_weights:
            continue
        module = model.get_submodule(layer.name)
        weight = (module.weights if layer.kind != "head" else module).quant_weight()
        assert weight.int().abs().max() == top
        assert torch.equal(weight.int() * weight.scale, weight.value)
        assert weight.scale.numel() == (1 if layer.kind == "head" else layer.out_channels)


@pytest.mark.parametrize(
    ("name", "bits", "top"), [("conv1", 2, 1), ("conv1", 3, 3), ("conv1", 4, 7), ("conv1", 8, 127), ("conv0", 8, 119)]
)
def test_begin_scales_lowers_the_squared_error(name, bits, top):
    torch.manual_seed(0)
    conv = quantised_conv(next(layer for layer in TINY.layers() if layer.name == name), bits=bits)
    torch.nn.init.normal_(conv.weight)
    before = (conv.quant_weight().value - conv.weight).square().sum()
    begin_scales(conv)
    after = (conv.quant_weight().value - conv.weight).square().sum()
    assert after < 0.95 * before if bits <= 4 else after <= before
    assert conv.quant_weight().int().abs().max() == top


@pytest.mark.parametrize(("bits", "deviations"), [(2, 1.224), (3, 3 * 0.6508)])
def test_begin_scales_finds_the_best_scale_of_few_levels(bits, deviations):
    """Of a normal distribution the best three and seven even levels are known, far below the largest weight."""
    layer = dataclasses.replace(TINY.layers()[-1], in_channels=4096, out_channels=64)
    linear = quantised_linear(layer, bits=bits)
    torch.nn.init.normal_(linear.weight)
    begin_scales(linear)
    largest = linear.quant_weight().scale.item() * layer.weight_limit(bits)
    assert linear.weight.abs().max() > 4.5
    assert largest == pytest.approx(deviations, rel=0.05)


def test_image_quantiser_is_signed_symmetric_and_keeps_zero():
    quantise = quantised_image(1 / 64).eval()
    values = torch.tensor([0.0, 1.0, -5.0, 5.0, 0.6]) / 64 * torch.tensor([1.0, 1.0, 64.0, 64.0, 1.0])
    assert (quantise(values) * 64).tolist() == [0.0, 1.0, -127.0, 127.0, 1.0]
