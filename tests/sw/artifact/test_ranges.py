"""Proven ranges: every bound holds and is reached."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sw.artifact.ranges import accumulator_range, membrane_range, signed_bits


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_signed_bits_are_the_fewest_that_hold_both(low, span):
    high = low + span
    bits = signed_bits(low, high)
    assert -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)
    assert bits == 1 or not (-(2 ** (bits - 2)) <= low and high < 2 ** (bits - 2))


@given(st.lists(st.integers(-127, 127), min_size=1, max_size=6), st.integers(-128, 0), st.integers(0, 127))
def test_accumulator_range_is_reached(weights, low, high):
    smallest, largest = accumulator_range(np.array([weights], np.int8), low, high)
    assert smallest[0] == sum(min(w * low, w * high) for w in weights)
    assert largest[0] == sum(max(w * low, w * high) for w in weights)


@pytest.mark.parametrize(("leaky", "threshold"), [(True, 33), (False, 8)])
def test_membrane_range_is_reached(leaky, threshold):
    """T = 3, currents -4..5, threshold 33 = ceil(8 * 4.1), without leak 8: every bound by enumeration."""
    seen = []
    for currents in itertools.product(range(-4, 6), repeat=3):
        membrane = 0
        for t, current in enumerate(currents, start=1):
            membrane += current * (2 ** (t - 1) if leaky else 1)
            seen.append(membrane)
            membrane = 0 if membrane * (2 ** (3 - t) if leaky else 1) >= threshold else membrane
    bounds = membrane_range(np.array([-4]), np.array([5]), np.array([threshold]), 3, leaky=leaky)
    assert bounds == (min(seen), max(seen))
