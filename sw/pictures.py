"""Pictures of figures: written whole or not at all, and without a date, so that the same figures give the same file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from sw.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_picture(path: Path, figure: Figure) -> None:
    """Write a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_atomically(path, buffer.getvalue())
