"""JSON of files that others may have written: what Python's reader leaves open is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from hw.user_text import quoted
from sw.files import read_small_text

LARGEST_FILE = 1 << 20
"""Bytes of a file of settings, far more than any has."""

DEEPEST = 32
"""Most levels of lists and objects in each other, far more than any file has; Python's own limit is the stack."""


def parse_json(text: str) -> Any:
    """Parse a JSON text.

    Raises
    ------
    ValueError
        In a few words, for what is no JSON, for ``NaN`` and infinities, a key given twice, more than `DEEPEST` levels,
        and text that is not Unicode.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"more than {DEEPEST} levels of lists and objects") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _items(outer)]
        if not level:
            break
    else:
        raise ValueError(f"more than {DEEPEST} levels of lists and objects")
    json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is refused here
    return value


def read_json(path: Path) -> Any:
    """Parse a JSON file of at most `LARGEST_FILE` bytes, in UTF-8.

    Raises
    ------
    ValueError
        As for `parse_json`, and if the file is larger.
    OSError
        If it cannot be read.
    """
    return parse_json(read_small_text(path, LARGEST_FILE))


def _items(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _no_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{quoted(next(key for key in value if keys.count(key) > 1))} is there twice")
    return value
