"""The one place that makes consoles and columns of text: what they print is data, and no markup.

To rich ``[lr=0.1]`` in a path is a style and ``:cat:`` a picture. Here a string is printed as it is; what shall have a
style is a `rich.text.Text`, or says so with ``style=``.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console, RenderableType
from rich.progress import TextColumn
from rich.status import Status
from rich.text import Text


class PlainConsole(Console):
    """A console that prints strings as they are; its other parameters are those of `rich.console.Console`."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def status(self, status: RenderableType, **options: Any) -> Status:
        """Show what is going on; rich would take a string for markup whatever the console."""
        return super().status(Text(status) if isinstance(status, str) else status, **options)

    def on_broken_pipe(self) -> None:
        """Leave it to `spikeloom.cli`; rich would end the program with exit code 1."""
        raise


def text_column(text: str) -> TextColumn:
    """A column of a progress bar with fields of its task, such as ``{task.description}``."""
    return TextColumn(text, markup=False)
