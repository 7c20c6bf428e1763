"""Places in the checkout that the project runs from."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
"""Whatever is made; not in git."""
