"""Tables that read well at 80 columns and lose nothing where there are fewer: cells fold, none is cut."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.table import Table


def compact_table(*headings: str, texts: int = 1, title: str | None = None) -> Table:
    """An empty table with two spaces between its columns and a line under its headings.

    Parameters
    ----------
    headings : str
        Of the columns; a heading may have several lines.
    texts : int
        How many of the first columns hold texts; the others hold numbers, which end at the right.
    title : str, optional
        Printed above, below an empty line.
    """
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < texts else "right", vertical="top", overflow="fold")
    return table
