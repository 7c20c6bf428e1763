"""A delay line, for aligning what travels beside a pipeline."""

from __future__ import annotations

from collections.abc import Collection

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data


def delayed(m: Module, value: Value, cycles: int, *, name: str, reset: bool = False) -> Value:
    """`value` of `cycles` cycles ago.

    Parameters
    ----------
    m : Module
        Gets the registers.
    value : Value
        Plain value, signed or unsigned; for a view give ``view.as_value()``.
    cycles : int
        Length of the line, 0 for a wire.
    name : str
        Prefix of the registers' names.
    reset : bool
        Reset the line to 0, for what must not survive a reset (valid bits). Without it synthesis may use
        shift-register LUTs.
    """
    for cycle in range(1, cycles + 1):
        register = Signal(value.shape(), name=f"{name}_{cycle}", reset_less=not reset)
        m.d.sync += register.eq(value)
        value = register
    return value


def delayed_view(m: Module, view: data.View, cycles: int, *, name: str, reset: Collection[str] = ()) -> data.View:
    """A view of a struct, of `cycles` cycles ago.

    Parameters
    ----------
    m : Module
        Gets the registers.
    view : View
        Its layout is a `StructLayout`.
    cycles : int
        Length of the line, 0 for a wire.
    name : str
        Of the result, and prefix of the registers' names.
    reset : collection of str
        Fields whose lines are reset to 0, see `delayed`.
    """
    late = Signal(view.shape(), name=name)
    for field, _ in view.shape():
        value = Value.cast(view[field])
        m.d.comb += late[field].eq(delayed(m, value, cycles, name=f"{name}_{field}", reset=field in reset))
    return late
