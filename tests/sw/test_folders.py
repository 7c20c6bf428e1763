"""Generated folders are written whole, replaced whole, and take nobody else's files with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sw.errors import UserError
from sw.folders import MANIFEST, check_replaceable, write_folder


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_is_replaced_whole(tmp_path):
    folder = tmp_path / "new" / "folder"
    write_folder(folder, {"a": "1", "below/b": "2"})
    assert content(folder) == {"a": "1", "below/b": "2", MANIFEST: "a\nbelow/b\n"}
    write_folder(folder, {"c": "3"})
    assert content(folder) == {"c": "3", MANIFEST: "c\n"}
    assert list(folder.parent.iterdir()) == [folder]


def test_what_somebody_else_put_there_stays(tmp_path):
    folder = tmp_path / "folder"
    write_folder(folder, {"a": "1"})
    (folder / "build").mkdir()
    check_replaceable(folder)
    (folder / "build" / "system.bit").write_text("hours")
    with pytest.raises(UserError, match=r"holds build/system.bit, which was not written by this command: move or"):
        write_folder(folder, {"a": "2"})
    assert content(folder)["a"] == "1" and (folder / "build" / "system.bit").read_text() == "hours"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_without_a_list_is_somebody_elses(tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(UserError, match="holds mine"):
        check_replaceable(tmp_path)


def test_a_link_and_the_current_folder_are_written_where_they_lead(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_folder(tmp_path / "link", {"a": "1"})
    assert content(tmp_path / "real")["a"] == "1" and (tmp_path / "link").is_symlink()
    monkeypatch.chdir(tmp_path / "real")
    write_folder(Path("."), {"a": "2"})
    assert content(tmp_path / "real")["a"] == "2"


def test_a_failure_leaves_the_old_folder_and_nothing_else(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    write_folder(folder, {"a": "1"})

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("sw.folders.write_atomically", refuse)
        with pytest.raises(OSError, match="No space left"):
            write_folder(folder, {"a": "2"})
    assert content(folder) == {"a": "1", MANIFEST: "a\n"}
    assert list(tmp_path.iterdir()) == [folder]
