"""Memories with a write port and a read port that never meet in a word."""

from __future__ import annotations

from amaranth.hdl import Assert, Module, Signal, Value, unsigned
from amaranth.lib import memory

WRITTEN_FIRST = "written_first"
"""Mark of a memory of which no word is used before it was written: it is emitted without initial values."""


def dual_port_memory(
    m: Module,
    *,
    name: str,
    width: int,
    depth: int,
    granularity: int | None = None,
    block: bool = False,
    written_first: bool = False,
) -> tuple[memory.ReadPort, memory.WritePort]:
    """A memory with a read port of one cycle's latency and a write port, which `never_meet`.

    Families differ in what a read gives of a word that is written in its cycle: the old word, the new one, or neither.
    So none is asked for, and synthesis spends nothing on one of them (``no_rw_check``). Whoever uses the memory enables
    reads only where what is read is used.

    Parameters
    ----------
    m : Module
        Gets the memory.
    name : str
        Of the memory.
    width, depth : int
        Bits of a word, words.
    granularity : int, optional
        Bits with a write enable of their own; by default there is one for all.
    block : bool
        It must be block RAM, however small it is.
    written_first : bool
        See `WRITTEN_FIRST`.

    Returns
    -------
    ReadPort, WritePort
    """
    attributes: dict[str, int | str] = {"no_rw_check": 1}
    if block:
        attributes["ram_style"] = "block"
    if written_first:
        attributes[WRITTEN_FIRST] = 1
    m.submodules[name] = ram = memory.Memory(shape=unsigned(width), depth=depth, init=[], attrs=attributes)
    read = ram.read_port()
    write = ram.write_port(granularity=granularity)
    never_meet(m, name=name, read=read.en, read_address=read.addr, write=write.en.any(), write_address=write.addr)
    return read, write


def never_meet(m: Module, *, name: str, read: Value, read_address: Value, write: Value, write_address: Value) -> None:
    """Stop every simulation in a cycle that reads and writes one word; synthesis takes no notice.

    Parameters
    ----------
    m : Module
        Module of the memory.
    name : str
        Of the memory.
    read, write : Value
        Whether the word at `read_address` is read, that at `write_address` written, all of it or in part.
    read_address, write_address : Value
    """
    met = Signal(name=f"{name}_met")
    m.d.comb += met.eq(read & write & (read_address == write_address))
    m.d.sync += Assert(~met, f"a word of {name} is read and written in one cycle")
