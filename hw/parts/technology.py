"""What structures are made of that synthesis does not find by itself."""

from __future__ import annotations

import enum


class Technology(enum.Enum):
    """What the structures that synthesis does not find by itself are made of."""

    PORTABLE = "portable"
    """Memories and sums as such, for every tool."""
    XILINX = "xilinx"
    """Primitives of UltraScale and UltraScale+."""
