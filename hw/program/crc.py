"""CRC-32 of the program's beats as they come: whether the program is what the compiler wrote."""

from __future__ import annotations

from collections.abc import Iterable

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

CRC_BITS = 32

POLYNOMIAL = 0xEDB8_8320
"""That of IEEE 802.3; bit 31 is the coefficient of 1, bit 0 that of x^31, and x^32 is not written. The same order holds
for all words here, since the first bit of a byte is its lowest."""

ONES = (1 << CRC_BITS) - 1


def times_x(word: int, power: int) -> int:
    """A polynomial times ``x ** power``, modulo `POLYNOMIAL`."""
    for _ in range(power):
        word = word >> 1 ^ (POLYNOMIAL if word & 1 else 0)
    return word


def over_x(word: int, power: int) -> int:
    """Inverse of `times_x`."""
    for _ in range(power):
        carried = word >> CRC_BITS - 1
        word = (word ^ (POLYNOMIAL if carried else 0)) << 1 & ONES | carried
    return word


class ProgramCrc(wiring.Component):
    """Divides a program, a beat per cycle, and says whether it ends with its CRC-32.

    The remainder is that of the program itself, without the 32 zeros that a CRC appends, for its last word is the CRC.
    With a right one the remainder is all ones, whatever the length, so that nothing is stored to compare with. The ones
    that a CRC-32 adds to the first four bytes are in the remainder from which it starts.

    Two steps in registers of their own: a beat modulo the polynomial, then ``remainder * x^beat_bits + beat``.

    Parameters
    ----------
    beat_bits : int
        Width of a beat, a multiple of 32.

    Members
    -------
    clear : In(1)
        A program begins with the next cycle; no beat of one before counts.
    valid : In(1), beat : In(beat_bits)
        A beat of it.
    intact : Out(1)
        The beats of up to `latency` cycles ago end with the CRC-32 of those before; settled while not `pending`.
    pending : Out(1)
        Of the last `latency` cycles' beats some are not in `intact` yet.

    Raises
    ------
    ValueError
        If `beat_bits` is no multiple of 32.
    """

    latency = 4
    """Cycles from a beat to the `intact` that counts it."""

    def __init__(self, beat_bits: int):
        if beat_bits <= 0 or beat_bits % CRC_BITS:
            raise ValueError(f"beat_bits must be a multiple of {CRC_BITS}, not {beat_bits}")
        self._beat_bits = beat_bits
        super().__init__(
            {"clear": In(1), "valid": In(1), "beat": In(beat_bits), "intact": Out(1), "pending": Out(1)}
        )  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        bits = self._beat_bits
        stages = Signal(self.latency - 1)  # a beat is in the register of the beat, reduced, in the remainder
        beat = Signal(bits)
        reduced = Signal(CRC_BITS)
        remainder = Signal(CRC_BITS)
        # Of the beat's bits, the last word's are not multiplied.
        places = [times_x(1 << bit % CRC_BITS, bits - CRC_BITS - bit // CRC_BITS * CRC_BITS) for bit in range(bits)]
        with m.If(self.valid):
            m.d.sync += beat.eq(self.beat)
        with m.If(stages[0]):
            m.d.sync += reduced.eq(_product(beat, places))
        with m.If(self.clear):
            m.d.sync += [stages.eq(0), remainder.eq(over_x(ONES, CRC_BITS))]
        with m.Else():
            m.d.sync += stages.eq(Cat(self.valid, stages))
            with m.If(stages[1]):
                following = _product(remainder, [times_x(1 << bit, bits) for bit in range(CRC_BITS)])
                m.d.sync += remainder.eq(following ^ reduced)
        m.d.sync += self.intact.eq(remainder.all())
        m.d.comb += self.pending.eq(stages.any())
        return m


def _product(value: Value, columns: Iterable[int]) -> Value:
    """The sum, without carries, of the columns whose bit is set in `value`."""
    rows = [0] * CRC_BITS
    for place, column in enumerate(columns):
        for row in range(CRC_BITS):
            rows[row] |= (column >> row & 1) << place
    return Cat((value & row).xor() for row in rows)
