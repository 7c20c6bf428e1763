"""The popcounter of attention: AND two words of spikes, count."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Signal, Value

from hw.integers import ceil_div
from hw.parts.adder_tree import tree_sum, tree_sum_latency
from hw.parts.delay import delayed

BLOCK_PAIRS = 18
"""Most pairs a block counts: six leaves of three pairs, a 6-input function at every level."""

BLOCK_LATENCY = 3
"""Leaves, their sixes, and the addition of the two."""


def and_popcount(m: Module, a: Value, b: Value, *, name: str) -> tuple[Value, int]:
    """``popcount(a & b)`` in 6-input functions, a register behind each.

    Three pairs of bits give a two-bit count (the AND is free inside it). The counts' low bits and high bits are
    counted separately, up to six at a time, and added. Wider words are split into equal blocks of at most
    `BLOCK_PAIRS` pairs, added by a registered tree.

    Parameters
    ----------
    m : Module
        Gets the registers (without reset).
    a, b : Value
        Words of equal width.
    name : str
        Prefix of the names.

    Returns
    -------
    Value
        The count of `latency` cycles ago.
    int
        The latency, ``popcount_latency(len(a))``.
    """
    width = len(a)
    size = ceil_div(width, _blocks(width))
    counts = []
    for start in range(0, width, size):
        prefix = f"{name}_{start}"
        pairs = Signal(min(size, width - start), name=f"{prefix}_pairs")
        m.d.comb += pairs.eq(a[start : start + size] & b[start : start + size])
        leaves = ceil_div(len(pairs), 3)
        x, y, z = pairs[:leaves], pairs[leaves : 2 * leaves], pairs[2 * leaves :]
        # Bit-parallel full adders: leaf i counts pairs i, leaves + i and 2 leaves + i.
        low, high = (Signal(leaves, name=f"{prefix}_{kind}", reset_less=True) for kind in ("low", "high"))
        m.d.sync += [low.eq(x ^ y ^ z), high.eq((x & y) | (z & (x ^ y)))]
        lows, highs = (
            _tabulated(m, bits, int.bit_count, limit=leaves, name=f"{bits.name}_count") for bits in (low, high)
        )
        counts.append(_added(m, lows, highs, limit=len(pairs), name=f"{prefix}_count"))
    total = tree_sum(m, counts, name=f"{name}_blocks", registered=True, width=width.bit_length())
    return total, popcount_latency(width)


def popcount_latency(width: int) -> int:
    """Latency of `and_popcount` for words of `width` bits."""
    return BLOCK_LATENCY + tree_sum_latency(_blocks(width))


def _blocks(width: int) -> int:
    """Blocks of at most `BLOCK_PAIRS` pairs in a word."""
    return ceil_div(width, BLOCK_PAIRS)


def _added(m: Module, lows: Signal, highs: Signal, *, limit: int, name: str) -> Value:
    """Registered ``lows + 2 * highs``, at most `limit`: above the lowest bit a function of at most five bits."""
    if limit < 2:  # a single pair: no high count, no bit above the lowest
        return delayed(m, lows, 1, name=name)
    upper_bits = len(lows) - 1

    def upper(inputs: int) -> int:
        return (inputs & (1 << upper_bits) - 1) + (inputs >> upper_bits)

    sum_above = _tabulated(m, Cat(lows[1:], highs), upper, limit=limit >> 1, name=f"{name}_upper")
    return Cat(delayed(m, lows[0], 1, name=f"{name}_lowest"), sum_above)


def _tabulated(m: Module, inputs: Value, function: Callable[[int], int], *, limit: int, name: str) -> Signal:
    """Registered `function` of up to six bits, 0 to `limit`; a table, one LUT, for each bit of the result."""
    result = Signal(range(limit + 1), name=name, reset_less=True)
    entries = 1 << len(inputs)
    for place in range(len(result)):
        table = sum(1 << i for i in range(entries) if function(i) >> place & 1)
        m.d.sync += result[place].eq(Const(table, entries).bit_select(inputs, 1))
    return result
