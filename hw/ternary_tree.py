"""Adder trees of unsigned terms with up to three children per node: one LUT per bit of a node on UltraScale+."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from amaranth.hdl import Cat, Const, Instance, Module, Signal, Value, signed

from .lut_ram import Technology

CHILDREN = 3
"""Most terms that a node adds."""

CARRY_BITS = 8
"""Bits of a CARRY8."""


def ternary_levels(terms: int) -> int:
    """Levels of a tree over `terms` values: its latency."""
    levels = 0
    while terms > 1:
        terms, levels = -(-terms // CHILDREN), levels + 1
    return levels


def ternary_tree(
    m: Module,
    terms: Sequence[Value],
    *,
    largest: int,
    offset: int,
    subtract: Value,
    name: str,
    technology: Technology,
) -> Value:
    """Sum of `terms`, less `offset` if `subtract` is set.

    Every level is a register without reset: a new sum every cycle, ``ternary_levels(len(terms))`` cycles later.

    Parameters
    ----------
    m : Module
        Gets the nodes.
    terms : sequence of Value
        At least two, unsigned.
    largest : int
        Largest value of a term.
    offset : int
        A power of two above the largest value of some child of the last node: subtracting it there only fills in bits
        on top of that child.
    subtract : Value
        One bit, given in the cycle before the sum.
    name : str
        Prefix of the nodes' names.
    technology : Technology
        What the nodes are made of.

    Returns
    -------
    Value
        The signed sum.
    """
    level, nodes = 0, [(term, largest) for term in terms]
    while len(nodes) > CHILDREN:
        count = -(-len(nodes) // CHILDREN)
        following = []
        for i in range(count):
            children = nodes[i * len(nodes) // count : (i + 1) * len(nodes) // count]
            most = sum(bound for _, bound in children)
            node = Signal(most.bit_length(), name=f"{name}_{level}_{i}", reset_less=True)
            _add(m, node, [child for child, _ in children], technology)
            following.append((node, most))
        nodes, level = following, level + 1
    (least, bound), *others = sorted(nodes, key=lambda child: child[1])
    high = offset.bit_length() - 1
    if not others or offset != 1 << high or bound >= offset:
        raise ValueError(f"an offset of {offset} does not lie on top of a child of at most {bound} ({name})")
    total = Signal(signed(max(high, (largest * len(terms)).bit_length()) + 1), name=f"{name}_total", reset_less=True)
    spread = Cat(least, Const(0, high - len(least)), subtract.replicate(len(total) - high))
    _add(m, total, [*(child for child, _ in others), spread], technology)
    return total


def _add(m: Module, node: Signal, children: Sequence[Value], technology: Technology) -> None:
    """Register the sum of two or three values, cut to the node's width."""
    if len(children) < CHILDREN or technology is Technology.PORTABLE:
        total = children[0]
        for child in children[1:]:
            total = total + child
        m.d.sync += node.eq(total)
        return
    # Per bit one dual-output LUT: O5 is the majority of the three bits, which is this column's carry-save bit for the
    # next one; O6 is the parity of the three and of the column before's carry-save bit. The carry chain adds the two.
    bits = len(node)
    propagate, generate = Signal(bits, name=f"{node.name}_propagate"), Signal(bits, name=f"{node.name}_generate")
    saved: Value = Const(0, 1)
    for bit in range(bits):
        column = [child[bit] for child in children if bit < len(child)]
        m.d.comb += generate[bit].eq(saved)
        if len(column) < 2:
            m.d.comb += propagate[bit].eq(Cat(*column, saved).xor())
            saved = Const(0, 1)
            continue
        carry = Signal(name=f"{node.name}_saved_{bit}")
        inputs = [*column, *[Const(0, 1)] * (CHILDREN - len(column)), saved, Const(0, 1), Const(1, 1)]
        m.submodules[f"{node.name}_{bit}"] = Instance(
            "LUT6_2",
            p_INIT=Const(_PARITY << 32 | _MAJORITY, 64),
            **{f"i_I{i}": value for i, value in enumerate(inputs)},
            o_O6=propagate[bit],
            o_O5=carry,
        )
        saved = carry
    total, carry_in = Signal(bits, name=f"{node.name}_sum"), Const(0, 1)
    for low in range(0, bits, CARRY_BITS):
        part = slice(low, min(low + CARRY_BITS, bits))
        padding = Const(0, low + CARRY_BITS - part.stop)
        sums, carries = Signal(CARRY_BITS, name=f"{node.name}_sums_{low}"), Signal(CARRY_BITS)
        m.submodules[f"{node.name}_carry_{low}"] = Instance(
            "CARRY8",
            i_CI=carry_in,
            i_CI_TOP=Const(0, 1),
            i_S=Cat(propagate[part], padding),
            i_DI=Cat(generate[part], padding),
            o_O=sums,
            o_CO=carries,
        )
        m.d.comb += total[part].eq(sums)
        carry_in = carries[-1]
    m.d.sync += node.eq(total)


def _table(function: Callable[[int, int, int, int], int]) -> int:
    """Truth table over the inputs I0 to I3, the same for each value of I4."""
    return sum(function(*(index >> i & 1 for i in range(4))) << index for index in range(32))


_PARITY = _table(lambda a, b, c, saved: a ^ b ^ c ^ saved)
_MAJORITY = _table(lambda a, b, c, saved: int(a + b + c >= 2))
