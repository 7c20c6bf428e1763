"""The register map: one description for gateware, host driver, C header and documentation.

Registers are 32-bit words behind an AXI4-Lite slave, at byte addresses. `RULES` says what holds for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from hw.documented import Documented, IntEnum, IntFlag

IDENTITY = 0x5350_4B4C
"""Value of the IDENTITY register: "SPKL"."""

VERSION = 5
"""Version of the register map, of programs and of the result record; driver and device refuse another."""

REGISTER_ADDRESS_BITS = 14
"""Width of a byte address of the registers: 16 KB."""

WATCHDOG_CYCLES = 1 << 24
"""What WATCHDOG holds after `aresetn`, so that no host hangs that has not heard of it. At 100 to 300 MHz 168 to 56 ms:
more than any memory takes that is alive, and less than a user waits."""


@dataclass(frozen=True)
class Register:
    """One register, or a window of them.

    Attributes
    ----------
    address : int
        Byte address of the first one.
    access : str
        ``r``, ``rw``, ``w`` (reads 0) or ``w1c`` (reads; writing 1 clears a bit).
    text : str
        What it holds.
    words : int
        Registers in the window.
    idle : bool
        It is settled while no job is busy; otherwise a read answers SLVERR.
    init : int
        What it holds after `aresetn`, if the host writes it.
    """

    address: int
    access: str
    text: str
    words: int = 1
    idle: bool = False
    init: int = 0

    @property
    def rights(self) -> str:
        """`access` and `idle` as they are shown."""
        return f"{self.access}, idle" if self.idle else self.access


RULES = (
    "Every access is answered: SLVERR where there is no register, for a write to one that is read-only (r), and for a "
    "write of less than a word. w reads 0; in w1c a written 1 clears its bit.",
    "START takes program, image and result registers as they are: what is written to them later is the next job's.",
    "A read of one marked idle answers SLVERR while STATUS shows BUSY. The others may be read at any time; while BUSY, "
    "CYCLES and DESCRIPTORS are those so far, and ERROR is that of a job about to end.",
    "RESET leaves DONE, ERROR, CYCLES and DESCRIPTORS 0; JOBS, the registers that the host writes, and what is pending "
    "in INTERRUPT_STATUS stay. It comes too late for a result record of which the last beat, with the number, is on "
    "its way: that job counts in JOBS, with its record complete. Before that there is none: the number in its place "
    "stays, what lies around it may be new.",
    "What memory still owes a job that ended with an error, or by RESET, is swallowed when it comes. The next job, and "
    "what it counts, begins when all of it has come.",
    "WATCHDOG may be written at any time. A job that ends with MEMORY_TIMEOUT may leave its result record incomplete, "
    "or complete later, when memory answers again.",
    "PREDICTION and LOGITS mean something after a job that ended with the cause NONE or RESULT_ERROR. PROFILE holds, "
    "after another cause or RESET, what had been counted and filed by then.",
    "Reads of the program run ahead of it. DONE waits for all of PROGRAM_BYTES, also of what lies behind the END: only "
    "then the CRC-32 of the program is known. An error response to a read is this job's MEMORY_ERROR.",
)
"""What a host must know of accesses at any time, in plain words: for documentation and C header."""


class Control(IntFlag):
    """Bits of CONTROL; both do something when a 1 is written."""

    START = Documented(
        1, "Starts a job; ignored while busy and beside RESET, which STATUS and INTERRUPT_STATUS then show."
    )
    RESET = Documented(
        2, "Stops the job under way, if any, and forgets its state, whatever memory does; busy for a few cycles."
    )


class Status(IntFlag):
    """Bits of STATUS."""

    BUSY = Documented(1, "A job runs, or waits for transfers of an abandoned one, or a reset is under way.")
    DONE = Documented(2, "The last job has ended, with or without an error.")
    ERROR = Documented(4, "The last job ended with an error, see ERROR.")
    IGNORED = Documented(
        8, "A start was ignored, see Control; cleared by a RESET without START or a start that is not ignored."
    )


class Interrupt(IntFlag):
    """Bits of INTERRUPT_ENABLE and INTERRUPT_STATUS; `interrupt` is high while both have one in common."""

    DONE = Documented(1, "A job has ended, with or without an error.")
    ERROR = Documented(2, "A job has ended with an error.")
    IGNORED = Documented(4, "A start was ignored.")


class Counter(IntEnum):
    """Hardware counters kept for every layer, in the order of the PROFILE window."""

    CYCLES = Documented(
        0, "Cycles in which the array works on the layer, or waits to begin it. Those of all layers are the job's."
    )
    BUSY = Documented(
        1, "Cycles in which the weight array did work; for attention those of its engine, beside the array."
    )
    WAIT_WEIGHTS = Documented(2, "Cycles the array waited for weights or their subset-sum tables.")
    WAIT_DRAIN = Documented(3, "Cycles the array waited for the neurons to take earlier sums.")
    WAIT_DATA = Documented(4, "Cycles the array waited for spikes of the layer before.")
    WAIT_ATTENTION = Documented(5, "Cycles the array waited for attention.")
    WAIT_LOAD = Documented(6, "Cycles the array waited for the image.")
    SPIKES = Documented(7, "Output spikes of the layer's neurons (before a pool).")


COUNTER_SLOTS = 8
"""Words per layer in the PROFILE window."""


class ErrorCause(IntEnum):
    """Why a job stopped."""

    NONE = Documented(0, "It ran to its end.")
    BAD_CHECK = Documented(1, "The bytes of a descriptor do not XOR to the constant.")
    BAD_OPCODE = Documented(2, "A descriptor names no operation.")
    PROGRAM_LENGTH = Documented(3, "PROGRAM_BYTES ended before the END descriptor.")
    PROGRAM_TOO_LARGE = Documented(
        4, "A descriptor's weights for an output tile do not fit the program buffer, or there are none."
    )
    MEMORY_ERROR = Documented(5, "External memory answered a read with SLVERR or DECERR.")
    RESULT_ERROR = Documented(6, "External memory answered the write of the result record with SLVERR or DECERR.")
    PROGRAM_HEADER = Documented(
        7, "The program's first beat is no header of this version, or one of another length than PROGRAM_BYTES."
    )
    PROGRAM_CRC = Documented(8, "The program does not end with its CRC-32: what was computed is worth nothing.")
    MEMORY_TIMEOUT = Documented(
        9, "For WATCHDOG cycles external memory took nothing that was offered and gave nothing that was asked for."
    )
    STALLED = Documented(
        10,
        "For WATCHDOG cycles nothing was completed, and memory owed nothing: the program waits for what never comes.",
    )


RECORD_LINE_WORDS = 16
"""32-bit words in a line of the result record; its address must be a multiple of a line, 64 bytes."""


class Record(IntEnum):
    """Words of the first line of the result record; the logits follow in the lines behind it, padded with zeros."""

    PREDICTION = Documented(0, "As in the register.")
    CYCLES = Documented(1, "As in the register.")
    ERROR = Documented(2, "As in the register.")
    DESCRIPTORS = Documented(3, "As in the register.")
    JOB = Documented(
        15,
        "As in the register JOBS. This line is written when the others have arrived, so a host may wait for the "
        "number.",
    )


REGISTERS = {
    "IDENTITY": Register(0x0000, "r", "0x53504B4C"),
    "VERSION": Register(0x0004, "r", "version of this map, of the descriptors and of the result record"),
    "CONFIG": Register(0x0008, "r", "CRC-32 of the configuration that was built, `HardwareConfig.fingerprint`"),
    "CONTROL": Register(0x000C, "w", "see Control"),
    "STATUS": Register(0x0010, "r", "see Status"),
    "ERROR": Register(0x0014, "r", "cause of the error, see ErrorCause"),
    "INTERRUPT_ENABLE": Register(0x0018, "rw", "see Interrupt"),
    "INTERRUPT_STATUS": Register(0x001C, "w1c", "see Interrupt"),
    "PROGRAM_ADDRESS_LOW": Register(0x0020, "rw", "byte address of the program, a multiple of a beat; bits 31:0"),
    "PROGRAM_ADDRESS_HIGH": Register(0x0024, "rw", "bits 39:32"),
    "PROGRAM_BYTES": Register(0x0028, "rw", "length of the whole program, as in its header; nothing is read behind it"),
    "IMAGE_ADDRESS_LOW": Register(0x0030, "rw", "byte address of the packed image, a multiple of a beat; bits 31:0"),
    "IMAGE_ADDRESS_HIGH": Register(0x0034, "rw", "bits 39:32"),
    "RESULT_ADDRESS_LOW": Register(0x0038, "rw", "byte address of the result record, a multiple of 64; bits 31:0"),
    "RESULT_ADDRESS_HIGH": Register(0x003C, "rw", "bits 39:32"),
    "RESULT_ENABLE": Register(0x0040, "rw", "bit 0: write a result record at the end of every job, see Record"),
    "PREDICTION": Register(0x0044, "r", "class with the largest logit, the first on a tie", idle=True),
    "CYCLES": Register(0x0048, "r", "cycles of the job, from start to its end or its error"),
    "DESCRIPTORS": Register(0x004C, "r", "descriptors taken"),
    "JOBS": Register(0x0050, "r", "jobs ended since `aresetn`, modulo 2^32"),
    "WATCHDOG": Register(
        0x0054,
        "rw",
        "cycles without progress after which a job ends with MEMORY_TIMEOUT or STALLED; more than memory's latency, "
        "and than a position tile or an attention job takes. 0: never",
        init=WATCHDOG_CYCLES,
    ),
    "LOGITS": Register(
        0x1000, "r", "signed 32-bit logits of a finished job, as many as `max_classes`", words=1024, idle=True
    ),
    "PROFILE": Register(
        0x2000, "r", "counters of `max_layers` layers: word = layer * 8 + counter, see Counter", words=2048, idle=True
    ),
}
"""Every register by name."""
