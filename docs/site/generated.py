"""Pages that are generated when the site is built, and are not in git: Python names and commands.

A folder of modules is a page, in the order of their imports: what a Python user needs comes first.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import spikeloom

ROOT = Path(__file__).resolve().parent.parent.parent

FOLDER = "reference"
"""Where they go, below docs/."""

ROOMS = {
    "hw": "the accelerator",
    "sw": "network, training, artifact, compiler, driver",
    "golden": "exact model, cycle model, accounting",
    "sim": "simulation and comparison",
}
"""Folders with names that others may use; `spikeloom` beside its face is the command line."""


def write(folder: Path) -> None:
    """Write all pages into a folder, in which there is nothing else afterwards."""
    pages = {"python.rst": _face(), "commands.rst": COMMANDS, "contributing.md": _included("CONTRIBUTING.md"),
             "changelog.md": _included("CHANGELOG.md")}  # fmt: skip
    for room, what in ROOMS.items():
        packages = [path.parent for path in sorted((ROOT / room).rglob("__init__.py"))]
        names = [".".join(package.relative_to(ROOT).parts) for package in packages]
        for name, package in zip(names, packages, strict=True):
            inside = [other for other in names if other.rpartition(".")[0] == name]
            pages[f"{name}.rst"] = _package(name, package, inside, f": {what}" if name == room else "")
    if folder.is_dir():
        for old in folder.iterdir():
            if old.name not in pages:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
    folder.mkdir(exist_ok=True)
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:  # Sphinx reads again what has been written
            path.write_text(text, encoding="utf-8")


def _title(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}\n"


def _included(name: str) -> str:
    return f"```{{include}} ../../{name}\n:relative-docs: docs/\n```\n"


def _face() -> str:
    """What `import spikeloom` gives, with all there is to say of every name."""
    lines = [_title("Python: spikeloom"), ".. automodule:: spikeloom\n   :no-members:\n"]
    constants = [name for name in spikeloom.__all__ if name.isupper()]
    lines.append(f"{', '.join(f'`{name}`' for name in constants)} are those of :py:mod:`hw.named_configs`.\n")
    for name in sorted(set(spikeloom.__all__) - set(constants), key=str.lower):
        kind = "autoclass" if isinstance(getattr(spikeloom, name), type) else "autofunction"
        lines.append(f".. {kind}:: spikeloom.{name}\n")
    return "\n".join(lines)


def _package(name: str, folder: Path, inside: list[str], what: str) -> str:
    lines = [_title(f"{name}{what}"), f".. automodule:: {name}\n   :no-members:\n"]
    if inside:
        lines.append("Folders in it: " + ", ".join(f":doc:`{other}`" for other in inside) + "\n")
    for path in sorted(folder.glob("[!_]*.py")):
        lines += [_title(f"{name}.{path.stem}", "-"), f".. automodule:: {name}.{path.stem}\n"]
    return "\n".join(lines)


COMMANDS = """\
Commands
========

``make help`` lists the targets that pass their variables on to these.

.. click:: spikeloom.cli:cli
   :prog: spikeloom
   :nested: full
"""
