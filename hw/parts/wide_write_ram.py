"""Block RAM of UltraScale+, written whole and read in parts: ports of different widths instead of a multiplexer."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.utils import exact_log2

BLOCK_WORDS = 512
"""Words of a RAMB36E2 at its greatest width."""

BLOCK_BYTES = 8
"""Bytes of such a word; each has a ninth bit."""

PARTS = (2, 4, 8)
"""Parts of a word that its read port can have: of whole bytes."""

ADDRESS_BITS = 15
"""Its address, of a bit; a port takes no notice of the lowest ones."""


def wide_write_ram(
    m: Module, *, name: str, parts: int, read: Value, read_address: Value, write: Value, write_address: Value,
    write_data: Value,
) -> Value:  # fmt: skip
    """A memory of up to `BLOCK_WORDS` words, each written at once and read in equal parts; two cycles of latency.

    Every RAMB36E2 holds the same bits of all parts of a word: its write port is 72 bits wide, its read port as many
    times narrower as there are parts. What it reads is registered in it. Words are 0 at power-on.

    No cycle may read and write one word.

    Parameters
    ----------
    m : Module
        Gets the primitives.
    name : str
        Prefix of their names.
    parts : int
        Of a word; one of `PARTS`.
    read, write : Value
        Enables.
    read_address : Value
        Number of the part in the lowest bits, that of the word above.
    write_address, write_data : Value
        Number of the word, and its parts, the first one lowest.

    Returns
    -------
    Value
        The part that was read two cycles ago, or the last one that was.
    """
    width, bytes_ = len(write_data) // parts, BLOCK_BYTES // parts
    bits, found = 9 * bytes_, []
    for number, low in enumerate(range(0, width, bits)):
        taken = min(bits, width - low)
        cut = [Cat(write_data[part * width + low :][:taken], Const(0, bits - taken)) for part in range(parts)]
        data, parity = Cat(one[: 8 * bytes_] for one in cut), Cat(one[8 * bytes_ :] for one in cut)
        word = Signal(32, name=f"{name}_{number}_word")
        ninth = Signal(4, name=f"{name}_{number}_ninth")
        found.append(Cat(word[: 8 * bytes_], ninth[:bytes_])[:taken])
        m.submodules[f"{name}_{number}"] = Instance(
            "RAMB36E2",
            p_CLOCK_DOMAINS="COMMON", p_WRITE_MODE_A="READ_FIRST", p_WRITE_MODE_B="READ_FIRST",
            p_READ_WIDTH_A=bits, p_WRITE_WIDTH_A=0, p_READ_WIDTH_B=0, p_WRITE_WIDTH_B=9 * BLOCK_BYTES,
            p_DOA_REG=1, p_DOB_REG=0,
            i_CLKARDCLK=ClockSignal(), i_CLKBWRCLK=ClockSignal(), i_SLEEP=Const(0, 1),
            i_ADDRENA=Const(1, 1), i_ADDRARDADDR=_address(read_address, 3 + exact_log2(bytes_)),
            i_ADDRENB=Const(1, 1), i_ADDRBWRADDR=_address(write_address, 3 + exact_log2(BLOCK_BYTES)),
            i_ENARDEN=read, i_WEA=Const(0, 4), i_ENBWREN=write, i_WEBWE=Const(0xFF, BLOCK_BYTES),
            i_REGCEAREGCE=Const(1, 1), i_REGCEB=Const(0, 1),
            i_RSTRAMARSTRAM=Const(0, 1), i_RSTRAMB=Const(0, 1), i_RSTREGARSTREG=Const(0, 1), i_RSTREGB=Const(0, 1),
            i_DINADIN=data[:32], i_DINBDIN=data[32:], i_DINPADINP=parity[:4], i_DINPBDINP=parity[4:],
            o_DOUTADOUT=word, o_DOUTPADOUTP=ninth,
        )  # fmt: skip
    return Cat(*found)


def _address(word: Value, low: int) -> Value:
    """The address of a port's word, behind `low` bits that the port takes no notice of."""
    return Cat(Const(0, low), word, Const(0, ADDRESS_BITS - low - len(word)))
