"""Adder trees of unsigned terms with up to three children per node: one LUT per bit of a node on UltraScale+."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed

from hw.integers import ceil_div
from hw.parts.carry_chain import MOST_TERMS as CHILDREN
from hw.parts.carry_chain import add_three
from hw.parts.technology import Technology


def ternary_levels(terms: int) -> int:
    """Levels of a tree over `terms` values: its latency."""
    levels = 0
    while terms > 1:
        terms, levels = ceil_div(terms, CHILDREN), levels + 1
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
        count = ceil_div(len(nodes), CHILDREN)
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
    m.d.sync += node.eq(add_three(m, children, len(node), name=node.name, technology=technology))
