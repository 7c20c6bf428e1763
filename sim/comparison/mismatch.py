"""Counts where two computations of the same network differ, and says where they do first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AXES = ("time step", "channel", "row", "column")


@dataclass
class Tally:
    """Running count of compared values.

    Attributes
    ----------
    compared, mismatches : int
        Values compared, and those that differ.
    first : str, optional
        Where the first difference is: layer, coordinates, both values.
    """

    compared: int = 0
    mismatches: int = 0
    first: str | None = None

    def add(
        self,
        where: str,
        left: NDArray[np.generic],
        right: NDArray[np.generic],
        sides: tuple[str, str],
        axes: Iterable[str],
    ) -> None:
        """Compare two arrays of one shape.

        Parameters
        ----------
        where : str
            What they are, such as ``image 0, block1.fc1 spikes``.
        left, right : array
            Same shape, integers.
        sides : tuple of str
            Names of the two computations.
        axes : iterable of str
            Name of each dimension.
        """
        differs = left != right
        count = int(differs.sum())
        self.compared += differs.size
        self.mismatches += count
        if count and self.first is None:
            at = tuple(int(i) for i in np.argwhere(differs)[0])
            place = ", ".join(f"{axis} {i}" for axis, i in zip(axes, at, strict=True))
            self.first = (
                f"{where}: {place}: {sides[0]} {left[at]}, {sides[1]} {right[at]} "
                f"({count} of {differs.size} values differ)"
            )
