"""The accelerator and its memory over a serial link: the host's end of `hw.board.link_protocol`."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hw.board.link_protocol import END, IDENTITY_WORDS, MAX_WORDS, PROTOCOL_VERSION, Identity, LinkStatus, Operation
from hw.integers import ceil_div
from sw.driver.bus import run_blocking
from sw.driver.byte_transport import ByteTransport, LinkLost
from sw.driver.link_frames import Answer, AnswerReader, request
from sw.driver.serial_port import SerialPort
from sw.errors import UserError

TRIES = 8
"""How often a request is sent before the link is given up."""

LOOKS = 20
"""Looks at STATUS in the time that an answer may take, while a job is waited for."""


@dataclass(frozen=True)
class BoardIdentity:
    """What a board says of itself, see `hw.board.link_protocol.Identity`.

    Attributes
    ----------
    name : str
        Of the board.
    config : int
        Fingerprint of the accelerator's configuration.
    clock_hz : int
        Of the accelerator.
    memory_address, memory_bytes : int
        Its memory.
    bad_frames : int
        Frames that the board dropped since power-up.
    """

    name: str
    config: int
    clock_hz: int
    memory_address: int
    memory_bytes: int
    bad_frames: int


class SerialBus:
    """A `sw.driver.bus.Bus` over bytes. Lost and damaged frames are sent again; `connect` comes first.

    Parameters
    ----------
    transport : ByteTransport

    Attributes
    ----------
    memory_address, memory_bytes : int
        The board's memory, once connected.
    repeated : int
        Requests that were sent more than once so far, counted once for every time more.
    """

    def __init__(self, transport: ByteTransport):
        self._transport, self._reader, self._tag = transport, AnswerReader(), 0
        self.memory_address = self.memory_bytes = self.repeated = 0

    async def connect(self) -> BoardIdentity:
        """Find the board; forgets whatever another host left on the line.

        Raises
        ------
        LinkLost
            If nothing answers.
        UserError
            If the board speaks another version of the protocol.
        """
        await self._transport.send(bytes([END]))
        await self._transport.receive(self._transport.patience / LOOKS)
        found = await self.identify()
        self.memory_address, self.memory_bytes = found.memory_address, found.memory_bytes
        return found

    async def identify(self) -> BoardIdentity:
        """What the board says of itself now."""
        (protocol,) = await self._words(Operation.IDENTIFY, Identity.PROTOCOL, 1)
        if protocol != PROTOCOL_VERSION:
            raise UserError(
                f"the board at {self._transport.name} speaks version {protocol} of the link, this software version "
                f"{PROTOCOL_VERSION}: use the software the bitstream was built with, or rebuild the bitstream"
            )
        words = await self._words(Operation.IDENTIFY, 0, IDENTITY_WORDS)
        name = struct.pack(f"<{IDENTITY_WORDS - Identity.NAME}I", *words[Identity.NAME :]).rstrip(b"\0")
        return BoardIdentity(
            name.decode("ascii", "replace"), words[Identity.CONFIG], words[Identity.CLOCK_HZ],
            words[Identity.MEMORY_ADDRESS], words[Identity.MEMORY_BYTES], words[Identity.BAD_FRAMES],
        )  # fmt: skip

    async def read(self, address: int) -> int:
        """Value of a register.

        Raises
        ------
        RuntimeError
            If the access is answered with an error.
        LinkLost
            If the board is gone, as all other methods.
        """
        (value,) = await self._words(Operation.READ_REGISTERS, address, 1)
        return value

    async def write(self, address: int, value: int) -> None:
        """Write a register; raises as `read` does."""
        await self._request(Operation.WRITE_REGISTERS, address, 1, struct.pack("<I", value))

    async def read_memory(self, address: int, count: int) -> bytes:
        """Bytes of the memory from any address on.

        Raises
        ------
        ValueError
            If they are not all in the memory.
        """
        self._check_range(address, count)
        first, end = address // 4, ceil_div(address + count, 4)
        content = b"".join(
            [
                (await self._request(Operation.READ_MEMORY, 4 * word, min(MAX_WORDS, end - word))).words
                for word in range(first, end, MAX_WORDS)
            ]
        )
        return content[address - 4 * first :][:count]

    async def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes from any address on; a word that is not covered is read before.

        Raises
        ------
        ValueError
            If they are not all in the memory.
        """
        self._check_range(address, len(data))
        before, after = address % 4, -(address + len(data)) % 4
        if data and before:
            data = await self.read_memory(address - before, before) + data
        if data and after:
            data += await self.read_memory(address - before + len(data), after)
        for start in range(0, len(data), 4 * MAX_WORDS):
            part = data[start : start + 4 * MAX_WORDS]
            await self._request(Operation.WRITE_MEMORY, address - before + start, len(part) // 4, part)

    async def wait(self, timeout: float) -> None:
        """Wait a moment: the link has no interrupt, so it is soon worth looking at STATUS again."""
        await self._transport.receive(min(timeout, self._transport.patience / LOOKS))

    def clock(self) -> float:
        """Time now: seconds, in a simulation its cycles."""
        return self._transport.clock()

    def close(self) -> None:
        """Give the port up."""
        self._transport.close()

    def _check_range(self, address: int, count: int) -> None:
        end = self.memory_address + self.memory_bytes
        if not (self.memory_address <= address and 0 <= count <= end - address):
            raise ValueError(
                f"the board's memory is 0x{self.memory_address:X} to 0x{end:X}, not {count} bytes at 0x{address:X}"
            )

    async def _words(self, operation: Operation, address: int, count: int) -> tuple[int, ...]:
        answer = await self._request(operation, address, count)
        return struct.unpack(f"<{count}I", answer.words)

    async def _request(self, operation: Operation, address: int, count: int, words: bytes = b"") -> Answer:
        """Send a request until it is answered."""
        self._tag = (self._tag + 1) % 256
        content = request(operation, self._tag, address, count, words)
        expected = 0 if words else 4 * count
        for _ in range(TRIES):
            await self._transport.send(content)
            end = self.clock() + self._transport.patience
            while (left := end - self.clock()) > 0:
                for answer in self._reader.feed(await self._transport.receive(left)):
                    if (answer.operation, answer.tag) != (operation, self._tag):
                        continue  # to a request that was sent twice
                    if answer.status is LinkStatus.ERROR:
                        raise RuntimeError(f"access to register address 0x{address:04X} answered with an error")
                    if answer.status is LinkStatus.REFUSED or len(answer.words) != expected:
                        raise RuntimeError(f"the board refuses {operation.name} of {count} words at 0x{address:X}")
                    return answer
            self.repeated += 1
        raise LinkLost(
            f"no answer from {self._transport.name} to {TRIES} requests ({operation.name} at 0x{address:X}): check the "
            "cable, that it is the board's port, and that a Spikeloom bitstream of this link and baud rate is loaded"
        )


def open_serial(port: str, baud: int) -> SerialBus:
    """A board at a serial port, found and identified.

    Parameters
    ----------
    port : str
        ``/dev/ttyUSB0``, ``COM3``, or another name or URL that pyserial takes.
    baud : int
        As the board was built, see `hw.board.boards`.

    Raises
    ------
    UserError
        If pyserial is missing, the port cannot be opened, or no board answers there (`LinkLost`).
    """
    transport = SerialPort(port, baud)
    bus = SerialBus(transport)
    try:
        run_blocking(bus.connect())
    except BaseException:
        transport.close()
        raise
    return bus
