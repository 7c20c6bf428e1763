"""Who works in a folder: one at a time, said by name, and nothing of the dead is left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sw.claims import CLAIM, InUse, claimed, delete, first_free, scratch, users, using

ROOT = Path(__file__).resolve().parents[2]
HOLDING = """
import sys
from pathlib import Path
from sw import claims
with {claim}:
    print("ready", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(claim: str, *arguments):
    """Another process that holds a claim until it is told to end."""
    command = [sys.executable, "-c", HOLDING.format(claim=claim), *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == "ready\n"
        try:
            yield child
        finally:
            child.kill()


CLAIMED = "claims.claimed(Path(sys.argv[1]))"


def test_a_second_process_is_told_who_works_there(tmp_path):
    folder = tmp_path / "work"
    with holder(CLAIMED, folder) as child:
        with pytest.raises(InUse) as refused, claimed(folder):
            pass
        assert str(refused.value).startswith(f"{folder} is in use by process {child.pid} since 2")
        assert str(refused.value).endswith(f"(-c {folder}): wait for it, or stop it")
        assert len(users(tmp_path)) == 1
    with claimed(folder):
        assert f"process {os.getpid()}" in users(tmp_path)[0]
    assert list(folder.iterdir()) == [] and users(tmp_path) == []


def test_a_second_process_can_wait(tmp_path):
    said, order = [], []
    with holder(CLAIMED, tmp_path) as child:

        def tell(text):
            said.append(text)
            order.append("told")
            child.stdin.close()

        with claimed(tmp_path, tell):
            order.append("works")
            assert child.wait() == 0
    assert order == ["told", "works"] and f"in use by process {child.pid}" in said[0] and "waiting" in said[0]


def test_threads_work_in_a_folder_one_after_the_other(tmp_path):
    inside, most = [], []

    def work():
        with claimed(tmp_path, lambda _: None):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6 and list(tmp_path.iterdir()) == []


def test_the_first_free_folder_is_taken(tmp_path):
    told = []
    with ExitStack() as stack:
        taken = [stack.enter_context(first_free(tmp_path / "run", told.append)) for _ in range(3)]
        assert [path.name for path in taken] == ["run", "run-2", "run-3"]
    assert len(told) == 2 and all(text.startswith(f"process {os.getpid()} since ") for text in told)


def test_several_use_a_folder(tmp_path):
    with using(tmp_path), using(tmp_path), claimed(tmp_path):
        assert len(users(tmp_path)) == 3
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_with_the_next_one(tmp_path):
    with scratch(tmp_path, ".build-") as mine:
        with holder("claims.scratch(Path(sys.argv[1]), '.build-')", tmp_path) as child:
            theirs = [path for path in tmp_path.iterdir() if path != mine]
            (theirs[0] / "large").write_text("x")
            with scratch(tmp_path, ".build-"):
                assert theirs[0].exists(), "its process lives"
            child.kill()
            child.wait()
        assert theirs[0].exists()
        with scratch(tmp_path, ".build-"):
            assert not theirs[0].exists() and mine.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_deleted_whole_and_links_are_not_followed(tmp_path):
    (tmp_path / "doomed" / "deep").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("x")
    (tmp_path / "doomed" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    for name in ("doomed", "link"):
        delete(tmp_path / name, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"] and (tmp_path / "kept" / "file").exists()


def test_a_claim_that_says_nothing_yet_is_somebodys(tmp_path):
    with claimed(tmp_path):
        (tmp_path / CLAIM).write_text("")
        assert users(tmp_path) == ["another process"]
