"""Adder trees with stated widths."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Shape, Signal, Value, signed, unsigned

from hw.parts.tree import join_levels, tree_levels

CHILDREN = 2
"""Of a node: one carry chain."""


def tree_sum_latency(terms: int) -> int:
    """Cycles from the terms of a registered `tree_sum` to its sum."""
    return tree_levels(terms, CHILDREN)


def tree_sum(m: Module, terms: Sequence[Value], *, name: str, registered: bool, width: int | None = None) -> Value:
    """Sum of `terms` by a balanced binary tree; Python's ``sum`` would grow one bit per term.

    A node is one bit wider than its wider child, signed if a term is signed, and at most `width` bits.

    Parameters
    ----------
    m : Module
        Gets the nodes.
    terms : sequence of Value
        At least one.
    name : str
        Prefix of the nodes' names.
    registered : bool
        A register behind every level (without reset), one sum per cycle; else combinational.
    width : int, optional
        Bits that hold the total of all terms, where that is known to be less than the tree's growth. Nodes are cut
        to it: sums modulo ``2**width``, so only the total has to fit.

    Returns
    -------
    Value
        The sum, if registered ``tree_sum_latency(len(terms))`` cycles later.

    Raises
    ------
    ValueError
        If there are no terms.
    """
    if not terms:
        raise ValueError(f"an adder tree needs at least one term ({name})")
    is_signed = any(Shape.cast(term.shape()).signed for term in terms)

    def join(children: Sequence[Value], place: str) -> Value:
        bits = max(_bits(child, is_signed) for child in children) + len(children) - 1
        bits = bits if width is None else min(bits, width)
        node = Signal(signed(bits) if is_signed else unsigned(bits), name=f"{name}_{place}", reset_less=True)
        total = node.eq(children[0] + children[1] if len(children) == CHILDREN else children[0])
        m.d["sync" if registered else "comb"] += total
        return node

    return join_levels(terms, CHILDREN, join)[0]


def _bits(value: Value, is_signed: bool) -> int:
    """Width of `value` in a tree that is signed or not."""
    shape = Shape.cast(value.shape())
    return shape.width + (is_signed and not shape.signed)
