"""Cases in which every two values of different parameters meet, far fewer than all combinations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def pairwise(first: Sequence[Any], second: Sequence[Any], third: Sequence[Any]) -> list[tuple[Any, Any, Any]]:
    """Every pair of the first two parameters, the third taken in turn so that it meets every value of both.

    `third` must not be longer than the others.
    """
    assert len(third) <= min(len(first), len(second))
    return [(a, b, third[(i + j) % len(third)]) for i, a in enumerate(first) for j, b in enumerate(second)]
