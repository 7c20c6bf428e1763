"""Files are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sw.files import write_atomically


def test_bytes_and_text_are_written_and_folders_made(tmp_path: Path):
    write_atomically(tmp_path / "new" / "bytes", b"\x00\xff")
    write_atomically(tmp_path / "new" / "text", "µ")
    assert (tmp_path / "new" / "bytes").read_bytes() == b"\x00\xff"
    assert (tmp_path / "new" / "text").read_text(encoding="utf-8") == "µ"


@pytest.mark.parametrize("failing", ["replace", "open"])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, failing, refuse)
        with pytest.raises(OSError, match="No space left"):
            write_atomically(path, b"new")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
