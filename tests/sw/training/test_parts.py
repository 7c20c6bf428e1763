"""Files in parts."""

from __future__ import annotations

import random

import pytest

from sw.errors import UserError
from sw.training import parts


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 1000)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(random.Random(1).randbytes(2500))
    return path


def test_parts_join_to_the_same_bytes(checkpoint, tmp_path):
    content = checkpoint.read_bytes()
    files = parts.split(checkpoint, tmp_path / "parts")
    assert [path.name for path in files] == [f"checkpoint.pt.{end}" for end in ("parts", "000", "001", "002")]
    assert max(path.stat().st_size for path in files[1:]) == 1000
    assert parts.join(files[0]).read_bytes() == content
    assert parts.join(files[0], tmp_path / "other.pt").read_bytes() == content


def test_missing_and_damaged_parts_write_nothing(checkpoint, tmp_path):
    index, first, *_ = parts.split(checkpoint, tmp_path / "parts")
    out = tmp_path / "joined.pt"
    first.write_bytes(bytes(1000))
    with pytest.raises(UserError, match=r"have SHA-256 \w+, not '\w+'; copy them again"):
        parts.join(index, out)
    first.unlink()
    with pytest.raises(UserError, match=r"1 of 3 parts are missing beside .*, first checkpoint.pt.000; copy them"):
        parts.join(index, out)
    assert not out.exists()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        parts.split(tmp_path / "nothing")
    (tmp_path / "text.parts").write_text("[]")
    with pytest.raises(UserError, match="is not an index of parts"):
        parts.join(tmp_path / "text.parts")
