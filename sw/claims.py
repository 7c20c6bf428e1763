"""Who works in a folder: two processes never write to one, `clean` deletes none in use, and what dead ones left goes.

A claim is a locked file in the folder. The lock ends with its process, however that ends, so a claim that can be locked
is of a dead one; process numbers alone would say nothing about other containers, nor once they are given again.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from sw.errors import UserError

CLAIM = ".in-use"
"""Name of the file, with a suffix where several may use a folder at once."""

PROBE_S = 0.5
"""Longest wait for a claim that `users` only looks at; it holds it for no longer than that takes."""


class InUse(UserError):
    """Another process works in the folder."""

    def __init__(self, folder: Path, holder: str):
        super().__init__(f"{folder} is in use by {holder}: wait for it, or stop it")
        self.holder = holder


def _take(path: Path) -> FileLock:
    """Lock a claim and say in it who does; raises Timeout if somebody else has it."""
    lock = FileLock(path, timeout=PROBE_S)
    lock.acquire()
    command = shlex.join([Path(sys.argv[0]).name or "python", *sys.argv[1:]])
    since = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    path.write_text(json.dumps({"pid": os.getpid(), "since": since, "command": command}))
    return lock


def _give_back(path: Path, lock: FileLock) -> None:
    path.unlink(missing_ok=True)  # before the lock is open, so that nobody else's is deleted
    lock.release()


def _holder(path: Path) -> str:
    """Who has a claim, in words."""
    try:
        content = json.loads(path.read_text())
        return f"process {content['pid']} since {content['since']} ({content['command'][:100]})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"  # which has not written it yet


@contextmanager
def claimed(folder: Path, waiting: Callable[[str], object] | None = None) -> Iterator[None]:
    """Be the only process that works in a folder.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    waiting : callable, optional
        Told, once, whom this process waits for; without it there is no wait.

    Raises
    ------
    InUse
        If another process has it and there is no wait.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CLAIM
    try:
        lock = _take(path)
    except Timeout:
        if waiting is None:
            raise InUse(folder, _holder(path)) from None
        waiting(f"{folder} is in use by {_holder(path)}: waiting for it")
        with suppress(FileNotFoundError), FileLock(path):  # deleted with its folder
            pass
        with claimed(folder, waiting):
            yield
        return
    try:
        yield
    finally:
        _give_back(path, lock)


@contextmanager
def first_free(folder: Path, taken: Callable[[str], object]) -> Iterator[Path]:
    """Claim a folder, or if it is in use the first free one of those with a number behind the name, from 2 on.

    Parameters
    ----------
    folder : Path
    taken : callable
        Told who has `folder`, if somebody has.
    """
    with ExitStack() as stack:
        for number in count(1):
            candidate = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
            try:
                stack.enter_context(claimed(candidate))
            except InUse as error:
                if number == 1:
                    taken(error.holder)
            else:
                break
        yield candidate


@contextmanager
def using(folder: Path) -> Iterator[None]:
    """Use a folder among others, so that `clean` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{CLAIM}.{secrets.token_hex(4)}"
    lock = _take(path)
    try:
        yield
    finally:
        _give_back(path, lock)


@contextmanager
def scratch(folder: Path, prefix: str) -> Iterator[Path]:
    """A temporary folder inside `folder`; those that dead processes left there with this prefix are deleted.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    prefix : str
        Begins the name of the temporary folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{prefix}*"):
        if not users(left):
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
    try:
        lock = _take(made / CLAIM)
        try:
            # It gets the name that others look for when it is claimed.
            made = made.rename(folder / made.name.replace(".new-", prefix))
            yield made
        except OSError as error:
            # What filled the disk is deleted here, so that later nothing tells which one it was.
            if error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
                error.filename = os.fspath(folder)
            raise
        finally:
            lock.release()
    finally:
        shutil.rmtree(made, ignore_errors=True)


def users(folder: Path) -> list[str]:
    """Who works in a folder or below it; claims of dead processes are deleted."""
    found = []
    for path in folder.rglob(f"{CLAIM}*"):
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            found.append(_holder(path))
        except OSError:  # gone meanwhile, or not ours to lock
            continue
        else:
            _give_back(path, lock)
    return found


def delete(path: Path, into: Path) -> None:
    """Delete a file or folder that nobody uses; a folder vanishes at once, before its content is deleted.

    Parameters
    ----------
    path : Path
    into : Path
        Folder to move it to first.
    """
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    doomed = Path(tempfile.mkdtemp(prefix=".deleted-", dir=into))
    with suppress(OSError):  # a mount, or another disk
        path = path.rename(doomed / path.name)
    shutil.rmtree(path)
    shutil.rmtree(doomed)
