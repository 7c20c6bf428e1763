"""What the sections of the report are made from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeloom.measure.compare_file import AGAIN, PROVENANCE, read_compare
from sw.artifact.file import load
from sw.checkout import BUILD, ROOT
from sw.errors import UserError
from sw.strict_json import read_json

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
        Where that run left its files, such as ``build/compare``; one that does not exist if a later run has taken it.
    build : Path
        Where other commands leave theirs: ``build``.
    artifact : Artifact
        The model that was compared.
    """

    compare: dict[str, Any]
    folder: Path
    build: Path
    artifact: Artifact


def read_inputs(compare: Path, build: Path = BUILD) -> Inputs:
    """Read a comparison and find what belongs to it.

    Parameters
    ----------
    compare : Path
        File that ``spikeloom compare`` wrote.
    build : Path

    Raises
    ------
    UserError
        If the file is missing, damaged or of another version, or its model is no longer the one that was compared.
    """
    figures = read_compare(compare)
    origin = figures["provenance"]
    return Inputs(compare=figures, folder=_run_folder(origin), build=build, artifact=_model(origin))


def _model(origin: dict[str, Any]) -> Artifact:
    path = ROOT / origin["model"]
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(
            f"the model that was compared, {path}, cannot be read ({error.strerror}): put it back, or {AGAIN}"
        ) from error
    if digest != origin["model_sha256"]:
        raise UserError(f"{path} has changed since it was compared: {AGAIN}")
    return load(path)


def _run_folder(origin: dict[str, Any]) -> Path:
    """Folder of the run, if what lies there is of that run."""
    folder: Path = ROOT / origin["folder"]
    try:
        if read_json(folder / PROVENANCE) == origin:
            return folder
    except (OSError, ValueError):
        pass
    return folder / "of another run"
