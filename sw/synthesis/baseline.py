"""Compares resources with committed ones, so that growth is a decision and not an accident."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sw.synthesis.cells import RESOURCES
from sw.synthesis.report import merge

ALLOWED_GROWTH = 0.02
"""Part by which a total may grow before the command fails. Mapping is heuristic: edits that change nothing in size move
totals by some tenths of a percent."""


@dataclass(frozen=True)
class Difference:
    """One resource beside its baseline.

    Attributes
    ----------
    resource : str
        One of `RESOURCES`.
    before, now : float
    """

    resource: str
    before: float
    now: float

    @property
    def grew(self) -> bool:
        """Whether it is above what is allowed; anything is, where there was nothing."""
        return self.now > self.before * (1 + ALLOWED_GROWTH)

    def __str__(self) -> str:
        relative = f" ({(self.now - self.before) / self.before:+.1%})" if self.before else ""
        return f"{RESOURCES[self.resource]} {self.before:,.10g} -> {self.now:,.10g}{relative}"


@dataclass(frozen=True)
class BaselineComparison:
    """An entry beside its baseline.

    Attributes
    ----------
    differences : tuple of Difference
        Resources that are not what they were.
    skipped : str or None
        Why nothing was compared; None if it was.
    """

    differences: tuple[Difference, ...] = ()
    skipped: str | None = None

    @property
    def grown(self) -> tuple[Difference, ...]:
        """Differences that are too large."""
        return tuple(difference for difference in self.differences if difference.grew)


def compare(baselines: Mapping[str, Any], config: str, family: str, entry: Mapping[str, Any]) -> BaselineComparison:
    """Compare an entry of ``build/synth.json`` with the committed one.

    Parameters
    ----------
    baselines : mapping
        ``{config: {family: {"yosys": version, "resources": {...}}}}``.
    config, family : str
    entry : mapping
        See `sw.synthesis.report.entry`.
    """
    baseline = baselines.get(config, {}).get(family)
    if baseline is None:
        return BaselineComparison(skipped="no baseline")
    if baseline["yosys"] != entry["yosys"]:
        return BaselineComparison(skipped=f"the baseline is of Yosys {baseline['yosys']}, this is {entry['yosys']}")
    before, now = baseline["resources"], entry["resources"]
    differences = (Difference(name, before.get(name, 0), now.get(name, 0)) for name in RESOURCES)
    return BaselineComparison(tuple(difference for difference in differences if difference.before != difference.now))


def update(path: Path, config: str, family: str, entry: Mapping[str, Any]) -> None:
    """Make an entry the baseline."""
    merge(path, config, family, {"yosys": entry["yosys"], "resources": dict(entry["resources"])})
