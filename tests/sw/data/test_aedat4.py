"""Recordings as iniVation's own library writes them (tests/data/record_events.py) are read; damage is refused."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest

from sw.data.aedat4 import read_aedat4
from sw.errors import UserError
from tests.data.record_events import PATH, SIDE, events


def test_every_event_is_that_which_was_written():
    found = read_aedat4(PATH)
    assert (found.width, found.height) == (SIDE, SIDE)
    for name, values in events().items():
        assert np.array_equal(getattr(found, name), values), name


def test_damage_is_one_line_and_nothing_else(tmp_path, capfd):
    """Panics of the decoder too, which it would show on standard error."""
    data, path, refused = PATH.read_bytes(), tmp_path / "x.aedat4", 0
    for number in range(300):
        rng = random.Random(number)
        changed = bytearray(data)
        for _ in range(rng.choice([1, 1, 8])):
            changed[rng.randrange(1500 if number % 2 else len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed[: rng.randrange(len(data))] if number % 5 == 0 else changed)
        try:
            read_aedat4(path)
        except UserError as error:
            refused += 1
            text = str(error).removeprefix(str(path))
            assert "\n" not in text and len(text) < 200, text
    assert refused > 100 and capfd.readouterr() == ("", "")


def test_no_such_file_wrong(tmp_path):
    with pytest.raises(UserError, match=r"none\.aedat4: cannot be read \(no such file\); check the path$"):
        read_aedat4(tmp_path / "none.aedat4")


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(UserError) as refused:
        read_aedat4(PATH)
    assert str(refused.value) == (
        f"{PATH}: .aedat4 files are read by the package aedat, which is not installed: "
        "pip install --constraint constraints.txt --editable '.[aedat]'"
    )
