"""How bytes go to a board and come from it."""

from __future__ import annotations

from typing import Protocol

from sw.errors import UserError


class LinkLost(UserError):
    """The board does not answer, or its port is gone."""


class ByteTransport(Protocol):
    """Bytes to and from a board. Coroutines: a port that blocks never suspends; in simulation they await triggers.

    Attributes
    ----------
    name : str
        The port, for messages.
    patience : float
        How long an answer may take from the end of `send`, in the unit of `clock`.
    """

    name: str
    patience: float

    async def send(self, data: bytes) -> None:
        """Send bytes; raises `LinkLost` if the port is gone."""
        ...

    async def receive(self, timeout: float) -> bytes:
        """What has come, at least a byte; nothing if none has come when the time is over. Raises as `send` does."""
        ...

    def clock(self) -> float:
        """Time now."""
        ...

    def close(self) -> None:
        """Give the port up."""
        ...
