"""How the report writes numbers in sentences, as the command line does, and names in plots."""

from __future__ import annotations


def percent(share: float | None) -> str:
    """A share, 0 to 1, in percent with one decimal; a dash where there is none."""
    return "-" if share is None else f"{share:.1%}"


def count(value: float | None) -> str:
    """A count with thousands separators; a dash where there is none."""
    return "-" if value is None else f"{value:,.0f}"


def plural(number: int, noun: str) -> str:
    """A count and its noun: 1 image, 2 images."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plain(name: str) -> str:
    """A name of the user's for a text of plotly, which takes tags in it for formatting and links."""
    return name.replace("&", "&amp;").replace("<", "&lt;")
