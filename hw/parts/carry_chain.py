"""Arithmetic that fills the LUTs of UltraScale+ where synthesis leaves half of each empty, and its portable twins.

A bit of a carry chain has a LUT with two outputs in front of it: O6 says whether the bit propagates its carry, O5 (or
any other signal) what the carry becomes if not. Both are functions of the same five inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amaranth.hdl import Cat, Const, Instance, Module, Mux, Signal, Value

from hw.integers import ceil_div
from hw.parts.technology import Technology

CARRY_BITS = 8
"""Bits of a CARRY8."""

MOST_TERMS = 3
"""Most terms that a carry chain adds."""


def add_three(
    m: Module,
    terms: Sequence[Value],
    bits: int,
    *,
    name: str,
    technology: Technology,
    keep_first: Value | None = None,
    join_first: Value | None = None,
) -> Value:
    """Combinational sum of three values modulo ``2**bits``, one LUT per bit on UltraScale+.

    Parameters
    ----------
    m : Module
        Gets the logic.
    terms : sequence of Value
        Up to three, unsigned; a signed one must be as wide as the sum.
    bits : int
        Width of the sum.
    name : str
        Prefix of names.
    technology : Technology
        What it is made of.
    keep_first : Value, optional
        One bit; where it is 0 the first term counts as 0, at no cost.
    join_first : Value, optional
        Instead: as wide as the first term, which it joins bit by bit (OR), at no cost.

    Returns
    -------
    Value
        Unsigned, `bits` wide.
    """
    if technology is Technology.PORTABLE or len(terms) < MOST_TERMS:
        total = terms[0]
        if keep_first is not None:
            total = total & keep_first.replicate(len(total))
        if join_first is not None:
            total = total | join_first
        for term in terms[1:]:
            total = total + term
        return total[:bits]
    # Per bit one dual-output LUT: O5 is the majority of the three bits, which is this column's carry-save bit for the
    # next one; O6 is the parity of the three and of the column before's carry-save bit. The carry chain adds the two.
    joins = join_first is not None
    parity, majority = (_JOINED_PARITY, _JOINED_MAJORITY) if joins else (_KEPT_PARITY, _KEPT_MAJORITY)
    propagate, generate = Signal(bits, name=f"{name}_propagate"), Signal(bits, name=f"{name}_generate")
    saved: Value = Const(0, 1)
    for bit in range(bits):
        column = [term[bit] for term in terms if bit < len(term)]
        fifth: Value = Const(0 if joins else 1, 1)
        if bit < len(terms[0]):
            fifth = join_first[bit] if join_first is not None else fifth if keep_first is None else keep_first
        m.d.comb += generate[bit].eq(saved)
        if len(column) < 2:
            only = (Cat(column) | fifth if joins else Cat(column) & fifth) if column else Const(0, 1)
            m.d.comb += propagate[bit].eq(only ^ saved)
            saved = Const(0, 1)
            continue
        carry = Signal(name=f"{name}_saved_{bit}")
        padded = [*column, *[Const(0, 1)] * (MOST_TERMS - len(column)), saved, fifth]
        _dual_lut(m, f"{name}_{bit}", padded, upper=parity, lower=majority, o6=propagate[bit], o5=carry)
        saved = carry
    return carry_chain(m, propagate, generate, Const(0, 1), name=name)[0]


def add_or_subtract(m: Module, a: Value, b: Value, subtract: Value, *, name: str, technology: Technology) -> Value:
    """``a - b`` if `subtract` is set, else ``a + b``, modulo the width of both; one LUT per bit.

    The one that two's complement adds enters through the chain's carry input, which synthesis would make a bit of its
    own.
    """
    changed = b ^ subtract.replicate(len(b))
    if technology is Technology.PORTABLE:
        return (Cat(Const(1, 1), a) + Cat(subtract, changed))[1 : len(a) + 1]
    return carry_chain(m, a ^ changed, a, subtract, name=name)[0]


def at_least(m: Module, a: Value, b: Value, *, name: str, technology: Technology) -> Value:
    """Whether signed `a` is not below signed `b`, of equal widths; one LUT for two bits on UltraScale+."""
    if technology is Technology.PORTABLE:
        return a.as_signed() >= b.as_signed()
    # The bit of the sign counts negatively: there the two change places.
    ones, others = Cat(a[:-1], b[-1]), Cat(b[:-1], a[-1])
    pairs = ceil_div(len(ones), 2)
    equal, above = Signal(pairs, name=f"{name}_equal"), Signal(pairs, name=f"{name}_above")
    for pair in range(pairs):
        inputs = [
            value[place] if place < len(value) else Const(0, 1)
            for place in (2 * pair, 2 * pair + 1)
            for value in (ones, others)
        ]
        _dual_lut(
            m, f"{name}_{pair}", [*inputs, Const(0, 1)], upper=_EQUAL, lower=_ABOVE, o6=equal[pair], o5=above[pair]
        )  # fmt: skip
    return carry_chain(m, equal, above, Const(1, 1), name=name)[1]


def shift_unless(m: Module, value: Value, stays: Value, *, name: str, technology: Technology) -> Value:
    """`value` without its lowest bit or, where `stays` is set, without its highest; one LUT for two bits."""
    if technology is Technology.PORTABLE:
        return Mux(stays, value[:-1], value[1:])
    bits = len(value) - 1
    shifted = Signal(bits + bits % 2, name=name)
    for low in range(0, bits, 2):
        inputs = [*Cat(value[low : low + 3], Const(0, 1))[:3], stays, Const(0, 1)]
        o5, o6 = shifted[low], shifted[low + 1]
        _dual_lut(m, f"{name}_{low}", inputs, upper=_UPPER_NEIGHBOUR, lower=_LOWER_NEIGHBOUR, o6=o6, o5=o5)
    return shifted[:bits]


def carry_chain(m: Module, propagate: Value, generate: Value, carry_in: Value, *, name: str) -> tuple[Value, Value]:
    """CARRY8 primitives: the sum bits, ``propagate ^ carry``, and the last carry.

    A bit's carry is the one before where `propagate` is set, else `generate`.
    """
    bits = len(propagate)
    total = Signal(bits, name=f"{name}_sum")
    for low in range(0, bits, CARRY_BITS):
        part = slice(low, min(low + CARRY_BITS, bits))
        padding = Const(0, low + CARRY_BITS - part.stop)
        sums = Signal(CARRY_BITS, name=f"{name}_sums_{low}")
        carries = Signal(CARRY_BITS, name=f"{name}_carries_{low}")
        m.submodules[f"{name}_carry_{low}"] = Instance(
            "CARRY8",
            i_CI=carry_in,
            i_CI_TOP=Const(0, 1),
            i_S=Cat(propagate[part], padding),
            i_DI=Cat(generate[part], padding),
            o_O=sums,
            o_CO=carries,
        )
        m.d.comb += total[part].eq(sums)
        carry_in = carries[part.stop - 1 - low]
    return total, carry_in


def _dual_lut(m: Module, name: str, inputs: Sequence[Value], *, upper: int, lower: int, o6: Value, o5: Value) -> None:
    """A LUT6_2 of two functions of the same five inputs."""
    m.submodules[name] = Instance(
        "LUT6_2",
        p_INIT=Const(upper << 32 | lower, 64),
        **{f"i_I{i}": value for i, value in enumerate([*inputs, Const(1, 1)])},
        o_O6=o6,
        o_O5=o5,
    )


def _table(function: Callable[[int, int, int, int, int], int]) -> int:
    """Truth table over the inputs I0 to I4."""
    return sum(function(*(index >> i & 1 for i in range(5))) << index for index in range(32))


_KEPT_PARITY = _table(lambda a, b, c, saved, keep: a & keep ^ b ^ c ^ saved)
_KEPT_MAJORITY = _table(lambda a, b, c, saved, keep: int((a & keep) + b + c >= 2))
_JOINED_PARITY = _table(lambda a, b, c, saved, other: (a | other) ^ b ^ c ^ saved)
_JOINED_MAJORITY = _table(lambda a, b, c, saved, other: int((a | other) + b + c >= 2))
_LOWER_NEIGHBOUR = _table(lambda a, b, c, stays, _: a if stays else b)
_UPPER_NEIGHBOUR = _table(lambda a, b, c, stays, _: b if stays else c)
_EQUAL = _table(lambda a0, b0, a1, b1, _: int((a0, a1) == (b0, b1)))
_ABOVE = _table(lambda a0, b0, a1, b1, _: int((a1, a0) > (b1, b0)))
