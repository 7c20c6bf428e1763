"""Counts where two computations of the same network differ, and says where they do first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

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


@dataclass
class Mismatches:
    """Where the three models differ, by what is compared.

    Attributes
    ----------
    failures : list of str
        Images without a result in RTL, and why.
    spikes, residuals, logits : Tally
        Golden model and RTL.
    brevitas_spikes, brevitas_logits : Tally
        Brevitas and golden model.
    """

    failures: list[str] = field(default_factory=list)
    spikes: Tally = field(default_factory=Tally)
    residuals: Tally = field(default_factory=Tally)
    logits: Tally = field(default_factory=Tally)
    brevitas_spikes: Tally = field(default_factory=Tally)
    brevitas_logits: Tally = field(default_factory=Tally)

    @property
    def _tallies(self) -> tuple[Tally, ...]:
        return self.spikes, self.residuals, self.logits, self.brevitas_spikes, self.brevitas_logits

    @property
    def of_hardware(self) -> int:
        """Values in which golden model and RTL differ, and images without a result."""
        return len(self.failures) + sum(tally.mismatches for tally in (self.spikes, self.residuals, self.logits))

    @property
    def first(self) -> str | None:
        """The first difference, of the hardware if it has one; None if there is none at all."""
        found = (*self.failures, *(tally.first for tally in self._tallies))
        return next((text for text in found if text is not None), None)

    def to_dict(self) -> dict[str, int]:
        """Counts, as ``compare.json`` has them."""
        return {
            "brevitas_golden_spikes": self.brevitas_spikes.mismatches,
            "brevitas_golden_logits": self.brevitas_logits.mismatches,
            "golden_rtl_spikes": self.spikes.mismatches,
            "golden_rtl_residuals": self.residuals.mismatches,
            "golden_rtl_logits": self.logits.mismatches,
            "rtl_failures": len(self.failures),
            "values_compared": sum(tally.compared for tally in self._tallies),
        }
