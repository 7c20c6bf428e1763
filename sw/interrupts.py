"""Signals that end the program: they unwind it, so that nothing half-written is left, and no import swallows them."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]

TERMINATING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that would end the process at once, with its temporary folders and child processes left behind."""


class Terminated(BaseException):
    """A signal of `TERMINATING` came: raised where the program is, as Ctrl-C raises KeyboardInterrupt."""


def _terminate(number: int, _: FrameType | None) -> None:
    raise Terminated(signal.Signals(number).name)


@contextlib.contextmanager
def handled_by(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Call these functions at the signals of these numbers in the block; only the main thread can change that."""
    previous: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                previous[number] = signal.signal(number, handler)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def termination_unwinds() -> contextlib.AbstractContextManager[None]:
    """Let the signals of `TERMINATING` raise `Terminated` in the block; those that are ignored (nohup) stay ignored."""
    return handled_by({number: _terminate for number in TERMINATING if signal.getsignal(number) is signal.SIG_DFL})


def _handlers() -> dict[int, Handler]:
    """What is called at the signals that end the program, by number; without those that are ignored or unhandled."""
    return {
        number: handler
        for number in (signal.SIGINT, *TERMINATING)
        if callable(handler := signal.getsignal(number)) and not isinstance(handler, signal.Handlers)
    }


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Raise at the end of the block, not within it, what a signal raises: for a few steps that belong together."""
    came: list[int] = []
    previous = _handlers()
    try:
        with handled_by(dict.fromkeys(previous, lambda number, _: came.append(number))):
            yield
    finally:
        for number in came:
            previous[number](number, None)


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise again at the end of the block what a signal raised in it and a bare ``except:`` of a library swallowed."""
    raised: list[BaseException] = []
    previous = _handlers()

    def note(number: int, frame: FrameType | None) -> None:
        try:
            previous[number](number, frame)
        except BaseException as error:
            raised.append(error)
            raise

    with handled_by(dict.fromkeys(previous, note)):
        yield
    if raised:
        raise raised[0]
