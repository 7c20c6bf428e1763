"""The integer neuron fires exactly where the real one does."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.neuron import lif, thresholds_at


def real_neuron(currents: list[Fraction], theta: Fraction, leaky: bool) -> list[bool]:
    """``H = V + (X - V) / 2``, or ``V + X``, spike ``H >= theta``, hard reset, in rational numbers."""
    v, spikes = Fraction(0), []
    for x in currents:
        h = v + (x - v) / 2 if leaky else v + x
        spikes.append(h >= theta)
        v = Fraction(0) if h >= theta else h
    return spikes


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    accumulators=st.lists(st.integers(-40, 40), min_size=1, max_size=16),
    bias=st.integers(-64, 64),
    fraction_bits=st.integers(0, 8),
    theta=st.sampled_from([Fraction(1), Fraction(1, 2)]),
    alpha=st.fractions(Fraction(1, 64), Fraction(2), max_denominator=128),
    dtype=st.sampled_from([torch.int32, torch.int64]),
    leaky=st.booleans(),
)
def test_equals_the_rational_neuron(accumulators, bias, fraction_bits, theta, alpha, dtype, leaky):
    steps = len(accumulators)
    threshold = ceil((2**steps if leaky else 1) * 2**fraction_bits * theta / alpha)
    current = torch.tensor([[(acc << fraction_bits) + bias] for acc in accumulators], dtype=dtype)
    spikes, _ = lif(current, torch.tensor([threshold]), steps, leaky=leaky)
    real = [alpha * (acc + Fraction(bias, 2**fraction_bits)) for acc in accumulators]
    assert spikes[:, 0].tolist() == real_neuron(real, theta, leaky)


def test_fires_on_an_exact_tie():
    # theta / alpha = 4 with T = 4: from zero, a current of 8 is exactly at the threshold, 7 below it.
    spikes, charged = lif(torch.tensor([[8, 7]] * 4), torch.tensor([64, 64]), 4)
    assert spikes.tolist() == [[True, False], [True, True], [True, False], [True, True]]
    assert charged.tolist() == [[8, 7], [16, 21], [32, 28], [64, 84]]


def test_resets_to_zero_not_by_subtraction():
    spikes, charged = lif(torch.tensor([[1000], [0], [0]]), torch.tensor([8]), 3)
    assert spikes[:, 0].tolist() == [True, False, False]
    assert charged[:, 0].tolist() == [1000, 0, 0]


def test_carries_negative_membranes():
    spikes, charged = lif(torch.tensor([[-10], [14], [14]]), torch.tensor([40]), 3)
    assert charged[:, 0].tolist() == [-10, 18, 74]
    assert spikes[:, 0].tolist() == [False, False, True]


def test_without_leak_currents_add_up_to_one_threshold():
    spikes, charged = lif(torch.tensor([[5, -3], [6, 12], [-4, 1]]), torch.tensor([11, 11]), 3, leaky=False)
    assert charged.tolist() == [[5, -3], [11, 9], [-4, 10]]  # equality fires, and resets
    assert spikes.tolist() == [[False, False], [True, False], [False, False]]


def test_one_current_stands_for_all_steps():
    current, threshold = torch.tensor([[5, -3, 9]]), torch.tensor([40, 50, 100])
    one, all_steps = lif(current, threshold, 4), lif(current.expand(4, -1), threshold, 4)
    assert torch.equal(one[0], all_steps[0]) and torch.equal(one[1], all_steps[1])


def test_threshold_beyond_int32_never_fires():
    spikes, _ = lif(torch.tensor([[2**27]] * 4, dtype=torch.int32), torch.tensor([2**40]), 4)
    assert not spikes.any()


@pytest.mark.parametrize("leaky", [True, False])
def test_the_largest_int32_reaches_only_its_own_threshold(leaky):
    current = torch.full((1, 3), 2**31 - 1, dtype=torch.int32)
    spikes, _ = lif(current, torch.tensor([2**31 - 2, 2**31 - 1, 2**31]), 1, leaky=leaky)
    assert spikes.tolist() == [[True, True, False]]
    spikes, _ = lif(current, torch.tensor([2**40, 2**62, 2**31]), 1, leaky=leaky)
    assert not spikes.any()


def test_thresholds_round_up():
    assert [int(limit) for limit in thresholds_at(torch.tensor([33]), 4)] == [5, 9, 17, 33]


def test_does_not_change_its_input():
    current = torch.tensor([[5], [6], [7], [8]])
    lif(current, torch.tensor([40]), 4)
    assert current.tolist() == [[5], [6], [7], [8]]


def test_step_count_wrong():
    with pytest.raises(ValueError, match=r"^current must hold 4 time steps or 1, not 3$"):
        lif(torch.zeros(3, 1, dtype=torch.int64), torch.tensor([1]), 4)
