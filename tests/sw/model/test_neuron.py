"""The fused neurons against their one-step definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch._inductor.cpu_vec_isa import pick_vec_isa

from sw.model import neuron
from sw.model.neuron import lif_over_time, lif_over_time_stepwise, lif_step


def currents(dtype: torch.dtype, steps: int = 4, count: int = 70_000, seed: int = 0) -> Tensor:
    """Currents that fire often; more neurons than one chunk."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(steps, count, generator=generator, dtype=torch.float64) * 2 + 0.5).to(dtype)


def gradient(function, current: Tensor, threshold: float, **options) -> Tensor:
    leaf = current.clone().requires_grad_()
    weights = currents(current.dtype, len(current), current.shape[1], seed=1)
    return torch.autograd.grad((function(leaf, threshold, **options) * weights).sum(), leaf)[0]


def test_membrane_follows_the_paper_by_hand():
    spike, membrane = lif_step(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.5, 0.0, 0.5]), 1.0)
    assert spike.tolist() == [0.0, 1.0, 1.0]
    assert membrane.tolist() == [0.75, 0.0, 0.0]


def test_membrane_without_leak_by_hand():
    spike, membrane = lif_step(torch.tensor([0.25, 0.5, 3.0]), torch.tensor([0.5, 0.5, 0.0]), 1.0, leaky=False)
    assert spike.tolist() == [0.0, 1.0, 1.0]
    assert membrane.tolist() == [0.75, 0.0, 0.0]


def test_gradient_without_leak_by_hand():
    """No spike at the first step: its current reaches the second membrane whole."""
    leaf = torch.tensor([[0.5], [0.25]], dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(lif_over_time(leaf, 1.0, leaky=False)[1].sum(), leaf)
    sigmoid = torch.sigmoid(torch.tensor(-0.25 * 4, dtype=torch.float64))
    expected = sigmoid * (1 - sigmoid) * 4
    torch.testing.assert_close(grad, expected.expand(2, 1), rtol=1e-12, atol=0)


def test_equality_fires():
    assert lif_over_time(torch.tensor([[1.0, 2.0]]), 0.5).tolist() == [[1.0, 1.0]]
    assert lif_over_time(torch.tensor([[1.0 - 2**-20]]), 0.5).tolist() == [[0.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threshold", [0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 4, 10])
@pytest.mark.parametrize("leaky", [True, False])
def test_fused_spikes_equal_stepwise(dtype, threshold, steps, leaky):
    current = currents(dtype, steps)
    spikes = lif_over_time(current, threshold, leaky=leaky)
    assert spikes.dtype == dtype
    assert 0.1 < spikes.mean() < 0.9
    assert torch.equal(spikes, lif_over_time_stepwise(current, threshold, leaky=leaky))


@pytest.mark.parametrize("threshold", [0.5, 1.0])
@pytest.mark.parametrize("leaky", [True, False])
def test_fused_gradient_is_stepwise_gradient(threshold, leaky):
    current = currents(torch.float64)
    fused, stepwise = (gradient(f, current, threshold, leaky=leaky) for f in (lif_over_time, lif_over_time_stepwise))
    torch.testing.assert_close(fused, stepwise, rtol=1e-12, atol=1e-14)
    assert fused.abs().min() >= 0
    assert fused.abs().max() > 0.1


def test_no_gradient_through_the_reset():
    """A neuron that fires passes nothing from later steps to earlier currents."""
    leaf = torch.tensor([[4.0], [1.0]], dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(lif_over_time(leaf, 1.0)[1].sum(), leaf)
    assert grad[0] == 0
    assert grad[1] > 0


def test_bf16_membranes_are_fp32():
    current = currents(torch.bfloat16)
    assert torch.equal(lif_over_time(current, 1.0).float(), lif_over_time_stepwise(current.float(), 1.0))


def test_repeated_current_sums_its_gradient_over_time():
    leaf = currents(torch.float64, 1, 100).requires_grad_()
    (grad,) = torch.autograd.grad(lif_over_time(leaf.expand(4, -1), 1.0).sum(), leaf)
    full = leaf.detach().repeat(4, 1).requires_grad_()
    (grad_full,) = torch.autograd.grad(lif_over_time(full, 1.0).sum(), full)
    torch.testing.assert_close(grad[0], grad_full.sum(0))


@pytest.mark.long
def test_compiled_neurons_equal_plain_ones(monkeypatch):
    current = currents(torch.float32)
    spikes, grad = lif_over_time(current, 1.0), gradient(lif_over_time, current, 1.0)
    monkeypatch.setattr(neuron, "_compiled", {})
    assert neuron.compile_neurons()
    assert pick_vec_isa(), "compiled for single numbers"
    assert torch.equal(lif_over_time(current, 1.0), spikes)
    torch.testing.assert_close(gradient(lif_over_time, current, 1.0), grad)


def test_neurons_stay_plain_without_a_compiler(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(neuron, "_compiled", {})
    monkeypatch.setattr(torch, "compile", broken)
    assert not neuron.compile_neurons()
    assert lif_over_time(torch.tensor([[2.0]]), 1.0).item() == 1.0
