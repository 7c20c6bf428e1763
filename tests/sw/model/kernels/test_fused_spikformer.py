"""The fused kernels against the plain model, forward and backward, on a GPU or in Triton's interpreter.

The interpreter needs Triton and ``TRITON_INTERPRET=1``.
"""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from sw.model.neuron import lif_over_time_stepwise
from sw.model.quantizers import begin_scales
from sw.model.spikformer import Spikformer
from sw.network import NetworkConfig

if not torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("the kernels are compiled for CUDA devices, and there is none", allow_module_level=True)

from sw.model.kernels.attention import SpikingAttention
from sw.model.kernels.norm_lif import Neuron, NormLif, ScaledLif
from sw.model.kernels.spike_pool import SpikePool
from sw.model.kernels.spikformer import FusedSpikformer

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def distance(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm().clamp_min(1e-12))


@pytest.fixture(autouse=True)
def exact():
    """Plain fp32: no TF32 in the reference."""
    torch.manual_seed(0)
    with torch.backends.cudnn.flags(allow_tf32=False):
        yield


@pytest.mark.parametrize("leaky", [True, False])
@pytest.mark.parametrize(
    ("steps", "given", "rows", "channels"), [(4, 4, 70, 24), (4, 1, 70, 24), (1, 1, 40, 8), (2, 2, 33, 100)]
)
def test_norm_and_neuron_equal_batch_norm_and_the_stepwise_neuron(steps, given, rows, channels, leaky):
    x = (torch.randn(given, rows, channels, device=DEVICE) * 1.7 + 0.6).requires_grad_()
    bias = torch.randn(channels, device=DEVICE)
    theirs, ours = nn.BatchNorm1d(channels).to(DEVICE), nn.BatchNorm1d(channels).to(DEVICE)
    with torch.no_grad():
        theirs.weight.uniform_(0.5, 3)
        theirs.bias.normal_()
    ours.load_state_dict(theirs.state_dict())
    currents = theirs((x + bias).flatten(0, 1)).view_as(x).expand(steps, -1, -1)
    expected = lif_over_time_stepwise(currents, 1.0, leaky=leaky)
    gradient = torch.randn_like(expected)
    expected.backward(gradient)
    slope, x.grad = x.grad, None
    spikes = NormLif.apply(
        x, ours.weight, ours.bias, bias, ours.running_mean, ours.running_var, Neuron(steps, 1.0, leaky), 0.1, ours.eps
    )
    spikes.backward(gradient)
    assert torch.equal(spikes, expected)
    assert 0.05 < spikes.mean() < 0.5
    assert distance(x.grad, slope) < 1e-5
    assert distance(ours.weight.grad, theirs.weight.grad) < 1e-5
    assert distance(ours.bias.grad, theirs.bias.grad) < 1e-5
    assert torch.allclose(ours.running_mean, theirs.running_mean, atol=1e-6)
    assert torch.allclose(ours.running_var, theirs.running_var, atol=1e-5)


@pytest.mark.parametrize("leaky", [True, False])
def test_scaled_neuron_equals_the_stepwise_neuron(leaky):
    x = torch.randn(4, 50, 24, device=DEVICE).requires_grad_()
    scale, shift = torch.rand(2, 24, device=DEVICE)
    scale.requires_grad_()
    shift.requires_grad_()
    expected = lif_over_time_stepwise(x * scale + shift, 0.5, leaky=leaky)
    gradient = torch.randn_like(expected)
    expected.backward(gradient)
    slopes = [tensor.grad.clone() for tensor in (x, scale, shift)]
    for tensor in (x, scale, shift):
        tensor.grad = None
    spikes = ScaledLif.apply(x, scale, shift, Neuron(4, 0.5, leaky))
    spikes.backward(gradient)
    assert torch.equal(spikes, expected)
    assert all(distance(t.grad, s) < 1e-5 for t, s in zip((x, scale, shift), slopes, strict=True))


@pytest.mark.parametrize("shape", [(3, 8, 8, 24), (2, 14, 6, 5), (1, 16, 16, 32)])
def test_pool_equals_max_pool(shape):
    x = (torch.rand(shape, device=DEVICE) < 0.3).float().requires_grad_()
    expected = functional.max_pool2d(x.permute(0, 3, 1, 2).contiguous(), 3, 2, 1).permute(0, 2, 3, 1)
    gradient = torch.randn_like(expected)
    expected.backward(gradient)
    slope, x.grad = x.grad, None
    pooled = SpikePool.apply(x)
    pooled.backward(gradient)
    assert torch.equal(pooled, expected)
    assert torch.allclose(x.grad, slope, atol=1e-6)


@pytest.mark.parametrize(("images", "tokens", "channels", "heads"), [(3, 64, 64, 4), (2, 49, 32, 2), (1, 196, 64, 2)])
def test_attention_equals_the_products(images, tokens, channels, heads):
    parts = [(torch.rand(images, tokens, channels, device=DEVICE) < 0.3).float().requires_grad_() for _ in range(3)]
    q, k, v = (part.view(images, tokens, heads, -1).transpose(1, 2) for part in parts)
    expected = (q @ (k.transpose(2, 3) @ v)).transpose(1, 2).reshape(images, tokens, channels)
    gradient = torch.randn_like(expected)
    expected.backward(gradient)
    slopes = [part.grad.clone() for part in parts]
    for part in parts:
        part.grad = None
    sums = SpikingAttention.apply(*parts, heads)
    sums.backward(gradient)
    assert torch.equal(sums, expected)
    assert all(distance(part.grad, slope) < 1e-5 for part, slope in zip(parts, slopes, strict=True))


@pytest.mark.parametrize("bits", [None, 4])
@pytest.mark.parametrize("mode", ["add", "clamp", "iand"])
@pytest.mark.parametrize("neuron", ["lif", "if"])
@pytest.mark.parametrize("training", [True, False])
def test_fused_model_equals_the_plain_one(bits, mode, neuron, training):
    """The plain one in float64: in float32 its own rounding may decide a tie."""
    config = NetworkConfig(
        image_size=16, image_channels=3, classes=10, embed_dim=32, depth=1, heads=2, residual_mode=mode, neuron=neuron
    )
    plain, fused = Spikformer(config, bits, 1 / 64), FusedSpikformer(config, bits, 1 / 64)
    with torch.no_grad():
        for module in plain.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(1, 2)
                module.bias.uniform_(0, 0.8)
            if isinstance(module, nn.Linear):
                module.weight.normal_(0, 0.2)
    if bits is not None:
        begin_scales(plain)
    fused.load_state_dict(plain.state_dict())
    plain.double()
    images = (torch.randn(3, 3, 16, 16, device=DEVICE) * 64).round().clamp(-127, 127) / 64
    truth = torch.tensor([1, 2, 3], device=DEVICE)
    logits = []
    for model in (plain, fused):
        model.to(DEVICE, memory_format=torch.channels_last).train(training)
        logits.append(model(images.to(model.head.weight.dtype)).double())
        functional.cross_entropy(logits[-1], truth).backward()
    assert torch.allclose(*logits, atol=1e-5)
    for (name, theirs), ours in zip(plain.named_parameters(), fused.parameters(), strict=True):
        # A bias in front of a batch norm in training mode has no gradient but rounding.
        if theirs.grad is not None and float(theirs.grad.norm()) > 1e-6:
            assert ours.grad is not None and distance(ours.grad, theirs.grad) < 1e-3, name
