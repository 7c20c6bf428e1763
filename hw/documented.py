"""Enumerations whose members say what they mean: one place for a number and its text, documentation prints both.

An Amaranth enumeration takes `Documented` values as they are; those of the standard library drop what they know besides
being integers, so `IntEnum` and `IntFlag` of this module take their place.
"""

from __future__ import annotations

import enum
from typing import Self


class Documented(int):
    """An integer that says what it means.

    Parameters
    ----------
    value : int
    text : str
        One or a few sentences, for tables of documentation.
    """

    text: str

    def __new__(cls, value: int, text: str = "") -> Self:
        """Make the integer; without a text for copies, which set it themselves."""
        number = super().__new__(cls, value)
        number.text = text
        return number


class IntEnum(enum.IntEnum):
    """Of the standard library, but its values keep their texts."""

    def __new__(cls, value: int) -> Self:
        """Make a member."""
        member = int.__new__(cls, value)
        member._value_ = value
        return member


class IntFlag(enum.IntFlag):
    """Of the standard library, but its values keep their texts."""

    def __new__(cls, value: int) -> Self:
        """Make a member."""
        member = int.__new__(cls, value)
        member._value_ = value
        return member


def text_of(member: enum.Enum) -> str:
    """What a member means; nothing if it does not say it."""
    value = member.value
    return value.text if isinstance(value, Documented) else ""
