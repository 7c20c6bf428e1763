"""A step of the optimiser: what decays, what is counted, what a teacher adds."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from sw.model.quantizers import begin_scales
from sw.model.spikformer import Spikformer
from sw.network import NetworkConfig
from sw.training.processes import Processes
from sw.training.recipe import Distillation, Phase
from sw.training.step import TrainStep, adamw
from sw.training.teachers.residual import Teacher

CPU = Processes(torch.device("cpu"))
LEARN = Distillation(
    width=8, weight=0.75, temperature=4.0, optimiser="sgd", weight_decay=5e-4,
    phase=Phase(epochs=1, learning_rate=1e-3),
)  # fmt: skip


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.randn(6, 1, 8, 8), functional.one_hot(torch.arange(6) % 5, 5).float()


def linear() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))


def test_only_weights_decay():
    model = Spikformer(NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=16, depth=1, heads=2), 4)
    begin_scales(model)
    decayed, others = adamw(model, 0.1, torch.device("cpu")).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(names[id(p)].endswith(".weight") and p.ndim >= 2 for p in decayed["params"])
    assert any("scaling_impl" in names[id(p)] for p in others["params"])
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)


def test_totals_are_sums_over_the_steps_since_they_were_taken():
    model = linear()
    step = TrainStep(model, adamw(model, 0.0, CPU.device), CPU, bf16=False)
    images, targets = batch()
    logits = model(images).detach()
    expected = float(functional.cross_entropy(logits, targets)) * 6
    step(images, targets, 0.0)
    first = step.take()
    assert first.loss == pytest.approx(expected, rel=1e-6)
    assert (first.correct, first.images) == (int((logits.argmax(1) == targets.argmax(1)).sum()), 6)
    step(images, targets, 0.0)
    step(images, targets, 0.0)
    second = step.take()
    assert (second.loss, second.images) == (pytest.approx(2 * expected, rel=1e-6), 12)


def test_a_gradient_that_is_not_finite_shows_in_the_loss():
    model = linear()
    step = TrainStep(model, adamw(model, 0.0, CPU.device), CPU, bf16=False)
    images, targets = batch()
    model[1].weight.register_hook(lambda gradient: gradient * math.inf)
    step(images, targets, 0.0)
    assert not math.isfinite(step.take().loss)


def test_a_teacher_pulls_the_student_towards_its_own_probabilities():
    torch.manual_seed(3)
    teacher = Teacher(1, 5, width=8).eval()
    images, targets = batch()
    student = linear()
    step = TrainStep(student, adamw(student, 0.0, CPU.device), CPU, bf16=False, teacher=(teacher, LEARN))
    before = student(images).detach()
    step(images, targets, 0.0)
    with torch.no_grad():
        wanted = (teacher(images) / 4).softmax(1)
    distance = (wanted * (wanted.log() - (before / 4).log_softmax(1))).sum(1).mean()
    expected = 0.25 * functional.cross_entropy(before, targets) + 0.75 * 16 * distance
    assert step.take().loss == pytest.approx(6 * float(expected), rel=1e-5)
    alone = linear()
    untaught = TrainStep(alone, adamw(alone, 0.0, CPU.device), CPU, bf16=False)
    for _ in range(200):
        step(images, targets, 1e-2)
        untaught(images, targets, 1e-2)
    taught, other = ((wanted * (wanted.log() - (m(images) / 4).log_softmax(1))).sum() for m in (student, alone))
    assert taught < 0.2 * other


def test_a_teacher_has_the_layers_of_resnet_18():
    weights = [p for p in Teacher(3, 10, width=64).parameters() if p.ndim > 1]
    assert sum(p.shape[-1] == 3 for p in weights if p.ndim == 4) == 17
    assert sum(p.numel() for p in weights) == 11_164_352
    assert Teacher(1, 10, width=8)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
