"""Balanced trees of any operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

from hw.integers import ceil_div

Node = TypeVar("Node")


def tree_levels(terms: int, children: int) -> int:
    """Levels of a tree over `terms` values with up to `children` per node; with a register each, its latency."""
    levels = 0
    while terms > 1:
        terms, levels = ceil_div(terms, children), levels + 1
    return levels


def join_levels(
    nodes: Sequence[Node], children: int, join: Callable[[Sequence[Node], str], Node], *, left: int = 1
) -> list[Node]:
    """Join nodes level by level until `left` of them are left, or fewer.

    Parameters
    ----------
    nodes : sequence
        The leaves.
    children : int
        Most nodes that are joined; those of a level have as many, or one less.
    join : callable
        Makes a node of its children and its place, ``<level>_<number>``.
    left : int
        Most nodes that are returned.

    Returns
    -------
    list
        What is left.
    """
    level, joined = 0, list(nodes)
    while len(joined) > left:
        count = ceil_div(len(joined), children)
        bounds = [i * len(joined) // count for i in range(count + 1)]
        joined = [join(joined[first:last], f"{level}_{i}") for i, (first, last) in enumerate(pairwise(bounds))]
        level += 1
    return joined
