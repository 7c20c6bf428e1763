"""Pictures of figures: written whole or not at all, and without a date, so that the same figures give the same file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from sw.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_picture(path: Path, figure: Figure) -> None:
    """Write a figure as PNG; dollar signs in its texts are those of names, and begin no formula."""
    from matplotlib.text import Text  # slow to import

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
