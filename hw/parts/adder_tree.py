"""Adder trees with stated widths."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Shape, Signal, Value, signed, unsigned


def tree_levels(terms: int) -> int:
    """Levels of a binary tree over `terms` values: the latency of a registered one."""
    return (terms - 1).bit_length()


def tree_sum(
    m: Module, terms: Sequence[Value], *, name: str, registered: bool, width: int | None = None
) -> tuple[Value, int]:
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
        The sum, of `latency` cycles ago.
    int
        The latency: ``tree_levels(len(terms))`` if registered, else 0.

    Raises
    ------
    ValueError
        If there are no terms.
    """
    if not terms:
        raise ValueError(f"an adder tree needs at least one term ({name})")
    is_signed = any(Shape.cast(term.shape()).signed for term in terms)
    domain = m.d.sync if registered else m.d.comb
    level, nodes = 0, list(terms)
    while len(nodes) > 1:
        following: list[Value] = []
        for i in range(0, len(nodes), 2):
            children = nodes[i : i + 2]
            bits = max(_bits(child, is_signed) for child in children) + len(children) - 1
            bits = bits if width is None else min(bits, width)
            node = Signal(
                signed(bits) if is_signed else unsigned(bits), name=f"{name}_{level}_{i // 2}", reset_less=True
            )
            total = children[0] + children[1] if len(children) == 2 else children[0]
            domain += node.eq(total)
            following.append(node)
        nodes, level = following, level + 1
    return nodes[0], level if registered else 0


def _bits(value: Value, is_signed: bool) -> int:
    """Width of `value` in a tree that is signed or not."""
    shape = Shape.cast(value.shape())
    return shape.width + (is_signed and not shape.signed)
