"""What stands at the top of the report: the verdict in words, and the figures one looks for first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from spikeloom.report.words import count, percent, plural


@dataclass(frozen=True)
class KeyFigure:
    """A number, what it is, and what belongs to it.

    Attributes
    ----------
    name, value, note : str
    """

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class Summary:
    """The head of the page.

    Attributes
    ----------
    title : str
        Model and configuration.
    equal : bool
    verdict : str
        Whether all computations agree, of how many values.
    first : str
        Where they differ first; empty if they do not.
    figures : tuple of KeyFigure
    """

    title: str
    equal: bool
    verdict: str
    first: str
    figures: tuple[KeyFigure, ...]


def summary(compare: dict[str, Any]) -> Summary:
    """Summarise the figures of a comparison.

    Parameters
    ----------
    compare : dict
        The content of ``compare.json``.
    """
    hardware = compare["hardware"]
    first = compare["first_mismatch"]
    return Summary(
        title=f"{PurePath(compare['artifact']).stem} on {hardware['config']}",
        equal=first is None,
        verdict=_agreement(compare) if first is None else _difference(compare["mismatches"]),
        first=first or "",
        figures=(_accuracy(compare), _cycles(compare["cycles"]), *_rest(compare)),
    )


def _agreement(compare: dict[str, Any]) -> str:
    models = "Golden model and RTL"
    if compare["images"]["brevitas"]:
        models = "Brevitas model, golden model and RTL"
    return f"{models} agree in all {compare['mismatches']['values_compared']:,} values compared."


def _difference(mismatches: dict[str, int]) -> str:
    counts = {name: value for name, value in mismatches.items() if name not in ("values_compared", "rtl_failures")}
    differ = f"{sum(counts.values()):,} of {mismatches['values_compared']:,} values compared differ."
    if failures := mismatches["rtl_failures"]:
        differ = f"{plural(failures, 'image')} without a result in RTL; {differ}"
    return differ


def _accuracy(compare: dict[str, Any]) -> KeyFigure:
    accuracy = compare["accuracy"]["rtl"]
    if accuracy is None:
        return KeyFigure("Accuracy in RTL", "-", "the images have no labels")
    note = f"{accuracy['correct']:,} of {plural(accuracy['images'], 'image')}, {accuracy['image_set']}"
    return KeyFigure("Accuracy in RTL", percent(accuracy["accuracy"]), note)


def _cycles(cycles: dict[str, Any]) -> KeyFigure:
    low, high, model = cycles["rtl_min"], cycles["rtl_max"], cycles["model"]
    if low is None:
        return KeyFigure("Cycles per image", "-", f"no image ended in RTL; {model:,} by the cycle model")
    if low == high == model:
        return KeyFigure("Cycles per image", count(low), "in RTL, exactly as the cycle model predicts")
    spread = "" if low == high else f"{low:,} to {high:,} in RTL; "
    return KeyFigure("Cycles per image", count(cycles["rtl_mean"]), f"{spread}{model:,} by the cycle model")


def _rest(compare: dict[str, Any]) -> tuple[KeyFigure, ...]:
    hardware, energy = compare["hardware"], compare["energy"]
    size = " x ".join(str(hardware[name]) for name in ("outputs", "inputs", "positions", "timesteps"))
    return (
        KeyFigure(
            "Utilisation of the array",
            percent(compare["cycles"]["utilisation"]),
            f"of {hardware['sops_per_cycle']:,} synaptic operations a cycle: {size}",
        ),
        KeyFigure(
            "Energy per image",
            f"{energy['counted_j'] * 1e6:.2f} µJ",
            f"operations counted, at the paper's prices; {energy['paper_j'] * 1e6:.2f} µJ by its formula",
        ),
    )
