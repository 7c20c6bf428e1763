"""Ctrl-C during a run is a request, not an interruption."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sw.interrupts import handled_by


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

        with handled_by(dict.fromkeys((signal.SIGINT, signal.SIGTERM), request)):
            yield
