"""Nodes and edges of a graph as they are collected, and the refusal of more than a machine should hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from sw.errors import UserError

LARGEST_GRAPH = 1 << 28
"""Most numbers of a graph: 2 GiB in float64, and NIR's writer holds them twice."""


class Wiring:
    """Collects nodes by name, and the edges to them; edges that meet at a node are summed.

    Attributes
    ----------
    nodes : dict of str to NIR node
    edges : list of tuple of str
        From and to.
    numbers : int
        How many all nodes hold.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.numbers = 0

    def add(self, name: str, node: Any, *sources: str) -> str:
        """Add a node that reads what `sources` say, and return its name."""
        numbers = sum(value.size for value in arrays(node))
        self.check_room(name, numbers)
        self.numbers += numbers
        self.nodes[name] = node
        self.edges += [(source, name) for source in sources]
        return name

    def check_room(self, name: str, numbers: int) -> None:
        """Refuse what would be too large.

        Raises
        ------
        UserError
            Naming the node or layer.
        """
        if self.numbers + numbers > LARGEST_GRAPH:
            raise UserError(
                f"{name}: takes {numbers:,} numbers in NIR, where every neuron and every product of spikes has its "
                f"own, after {self.numbers:,} of what is before it; at most {LARGEST_GRAPH:,}; export a smaller network"
            )


def arrays(node: Any) -> Iterator[np.ndarray]:
    """Every array of numbers in a node."""
    return (value for value in vars(node).values() if isinstance(value, np.ndarray))
