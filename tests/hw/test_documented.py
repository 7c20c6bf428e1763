"""Numbers that say what they mean stay the numbers that they are."""

from __future__ import annotations

import copy
import json
import pickle

from amaranth.hdl import Const, Shape
from amaranth.lib import enum

from hw.documented import Documented, IntEnum, IntFlag, text_of


class Place(IntEnum):
    HERE = Documented(1, "Where we are.")
    THERE = 2


class Flag(IntFlag):
    RAISED = Documented(1, "It is up.")
    TORN = Documented(2, "It has a hole.")


class Opcode(enum.Enum, shape=2):
    GO = Documented(1, "Go on.")
    STOP = 2


def test_members_say_what_they_mean_or_nothing():
    assert [text_of(member) for member in (*Place, *Flag, *Opcode)] == [
        "Where we are.", "", "It is up.", "It has a hole.", "Go on.", ""
    ]  # fmt: skip
    assert text_of(Flag.RAISED | Flag.TORN) == ""


def test_members_are_numbers_as_ever():
    assert (Place.HERE, Place(1), Place.HERE + 1) == (1, Place.HERE, 2)
    assert Flag(3) == Flag.RAISED | Flag.TORN == 3 and Flag.TORN in Flag(3)
    assert json.dumps([Place.HERE, Place.HERE.value, Flag(3)]) == "[1, 1, 3]"
    assert f"{Place.HERE.value}u" == "1u" and repr(Place.HERE) == "<Place.HERE: 1>"
    for member in (*Place, *Flag, Flag(3)):
        assert pickle.loads(pickle.dumps(member)) is copy.deepcopy(member) is member


def test_hardware_takes_them():
    assert Shape.cast(Place).width == 2 and Const(Place.HERE).value == 1
    assert Opcode.const(Opcode.GO).as_value().value == 1 and Opcode(1) is Opcode.GO
