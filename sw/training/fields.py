"""Tables of TOML files as dataclasses: no unknown keys, none missing, every value as its field says.

A field says it with its annotation: a type, a `Literal`, another dataclass for a table, and in `Annotated` the rules
that a value of this type must keep.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from hw.user_text import listed, quoted
from sw.errors import UserError
from sw.files import read_small_text

T = TypeVar("T")

Earlier = Mapping[str, Any]
"""Values of the fields before, by name: they have been checked."""

Rule = Callable[[str, Any, Earlier], None]
"""Refuses a wrong value with a `UserError`: called with the key, its value and the values of the fields before."""

LARGEST_FILE = 1 << 16
"""Bytes of a TOML file."""

LONGEST_LINE = 500
"""Characters of its lines: the reader's work grows with the square of the parts of a dotted key."""

LARGEST_INTEGER_BITS = 64
"""Of a number that may have a fraction."""


@dataclass(frozen=True)
class Range:
    """Rule: a number of `low` to `high`, which may follow from the fields before."""

    low: float
    high: float | Callable[[Earlier], float]

    def __call__(self, key: str, value: Any, earlier: Earlier) -> None:
        """Refuse a number outside."""
        high = self.high(earlier) if callable(self.high) else self.high
        if not self.low <= value <= high:
            allowed = f"{self.low:g}" if self.low == high else f"{self.low:g} to {high:g}"
            raise UserError(f"{key} must be {allowed}, not {quoted(value)}")


@dataclass(frozen=True)
class OneOf:
    """Rule: one of these numbers."""

    choices: tuple[int, ...]

    def __call__(self, key: str, value: Any, earlier: Earlier) -> None:
        """Refuse any other."""
        if value not in self.choices:
            raise UserError(f"{key} must be one of {', '.join(map(str, self.choices))}, not {quoted(value)}")


@dataclass(frozen=True)
class Matching:
    """Rule: text that matches a pattern, which `meaning` says in words."""

    pattern: re.Pattern[str]
    meaning: str

    def __call__(self, key: str, value: Any, earlier: Earlier) -> None:
        """Refuse any other."""
        if not self.pattern.fullmatch(value):
            raise UserError(f"{key} must be {self.meaning}, not {quoted(value)}")


@dataclass(frozen=True)
class Settled:
    """Beside a dataclass in `Annotated`: what the fields before settle of it; no keys of its table."""

    values: Callable[[Earlier], dict[str, Any]]


def read_table(path: Path, kind: str) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path : Path
    kind : str
        What the file should be, for the refusal.

    Raises
    ------
    UserError
        If it cannot be read or is not TOML.
    """
    try:
        text = read_small_text(path, LARGEST_FILE)
        if max(map(len, text.split("\n"))) > LONGEST_LINE:
            raise ValueError(f"a line of more than {LONGEST_LINE} characters")
        return tomllib.loads(text)
    except OSError as error:
        raise UserError(f"{kind} {path} cannot be read ({error.strerror}); see recipes/ for examples") from error
    except RecursionError as error:
        raise UserError(f"{kind} {path} is not valid TOML: too many brackets in each other") from error
    except ValueError as error:
        raise UserError(f"{kind} {path} is not valid TOML: {listed([str(error)])}") from error


def build(kind: type[T], table: dict[str, Any], section: str = "", settled: Mapping[str, Any] | None = None) -> T:
    """Make a dataclass of a table.

    Parameters
    ----------
    kind : type
        The dataclass.
    table : dict
    section : str
        What to put in front of its keys in a refusal, such as ``network.``.
    settled : mapping, optional
        Values of fields that are no keys of the table.

    Raises
    ------
    UserError
        Naming the key, its value and what it may be.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = dict(settled or {})
    fields = [field for field in dataclasses.fields(kind) if field.name not in values]  # type: ignore[arg-type]
    known = [field.name for field in fields]
    if unknown := sorted(set(table) - set(known)):
        raise UserError(f"unknown key {section}{listed(unknown[:1], 40)}; known are {', '.join(known)}")
    for field in fields:
        if field.name in table:
            values[field.name] = _value(hints[field.name], table[field.name], f"{section}{field.name}", values)
        elif field.default is dataclasses.MISSING:
            raise UserError(f"key {section}{field.name} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise UserError(f"[{section.rstrip('.')}]: {error}") from error


def _value(hint: Any, value: Any, key: str, earlier: Earlier) -> Any:
    """A value as its field's annotation has it."""
    rules: list[Any] = []
    if typing.get_origin(hint) is types.UnionType:  # an optional table: there is no null in TOML
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is Annotated:
        hint, *rules = typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise UserError(f"{key} must be a table, not {quoted(value)}")
        settled = {name: each for rule in rules for name, each in rule.values(earlier).items()}
        return build(typing.cast(type[Any], hint), value, f"{key}.", settled)
    value = _of_type(hint, value, key)
    for rule in rules:
        rule(key, value, earlier)
    return value


def _of_type(hint: Any, value: Any, key: str) -> Any:
    if typing.get_origin(hint) is Literal:
        if value not in typing.get_args(hint):
            raise UserError(f"{key} must be one of {', '.join(typing.get_args(hint))}, not {quoted(value)}")
        return value
    if hint is float and type(value) is int and value.bit_length() <= LARGEST_INTEGER_BITS:
        return float(value)
    if type(value) is not hint:
        raise UserError(f"{key} must be of type {hint.__name__}, not {quoted(value)}")
    return value
