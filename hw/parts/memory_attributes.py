"""Marks of on-chip memories for the Verilog writer."""

from __future__ import annotations

WRITTEN_FIRST = "written_first"
"""Mark of a memory of which no word is used before it was written, so that it needs no initial values."""
