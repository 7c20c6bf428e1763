"""Attention without softmax, and its neuron."""

from __future__ import annotations

import pytest
import torch

from golden.attention import attend, key_value, split_heads
from golden.neuron import lif
from sw.network import NetworkConfig


def test_tokens_are_rows_first_and_channels_heads_first():
    spikes = torch.arange(2 * 3 * 8).reshape(1, 1, 2, 3, 8)
    heads = split_heads(spikes, 2)
    assert heads.shape == (1, 1, 2, 6, 4)
    assert int(heads[0, 0, 1, 5, 2]) == int(spikes[0, 0, 1, 2, 6])


@pytest.mark.parametrize(("heads", "dim", "size"), [(1, 8, 2), (2, 16, 3), (4, 32, 7)])
def test_equals_the_order_of_the_paper(heads, dim, size):
    generator = torch.Generator().manual_seed(heads)
    q, k, v = (torch.randint(0, 2, (2, 3, size, size, dim), generator=generator).double() for _ in range(3))
    sums = attend(q, key_value(k, v, heads))
    for head in range(heads):
        part = slice(head * dim // heads, (head + 1) * dim // heads)
        qh, kh, vh = (x.flatten(2, 3)[..., part].long() for x in (q, k, v))
        scores = torch.einsum("tbnd,tbmd->tbnm", qh, kh)
        expected = torch.einsum("tbnm,tbmd->tbnd", scores, vh)
        assert torch.equal(sums.flatten(2, 3)[..., part].long(), expected)


@pytest.mark.parametrize("timesteps", [1, 2, 4, 16])
def test_sum_of_eight_fires_at_the_first_step(timesteps):
    network = NetworkConfig(
        image_size=8, image_channels=1, classes=2, embed_dim=8, depth=1, heads=1, timesteps=timesteps
    )
    sums = torch.tensor([[7, 8, 9]])
    spikes, _ = lif(sums, torch.full((3,), network.attention_threshold), timesteps)
    assert spikes[0].tolist() == [False, True, True]


@pytest.mark.parametrize(("scale", "first"), [(0.0625, 16), (0.125, 8), (0.25, 4), (0.5, 2)])
def test_attention_scale_moves_the_threshold(scale, first):
    network = NetworkConfig(
        image_size=8, image_channels=1, classes=2, embed_dim=8, depth=1, heads=1, attention_scale=scale
    )
    spikes, _ = lif(torch.arange(20).unsqueeze(0), torch.full((20,), network.attention_threshold), 4)
    assert int(spikes[0].int().argmax()) == first
