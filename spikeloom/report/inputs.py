"""What the sections of the report are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sw.artifact.artifact import Artifact


@dataclass(frozen=True)
class Inputs:
    """One comparison and what lies beside it.

    Attributes
    ----------
    compare : dict
        The figures of the comparison, the content of ``compare.json``.
    folder : Path
        Where that run left its files, such as ``build/compare``.
    build : Path
        Where other commands leave theirs: ``build``.
    artifact : Artifact
        The model that was compared.
    """

    compare: dict[str, Any]
    folder: Path
    build: Path
    artifact: Artifact
