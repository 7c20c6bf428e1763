"""UltraRAM of UltraScale+ in cascades: deep memories without a multiplexer in LUTs."""

from __future__ import annotations

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Signal, Value

from hw.integers import ceil_div
from hw.parts.dual_port import never_meet
from hw.parts.technology import Technology

ULTRA_WORDS = 4096
"""Words of an UltraRAM."""

BYTE_BITS = 8
"""Bits with a write enable of their own."""

ULTRA_BYTES = 8
"""Bytes of a word in use; a ninth, for parity, is not."""

ADDRESS_BITS = 23
"""Its address: a word's, and above it that of the UltraRAM in its cascade."""

ROW_BITS = 11
"""Bits of the latter."""

CASCADED = {"ADDR": ADDRESS_BITS, "BWE": 9, "DIN": 72, "EN": 1, "RDB_WR": 1, "DOUT": 72, "RDACCESS": 1, "DBITERR": 1,
            "SBITERR": 1}  # fmt: skip
"""What a cascade hands on, for each of the ports A and B, with its width."""


def fits_ultra_ram(width: int, depth: int, piece: int, technology: Technology) -> bool:
    """Whether a memory fills at least one UltraRAM, in width and depth, and its pieces are whole bytes."""
    return (
        technology is Technology.XILINX
        and depth >= ULTRA_WORDS
        and width >= ULTRA_BYTES * BYTE_BITS
        and piece % BYTE_BITS == 0
    )


def ultra_ram(
    m: Module, *, name: str, depth: int, read: Value, read_address: Value, write_address: Value, write_data: Value,
    enables: Value,
) -> Value:  # fmt: skip
    """A memory with a write port and a read port, one cycle of latency: rows of UltraRAMs, a cascade for every 64 bits.

    Every UltraRAM of a cascade compares the upper bits of the address with its row. Addresses, data and what was read
    pass through all of them on wires of their own, without a cycle's delay. Ports A write, ports B read.

    In a cycle that reads and writes one address UltraRAM reads the new word, for ports A come first; other memories may
    read the old one. No cycle does, see `never_meet`. Words are 0 at power-on, and nothing else.

    Parameters
    ----------
    m : Module
        Gets the primitives.
    name : str
        Prefix of their names.
    depth : int
        Words.
    read : Value
        Read enable.
    read_address, write_address : Value
    write_data : Value
        A multiple of 8 bits.
    enables : Value
        A write enable for every 8 bits.

    Returns
    -------
    Value
        The word that was read one cycle ago; anything if none was.
    """
    never_meet(m, name=name, read=read, read_address=read_address, write=enables.any(), write_address=write_address)
    rows = ceil_div(depth, ULTRA_WORDS)
    row_bits = (rows - 1).bit_length()
    word: list[Value] = []
    for column in range(0, len(enables), ULTRA_BYTES):
        bytes_ = enables[column : column + ULTRA_BYTES]
        data = write_data[column * BYTE_BITS : (column + ULTRA_BYTES) * BYTE_BITS]
        into = {
            "A": {"ADDR": write_address, "BWE": bytes_, "DIN": data, "EN": bytes_.any(), "RDB_WR": Const(1, 1)},
            "B": {"ADDR": read_address, "EN": read},
        }
        handed: dict[str, Value] = {}
        for row in range(rows):
            order = "NONE" if rows == 1 else "FIRST" if row == 0 else "LAST" if row == rows - 1 else "MIDDLE"
            pins: dict[str, object] = {"i_CLK": ClockSignal(), "i_SLEEP": Const(0, 1)}
            pins |= {"p_NUM_URAM_IN_MATRIX": rows}
            handing: dict[str, Value] = {}
            for port, given in into.items():
                pins |= {
                    f"p_BWE_MODE_{port}": "PARITY_INDEPENDENT",
                    f"p_CASCADE_ORDER_{port}": order,
                    f"p_NUM_UNIQUE_SELF_ADDR_{port}": rows,
                    f"p_SELF_ADDR_{port}": Const(row, ROW_BITS),
                    f"p_SELF_MASK_{port}": Const((1 << ROW_BITS) - (1 << row_bits), ROW_BITS),
                }
                pins |= {f"i_{pin}_{port}": Const(0, 1) for pin in ("RST", "INJECT_SBITERR", "INJECT_DBITERR")}
                pins |= {f"i_{pin}_{port}": Const(1, 1) for pin in ("OREG_CE", "OREG_ECC_CE")}
                for pin, width in CASCADED.items():
                    if pin in ("ADDR", "BWE", "DIN", "EN", "RDB_WR"):
                        value = given.get(pin, Const(0, 0)) if row == 0 else Const(0, 0)
                        pins[f"i_{pin}_{port}"] = Cat(value, Const(0, width - len(value)))
                    pins[f"i_CAS_IN_{pin}_{port}"] = handed.get(f"{pin}_{port}", Const(0, width))
                    if row < rows - 1:
                        wire = Signal(width, name=f"{name}_{column}_{row}_{pin}_{port}")
                        pins[f"o_CAS_OUT_{pin}_{port}"] = handing[f"{pin}_{port}"] = wire
            handed = handing
            found = Signal(72, name=f"{name}_{column}_{row}_read")
            if row == rows - 1:
                pins["o_DOUT_B"] = found
                word.append(found[: len(data)])
            m.submodules[f"{name}_{column}_{row}"] = Instance("URAM288", **pins)
    return Cat(*word)
