"""Adder trees of unsigned terms with up to three children per node: one LUT per bit of a node on UltraScale+."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed

from hw.parts.carry_chain import MOST_TERMS as CHILDREN
from hw.parts.carry_chain import add_three
from hw.parts.technology import Technology
from hw.parts.tree import join_levels, tree_levels

Bounded = tuple[Value, int]
"""A value and the most that it can be."""


def ternary_tree_latency(terms: int) -> int:
    """Cycles from the terms of a `ternary_tree` to its sum."""
    return tree_levels(terms, CHILDREN)


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

    Every level is a register without reset: a new sum every cycle.

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
        The signed sum, ``ternary_tree_latency(len(terms))`` cycles later.

    Raises
    ------
    ValueError
        If `offset` does not lie on top of a child.
    """

    def join(children: Sequence[Bounded], place: str) -> Bounded:
        most = sum(bound for _, bound in children)
        node = Signal(most.bit_length(), name=f"{name}_{place}", reset_less=True)
        _add(m, node, [child for child, _ in children], technology)
        return node, most

    nodes = join_levels([(term, largest) for term in terms], CHILDREN, join, left=CHILDREN)
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
