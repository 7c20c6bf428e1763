"""The serial link's protocol: one description for gateware, host and documentation.

A frame lies between two END bytes (SLIP, RFC 1055); END and ESC within it are sent as two bytes. A request is operation
(1 byte), tag (1), address (4), count of words (2), the words to write and a CRC-32; an answer is operation + `ANSWER`
(1), tag of the request (1), status (1), the words that were read and a CRC-32. Numbers are little-endian, a word has 32
bits, and the CRC is that of Ethernet and zlib over everything before it. `RULES` says what holds for all frames.
"""

from __future__ import annotations

from amaranth.lib.crc.catalog import CRC32_ISO_HDLC

from hw.documented import Documented, IntEnum

PROTOCOL_VERSION = 1
"""Of this protocol; the host refuses another."""

END, ESC, ESC_END, ESC_ESC = 0xC0, 0xDB, 0xDC, 0xDD
"""SLIP: the byte between frames; the byte that begins an escape, and what follows it for an END and for an ESC."""

CRC = CRC32_ISO_HDLC(data_width=8)
"""Of every frame."""

CRC_BYTES = 4
HEADER_BYTES = 8
"""Of a request: what comes before the words."""

ANSWER_BYTES = 3
"""Of an answer before its words."""

MAX_WORDS = 64
"""Words of a frame at most. Longer frames would pass a noisy line less often."""

ANSWER = 0x80
"""Added to the operation in an answer."""

NAME_BYTES = 16
"""Of a board's name, filled up with zeros."""


class Operation(IntEnum):
    """First byte of a request."""

    IDENTIFY = Documented(0, "Reads words of the identity, see Identity; the address counts from its first one.")
    READ_REGISTERS = Documented(1, "Reads registers of the accelerator; the address is that of `docs/registers.md`.")
    WRITE_REGISTERS = Documented(2, "Writes registers.")
    READ_MEMORY = Documented(3, "Reads memory; the address is that which the accelerator uses.")
    WRITE_MEMORY = Documented(4, "Writes memory.")


WRITES = (Operation.WRITE_REGISTERS, Operation.WRITE_MEMORY)
"""Operations whose requests carry words; the answers of the others do."""


class LinkStatus(IntEnum):
    """Third byte of an answer."""

    DONE = Documented(0, "The request was executed.")
    REFUSED = Documented(
        1,
        "Nothing was executed: no such operation, an address that is no multiple of 4 or leaves what it addresses, no "
        f"words or more than {MAX_WORDS}, or a frame of another length than its count says.",
    )
    ERROR = Documented(
        2, "A register answered with an error. Words before it were written; none that were read are sent."
    )


class Identity(IntEnum):
    """Words that IDENTIFY reads."""

    PROTOCOL = Documented(0, "version of this protocol")
    CONFIG = Documented(1, "CRC-32 of the accelerator's configuration, `HardwareConfig.fingerprint`")
    CLOCK_HZ = Documented(2, "clock of accelerator and memory")
    MEMORY_ADDRESS = Documented(3, "byte address of the memory, as the accelerator uses it")
    MEMORY_BYTES = Documented(4, "its size")
    BAD_FRAMES = Documented(5, "frames that were dropped since power-up, modulo 2^32")
    NAME = Documented(6, f"name of the board: {NAME_BYTES} bytes of ASCII in four words, filled up with zeros")


IDENTITY_WORDS = Identity.NAME + NAME_BYTES // 4

RULES = (
    "The host speaks, the device answers: one request at a time, and an answer to each that is whole.",
    "The device stores a frame and executes it when its CRC is right. A frame that is damaged (CRC, an escape that is "
    "none, a byte without its stop bit), shorter than header and CRC or longer than the longest, or that comes while "
    "another is executed, is dropped without an answer and counted. Two ENDs in a row are no frame.",
    "A host that got no answer sends the same request again, with the same tag. A write right behind an executed write "
    "of the same tag is that one again: it is answered as the first time, and not executed. So neighbouring requests "
    "have different tags. Any other request, such as the IDENTIFY with which a host begins, ends that memory.",
    "An END begins afresh at any time. A host begins every frame with one, so whatever noise or another host left "
    "of a frame is dropped by it.",
)
"""What holds for all frames, in plain words."""
