"""Small memories with asynchronous read in LUTs, and how an FPGA family is told to pack them."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value, unsigned
from amaranth.lib import memory

from hw.integers import ceil_div
from hw.parts.technology import Technology

PRIMITIVE_DEPTH = 32
"""Words of a RAM32M16."""

PORT_BITS = 2
"""Bits of one of its ports."""

PORTS = "ABCDEFGH"
"""Its ports; the last one's address is also the write address."""


class LutRam:
    """Memories of one depth, all written at one address in the same cycle, each read at any number of addresses.

    Reading is asynchronous and sees what was written in earlier cycles. All words are 0 at power-on.

    Inferred, every read port of a table costs a RAM32M16 (8 LUTs) of its own, 14 bits wide. Its ports are 2 bits wide
    with addresses and data inputs of their own, and only the write address and enable in common: since these are the
    same for all the memories here, the reads of all of them are cut into 2 bits and laid side by side, 7 to a
    primitive, or all 8 where everything is read at the write address.

    Parameters
    ----------
    m : Module
        Gets the memories.
    name : str
        Prefix of the names.
    depth : int
        Words, at most `PRIMITIVE_DEPTH`.
    write_address, write_enable : Signal
        Where and whether all the memories are written.
    single_port : bool
        Reads are at the write address only.
    technology : Technology
        What it is made of.
    """

    def __init__(
        self,
        m: Module,
        *,
        name: str,
        depth: int,
        write_address: Signal,
        write_enable: Signal,
        single_port: bool = False,
        technology: Technology,
    ):
        if depth > PRIMITIVE_DEPTH:
            raise ValueError(f"a LUT RAM here has at most {PRIMITIVE_DEPTH} words, not {depth} ({name})")
        self._m, self._name, self._depth, self._technology = m, name, depth, technology
        self._write_address, self._write_enable, self._single_port = write_address, write_enable, single_port
        self._memories: list[tuple[memory.Memory | None, Signal]] = []
        self._ports: list[tuple[Value, Value, Value]] = []

    def add(self, written: Signal) -> int:
        """Another memory.

        Parameters
        ----------
        written : Signal
            Its write data, which gives its width.

        Returns
        -------
        int
            What `read` calls it.
        """
        number, ram = len(self._memories), None
        if self._technology is Technology.PORTABLE:
            ram = memory.Memory(shape=unsigned(len(written)), depth=self._depth, init=[])
            self._m.submodules[f"{self._name}_{number}"] = ram
            port = ram.write_port()
            self._m.d.comb += [
                port.addr.eq(self._write_address),
                port.data.eq(written),
                port.en.eq(self._write_enable),
            ]
        self._memories.append((ram, written))
        return number

    def read(self, number: int, address: Value | None = None) -> Value:
        """Unsigned word of memory `number` at `address`, or at the write address if that is the only one."""
        if (address is None) != self._single_port:
            raise ValueError(f"{self._name} is read at {'the write address' if self._single_port else 'any address'}")
        ram, written = self._memories[number]
        address = self._write_address if address is None else address
        if ram is not None:
            port = ram.read_port(domain="comb")
            self._m.d.comb += port.addr.eq(address)
            return port.data
        pieces = ceil_div(len(written), PORT_BITS)
        word = Signal(pieces * PORT_BITS, name=f"{self._name}_{number}_{len(self._ports)}")
        for piece in range(pieces):
            bits = slice(piece * PORT_BITS, (piece + 1) * PORT_BITS)
            self._ports.append((written[bits], address, word[bits]))
        return word[: len(written)]

    def pack(self) -> None:
        """Make the primitives, behind the last read; nothing to do for inferred memories."""
        usable = len(PORTS) if self._single_port else len(PORTS) - 1
        for first in range(0, len(self._ports), usable):
            connections: dict[str, Value] = {
                "i_WCLK": ClockSignal(),
                "i_WE": self._write_enable,
                "i_ADDRH": _extended(self._write_address, (PRIMITIVE_DEPTH - 1).bit_length()),
                "i_DIH": Const(0, PORT_BITS),
            }
            for letter, (written, address, word) in zip(PORTS, self._ports[first : first + usable], strict=False):
                connections |= {
                    f"i_DI{letter}": _extended(written, PORT_BITS),
                    f"i_ADDR{letter}": _extended(address, (PRIMITIVE_DEPTH - 1).bit_length()),
                    f"o_DO{letter}": word,
                }
            self._m.submodules[f"{self._name}_ram_{first // usable}"] = Instance("RAM32M16", **connections)


def _extended(value: Value, bits: int) -> Value:
    """`value` with zeros on top."""
    return Cat(value, Const(0, bits - len(value))) if len(value) < bits else value
