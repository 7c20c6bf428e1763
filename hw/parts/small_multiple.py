"""A small multiple of a value, without a multiplier."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned


def multiple(m: Module, value: Value, count: Value, most: int, *, name: str) -> Value:
    """``value * count`` by shifts and additions, combinational: a DSP would be wasted on it.

    Parameters
    ----------
    m : Module
        Gets the signal.
    value : Value
        Signed or unsigned.
    count : Value
        Unsigned, at most `most`; its upper bits are not looked at.
    most : int
        Largest count, at least 1; with 1 the result is `value`.
    name : str
        Of the signal.

    Returns
    -------
    Value
        Of the same signedness.
    """
    if most == 1:
        return value
    width = len(value) + most.bit_length()
    total = Signal(signed(width) if value.shape().signed else unsigned(width), name=name)
    m.d.comb += total.eq(sum(Mux(count[bit], value << bit, 0) for bit in range(most.bit_length())))
    return total
