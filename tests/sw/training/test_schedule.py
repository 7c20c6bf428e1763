"""The learning rate over a phase."""

from __future__ import annotations

import pytest

from sw.training.recipe import Phase
from sw.training.schedule import learning_rate


def test_learning_rate_warms_up_and_ends_at_zero():
    phase = Phase(epochs=4, learning_rate=0.1, warmup_epochs=1)
    rates = [learning_rate(phase, step, 10) for step in range(40)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == rates[9] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 1e-3


def test_learning_rate_ends_where_it_should():
    phase = Phase(epochs=4, learning_rate=0.1, final_learning_rate=0.02, warmup_epochs=1)
    rates = [learning_rate(phase, step, 10) for step in range(40)]
    assert max(rates) == pytest.approx(0.1) and rates[10:] == sorted(rates[10:], reverse=True)
    assert 0.02 < rates[-1] < 0.021
