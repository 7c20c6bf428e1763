"""A board at a serial port of this computer; pseudo-terminals stand for cables."""

from __future__ import annotations

import os
import struct
import threading
import tty
from collections.abc import Callable
from contextlib import suppress

import pytest

from hw.board.link_protocol import ANSWER, IDENTITY_WORDS, PROTOCOL_VERSION, LinkStatus, Operation
from sw.driver.bus import run_blocking
from sw.driver.byte_transport import LinkLost
from sw.driver.link_frames import frame
from sw.driver.serial_bus import TRIES, SerialBus, open_serial
from sw.driver.serial_port import SerialPort
from sw.errors import UserError

NAME = struct.unpack("<4I", b"a board".ljust(16, b"\0"))


class FakeBoard:
    """The other end of a cable: answers every request with the words that `words` gives for its header."""

    def __init__(self, words: Callable[[int, int, int], list[int]]):
        self.end, cable = os.openpty()
        tty.setraw(cable)
        self.port, self._cable, self._words = os.ttyname(cable), cable, words
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):  # unplugged
            self._answer()

    def _answer(self) -> None:
        content = b""
        while True:
            content += os.read(self.end, 4096)
            *frames, content = content.split(b"\xc0")
            for one in filter(None, frames):
                one = one.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb")
                self.heard.append(one)
                operation, tag, address, count = struct.unpack("<BBIH", one[:8])
                words = self._words(operation, address, count)
                header = bytes([operation | ANSWER, tag, LinkStatus.DONE])
                os.write(self.end, frame(header + struct.pack(f"<{len(words)}I", *words)))

    def unplug(self) -> None:
        os.close(self._cable)
        os.close(self.end)


def identity(protocol: int = PROTOCOL_VERSION) -> Callable[[int, int, int], list[int]]:
    words = [protocol, 0xABCD, 25_000_000, 0, 4096, 0, *NAME]
    assert len(words) == IDENTITY_WORDS
    return lambda operation, address, count: (
        words[address // 4 :][:count] if operation == Operation.IDENTIFY else [address] * count
    )


def test_a_board_is_found_and_asked():
    board = FakeBoard(identity())
    bus = open_serial(board.port, 1_000_000)
    assert (bus.memory_address, bus.memory_bytes, bus.repeated) == (0, 4096, 0)
    assert run_blocking(bus.read(0xC0)) == 0xC0
    assert run_blocking(bus.read_memory(8, 12)) == struct.pack("<3I", 8, 8, 8)
    assert run_blocking(bus.identify()).name == "a board"
    before = bus.clock()
    run_blocking(bus.wait(10))
    assert 0 < bus.clock() - before < 5
    bus.close()


def test_boards_and_ports_that_are_not_what_they_should_be():
    with pytest.raises(
        UserError, match=r"^the serial port /dev/nothing cannot be opened at 9600 baud \(.*\); ports of"
    ):
        open_serial("/dev/nothing", 9600)
    other = FakeBoard(identity(PROTOCOL_VERSION + 1))
    with pytest.raises(UserError, match=f"speaks version {PROTOCOL_VERSION + 1} of the link, this software"):
        open_serial(other.port, 1_000_000)


def test_a_board_that_says_nothing_is_one_error(monkeypatch):
    monkeypatch.setattr("sw.driver.serial_port.ADAPTER_S", 0.02)
    _, cable = os.openpty()
    with pytest.raises(LinkLost, match=f"no answer from {os.ttyname(cable)} to {TRIES} requests .*check the cable"):
        open_serial(os.ttyname(cable), 4_000_000)


def test_a_cable_that_is_pulled_is_one_error():
    board = FakeBoard(identity())
    bus = SerialBus(SerialPort(board.port, 1_000_000))
    run_blocking(bus.connect())
    board.unplug()
    with pytest.raises(LinkLost, match=f"the serial port {board.port} is gone .*plug the board in"):
        run_blocking(bus.read(0))


def test_without_pyserial_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "serial", None)
    with pytest.raises(UserError, match=r"pip install --constraint constraints.txt --editable '.\[boards\]'"):
        open_serial("/dev/ttyUSB0", 1_000_000)
