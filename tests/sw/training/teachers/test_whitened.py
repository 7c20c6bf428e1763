"""The whitened teacher: what its first layer computes, how it begins, and how fast its biases learn."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from sw.training.teachers.whitened import QUICK, WhitenedTeacher


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28)])
def test_it_classifies_images_of_both_sizes(channels, size):
    teacher = WhitenedTeacher(channels, 10, width=8)
    assert teacher(torch.randn(2, channels, size, size)).shape == (2, 10)


def test_the_first_layer_makes_patches_of_the_training_images_white():
    torch.manual_seed(1)
    images = functional.avg_pool2d(torch.randn(200, 3, 18, 18), 3, 1) * torch.tensor([3.0, 4.0, 5.0]).view(3, 1, 1)
    teacher = WhitenedTeacher(3, 10, width=8)
    teacher.whiten(images)
    out = functional.conv2d(images, teacher.whitening.weight).transpose(0, 1).flatten(1).double()
    assert torch.equal(out[:12], -out[12:])
    covariance = out[:12] @ out[:12].T / out.shape[1]
    torch.testing.assert_close(covariance, torch.eye(12).double(), atol=0.01, rtol=0)
    assert not teacher.whitening.weight.requires_grad


def test_convolutions_begin_as_identities():
    stage = WhitenedTeacher(3, 10, width=24).stages[0]
    x = torch.randn(2, 24, 8, 8)
    for conv in (stage.first, stage.second, stage.third):
        assert torch.equal(conv(x)[:, :24], x)


def test_biases_of_norms_learn_as_much_faster_as_said_and_their_scales_do_not():
    norm = WhitenedTeacher(3, 10, width=8).stages[0].first_norm
    x, rate = torch.randn(4, 8, 5, 5), 0.1
    wanted = torch.randn(4, 8, 5, 5)
    before = norm(x)
    (before * wanted).sum().backward()
    with torch.no_grad():
        norm.bias -= rate * norm.bias.grad
    plain = rate * wanted.sum((0, 2, 3))  # what a bias that is added as it is would learn
    torch.testing.assert_close((before - norm(x)).mean((0, 2, 3)), QUICK**2 * plain, rtol=1e-4, atol=1e-4)
    assert norm.weight.grad is None
