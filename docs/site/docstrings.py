"""Docstrings, signatures and help that Sphinx and its extensions take for something else."""

from __future__ import annotations

import inspect
import re
from typing import Any

from amaranth.hdl import Elaboratable
from sphinx.application import Sphinx
from sphinx.ext.napoleon import NumpyDocstring
from sphinx.util.inspect import stringify_signature

VALUES = ("attribute", "data", "property")
"""Of their docstrings napoleon takes what is before a colon for a type, and reads no sections."""

OPTION = re.compile(r"`[^`]*`|(?<![\w-])(--[a-z][a-z-]*)")
"""An option within a sentence, which is no dash; what is between backticks is code already."""

_kept: dict[str, list[str]] = {}


def connect(app: Sphinx) -> None:
    """Do so in an application; napoleon has the priority 500."""
    app.connect("autodoc-process-docstring", _keep, priority=400)
    app.connect("autodoc-process-docstring", _read, priority=600)
    app.connect("autodoc-process-signature", _signature)
    app.connect("autodoc-skip-member", _skip)
    for part in ("description", "options", "arguments"):
        app.connect(f"sphinx-click-process-{part}", _help)


def _keep(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what in VALUES:
        _kept[name] = list(lines)


def _read(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    if what in VALUES:
        lines[:] = NumpyDocstring(_kept.pop(name), app.config, app, "method", name, obj, options).lines()


def _signature(app: Sphinx, what: str, name: str, obj: Any, *_: Any) -> tuple[str, None] | None:
    """Of an Amaranth component autodoc finds the signature of what makes any of them."""
    if not (isinstance(obj, type) and issubclass(obj, Elaboratable)):
        return None
    found = inspect.signature(obj.__init__)
    own = found.replace(parameters=[*found.parameters.values()][1:])
    return stringify_signature(own, unqualified_typehints=True), None


def _skip(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Brevitas' injectors look like classes without being any; fields of a tuple have their text in its docstring."""
    kind = type(obj)
    return True if kind.__module__ == "brevitas.inject" or kind.__name__ == "_tuplegetter" else None


def _help(app: Sphinx, context: Any, lines: list[str]) -> None:
    lines[:] = [line if line.startswith("..") else OPTION.sub(_as_code, line) for line in lines]


def _as_code(match: re.Match[str]) -> str:
    return f"``{match[1]}``" if match[1] else match[0]
