"""Neurons that no input changes: found exactly, and fired alike by the smallest integers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.neuron import lif
from sw.export.constant_neuron import constant_integers, constant_period


def fired(currents: list[int], threshold: int, *, leaky: bool) -> list[bool]:
    """The golden neuron's spikes; all of it fits 64 bits."""
    spikes, _ = lif(torch.tensor(currents)[:, None], torch.tensor([threshold]), len(currents), leaky=leaky)
    return spikes[:, 0].tolist()


@st.composite
def neurons(draw: st.DrawFn) -> tuple[int, int, int, bool, list[int]]:
    """Bounds of the current, a threshold anywhere near what it reaches, and a current for each time step."""
    timesteps, leaky = draw(st.integers(1, 16)), draw(st.booleans())
    bias, width = draw(st.integers(-(2**40), 2**40) | st.integers(-50, 50)), draw(st.integers(0, 40))
    low = bias - draw(st.integers(0, width))
    step = draw(st.integers(1, timesteps))
    reached = bias * ((1 << timesteps) - (1 << timesteps - step) if leaky else step)
    margin = width << timesteps
    threshold = max(1, draw(st.integers(1, 2**62) | st.integers(reached - margin, reached + margin)))
    currents = draw(st.lists(st.integers(low, low + width), min_size=timesteps, max_size=timesteps))
    return low, low + width, threshold, leaky, currents


@settings(max_examples=400, deadline=None, derandomize=True)
@given(neurons())
def test_smallest_integers_change_no_spike_of_any_input(neuron):
    low, high, threshold, leaky, currents = neuron
    steps = len(currents)
    period = constant_period(low, high, threshold, steps, leaky=leaky)
    extremes = [fired([bound] * steps, threshold, leaky=leaky) for bound in (low, high)]
    if period is None:
        assert extremes[0] != extremes[1]
        return
    bias, smallest = constant_integers(period, steps, leaky=leaky)
    assert 0 <= bias <= 1 and 1 <= smallest < 1 << steps
    expected = [period > 0 and (step + 1) % period == 0 for step in range(steps)]
    for spikes in (*extremes, fired(currents, threshold, leaky=leaky), fired([bias] * steps, smallest, leaky=leaky)):
        assert spikes == expected


@pytest.mark.parametrize("leaky", [True, False])
@pytest.mark.parametrize("timesteps", range(1, 17))
def test_every_period_has_integers(timesteps, leaky):
    for period in range(timesteps + 1):
        bias, threshold = constant_integers(period, timesteps, leaky=leaky)
        assert constant_period(bias, bias, threshold, timesteps, leaky=leaky) == period
        spikes = fired([bias] * timesteps, threshold, leaky=leaky)
        assert [step + 1 for step, spike in enumerate(spikes) if spike] == (
            [*range(period, timesteps + 1, period)] if period else []
        )


def test_numbers_may_have_any_size():
    big = 1 << 200
    assert constant_period(big - 5, big + 5, 12 * big - 100, 4, leaky=True) == 2
    assert constant_period(big - 5, big + 5, big, 4, leaky=False) is None
    assert constant_period(-big, 5, big, 16, leaky=True) == 0
