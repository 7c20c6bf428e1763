"""Requests and answers of the serial link as bytes, see `hw.board.link_protocol`."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from hw.board.link_protocol import (
    ANSWER,
    ANSWER_BYTES,
    CRC_BYTES,
    END,
    ESC,
    ESC_END,
    ESC_ESC,
    HEADER_BYTES,
    MAX_WORDS,
    LinkStatus,
    Operation,
)

LONGEST_FRAME = 2 * (HEADER_BYTES + 4 * MAX_WORDS + CRC_BYTES + 1)
"""Bytes of a frame on the wire at most, every one of them escaped."""


def frame(content: bytes) -> bytes:
    """A frame around its content: CRC, escapes, an END on both sides."""
    whole = content + struct.pack("<I", zlib.crc32(content))
    whole = whole.replace(bytes([ESC]), bytes([ESC, ESC_ESC])).replace(bytes([END]), bytes([ESC, ESC_END]))
    return bytes([END]) + whole + bytes([END])


def request(operation: Operation, tag: int, address: int, count: int, words: bytes = b"") -> bytes:
    """A request's frame; `words` are those to be written, four bytes each."""
    return frame(struct.pack("<BBIH", operation, tag, address, count) + words)


@dataclass(frozen=True)
class Answer:
    """What the device said.

    Attributes
    ----------
    operation, tag : int
        Of the request.
    status : LinkStatus
    words : bytes
        What was read.
    """

    operation: int
    tag: int
    status: LinkStatus
    words: bytes


class AnswerReader:
    """Takes answers out of bytes as they come; what is no whole answer is left out.

    Attributes
    ----------
    dropped : int
        Frames that were damaged.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._content = bytearray()
        self._escaped = self._broken = False

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that end in these bytes."""
        answers = []
        for byte in data:
            if byte == END:
                if (answer := self._answer()) is not None:
                    answers.append(answer)
                self._content.clear()
                self._escaped = self._broken = False
            elif self._escaped:
                self._broken |= byte not in (ESC_END, ESC_ESC)
                self._content.append(END if byte == ESC_END else ESC)
                self._escaped = False
            elif byte == ESC:
                self._escaped = True
            elif len(self._content) <= LONGEST_FRAME:
                self._content.append(byte)
        return answers

    def _answer(self) -> Answer | None:
        content = bytes(self._content)
        if not content and not self._escaped:
            return None
        try:
            if self._broken or self._escaped or len(content) < ANSWER_BYTES + CRC_BYTES:
                raise ValueError
            if struct.unpack("<I", content[-CRC_BYTES:])[0] != zlib.crc32(content[:-CRC_BYTES]):
                raise ValueError
            operation, tag, status = content[:ANSWER_BYTES]
            return Answer(operation ^ ANSWER, tag, LinkStatus(status), content[ANSWER_BYTES:-CRC_BYTES])
        except ValueError:
            self.dropped += 1
            return None
