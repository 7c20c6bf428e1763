"""Arithmetic of integers that Python has no name for."""

from __future__ import annotations


def ceil_div(dividend: int, divisor: int) -> int:
    """Quotient, rounded up.

    Examples
    --------
    >>> ceil_div(8, 4), ceil_div(9, 4), ceil_div(0, 4)
    (2, 3, 0)
    """
    return -(-dividend // divisor)


def is_power_of_two(value: int) -> bool:
    """Whether it is 1, 2, 4 and so on."""
    return value > 0 and value & (value - 1) == 0
