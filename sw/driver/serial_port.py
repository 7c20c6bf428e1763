"""A serial port of this computer, by pyserial."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sw.driver.byte_transport import LinkLost
from sw.driver.link_frames import LONGEST_FRAME
from sw.errors import UserError

ADAPTER_S = 0.25
"""Longest time that a USB adapter and its driver may hold bytes back, both ways together."""

BITS = 10
"""Of a byte on the wire, start and stop bit included."""


class SerialPort:
    """A `sw.driver.byte_transport.ByteTransport`, whose methods block.

    Parameters
    ----------
    port : str
        ``/dev/ttyUSB0``, ``COM3``, or another name or URL that pyserial takes.
    baud : int

    Raises
    ------
    UserError
        If pyserial is not installed, or the port cannot be opened.
    """

    def __init__(self, port: str, baud: int):
        try:
            import serial
            from serial.tools import list_ports
        except ModuleNotFoundError:
            raise UserError(
                f"pyserial is not installed, but {port} is a serial port: install the extra with "
                "pip install --constraint constraints.txt --editable '.[boards]'"
            ) from None
        self.name = port
        self.patience = ADAPTER_S + 2 * LONGEST_FRAME * BITS / baud
        try:
            self._serial: Any = serial.serial_for_url(port, baudrate=baud, timeout=0, write_timeout=self.patience)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            there = ", ".join(sorted(each.device for each in list_ports.comports())) or "none"
            raise UserError(
                f"the serial port {port} cannot be opened at {baud} baud ({error}); ports of this computer: {there}"
            ) from None
        with suppress(Exception):  # an adapter of FTDI then hands bytes over after 1 ms instead of 16, if it can
            self._serial.set_low_latency_mode(True)

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        with self._attached():
            self._serial.write(data)

    async def receive(self, timeout: float) -> bytes:
        """What has come, at least a byte, or nothing if none came in `timeout` seconds."""
        with self._attached():
            self._serial.timeout = max(timeout, 0)
            first: bytes = self._serial.read(1)
            if not first:
                return first
            self._serial.timeout = 0
            rest: bytes = self._serial.read(LONGEST_FRAME)
            return first + rest

    def clock(self) -> float:
        """Seconds of a clock that only goes forward."""
        return time.monotonic()

    def close(self) -> None:
        """Give the port up."""
        self._serial.close()

    @contextmanager
    def _attached(self) -> Iterator[None]:
        """Take an error of the port for what it is in practice."""
        try:
            yield
        except OSError as error:
            raise LinkLost(
                f"the serial port {self.name} is gone ({error}): plug the board in and start again"
            ) from None
