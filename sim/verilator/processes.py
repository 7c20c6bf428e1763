"""Child processes that end with their caller: compilers and simulators."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sw.interrupts import interrupts_deferred

_running: set[subprocess.Popen[str]] = set()


def kill_running() -> None:
    """Kill every child process under way: for an interrupted caller whose worker threads wait for them."""
    for process in list(_running):
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def running(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], pass_fds: Sequence[int] = ()
) -> Iterator[subprocess.Popen[str]]:
    """A child process in a group of its own, of which nothing is left when the block is left, however that happens.

    It has the files of the numbers `pass_fds` under the same numbers.
    """
    process = None
    try:
        with interrupts_deferred():  # a process that has begun is known to us
            process = subprocess.Popen(
                command, cwd=cwd, env=env, encoding="utf-8", errors="replace", stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, pass_fds=pass_fds,
            )  # fmt: skip
            _running.add(process)
        yield process
    finally:
        if process is not None:
            _kill(process)
            process.wait()
            _running.discard(process)
            if process.stdout is not None:
                process.stdout.close()


def signal_name(number: int) -> str:
    """Name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
