"""Colours of the report's data: the same thing has the same colour in every plot, on light and on dark.

Every one of them has a contrast of 3:1 or more on the backgrounds of both schemes, as plots need it (WCAG 2.2, 1.4.11).
"""

from __future__ import annotations

SERIES = ("#3b82d0", "#d9691e", "#1f9a6d", "#9a6ad6", "#a07d10", "#cc5c9c", "#1c94a8", "#7d8590")
"""For data without a name below, in this order."""

COLOURS = {
    "array": SERIES[0],
    "attention": SERIES[1],
    "neurons": SERIES[2],
    "load": SERIES[3],
    "data": SERIES[4],
    "weights": SERIES[5],
    "drain": SERIES[6],
    "wait": SERIES[7],
    "equal": "#1f9a6d",
    "differs": "#d64550",
}
"""Engines of the accelerator, causes of waiting, and the verdict; `wait` is waiting without a cause, or of any."""

SCALE = ((0.0, "#18263b"), (1.0, "#2872c4"))
"""Colour scale of heat maps, on light and dark: white figures (`ON_SCALE`) can be read on all of it."""

ON_SCALE = "#ffffff"

ON_COLOURS = "#000000"
"""Text on any colour of `SERIES` and `COLOURS`."""
