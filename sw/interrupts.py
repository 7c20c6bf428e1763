"""Signals that end the program: they unwind it, so that nothing half-written is left, and no import swallows them."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

TERMINATING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that would end the process at once, with its temporary folders and child processes left behind."""


class Terminated(BaseException):
    """A signal of `TERMINATING` came: raised where the program is, as Ctrl-C raises KeyboardInterrupt."""


def _terminate(number: int, _: FrameType | None) -> None:
    raise Terminated(signal.Signals(number).name)


@contextlib.contextmanager
def termination_unwinds() -> Iterator[None]:
    """Let the signals of `TERMINATING` raise `Terminated` in the block; those that are ignored (nohup) stay ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in TERMINATING}
    changed = [number for number, handler in previous.items() if handler is signal.SIG_DFL]
    for number in changed:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, previous[number])


def _handlers() -> dict[int, Callable[[int, FrameType | None], Any]]:
    """What is called at the signals that end the program, by number; without those that are ignored or unhandled."""
    return {
        number: handler
        for number in (signal.SIGINT, *TERMINATING)
        if callable(handler := signal.getsignal(number)) and not isinstance(handler, signal.Handlers)
    }


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Raise at the end of the block, not within it, what a signal raises: for a few steps that belong together."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    previous = _handlers()
    for number in previous:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for number in came:
            previous[number](number, None)


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise again at the end of the block what a signal raised in it and a bare ``except:`` of a library swallowed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    raised: list[BaseException] = []
    previous = _handlers()

    def note(number: int, frame: FrameType | None) -> None:
        try:
            previous[number](number, frame)
        except BaseException as error:
            raised.append(error)
            raise

    for number in previous:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if raised:
        raise raised[0]
