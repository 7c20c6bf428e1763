"""Ctrl-C during a run is a request, not an interruption."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class StopRequest:
    """Whether the user wants the run to end.

    Attributes
    ----------
    made : bool
        SIGINT or SIGTERM has come while `listening`.
    """

    def __init__(self) -> None:
        self.made = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as requests: what is in progress goes on to where it can be saved."""

        def request(*_: Any) -> None:
            self.made = True

        previous = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
