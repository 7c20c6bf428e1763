"""AXI as interfaces: the memory master's channels, the register slave, and how a port is handed on."""

from __future__ import annotations

import enum

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.external.memory_port import BYTE_ADDRESS_BITS

ID_BITS = 1
"""Width of a transaction's number; it is always 0, so everything stays in order."""

INCR = 0b01
"""ARBURST, AWBURST: the address rises from beat to beat."""

BUFFERABLE_MODIFIABLE = 0b0011
"""ARCACHE, AWCACHE: what interconnects expect of ordinary memory; they may merge and widen."""

BOUNDARY_BYTES = 4096
"""No burst may cross a multiple of this."""


class Response(enum.IntEnum):
    """RRESP, BRESP."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


def _address_channel(prefix: str) -> dict[str, wiring.Member]:
    widths = {
        "id": ID_BITS, "addr": BYTE_ADDRESS_BITS, "len": 8, "size": 3, "burst": 2, "lock": 1, "cache": 4, "prot": 3,
        "qos": 4, "valid": 1,
    }  # fmt: skip
    return {prefix + name: Out(width) for name, width in widths.items()} | {f"{prefix}ready": In(1)}


class Axi4Read(wiring.Signature):
    """Read channels of an AXI4 master, ``ar*`` and ``r*``, with the names of the specification.

    Parameters
    ----------
    data_bits : int
        Width of a beat.
    """

    def __init__(self, data_bits: int):
        super().__init__(
            _address_channel("ar")
            | {"rid": In(ID_BITS), "rdata": In(data_bits), "rresp": In(2), "rlast": In(1), "rvalid": In(1)}
            | {"rready": Out(1)}
        )


class Axi4Write(wiring.Signature):
    """Write channels of an AXI4 master, ``aw*``, ``w*`` and ``b*``.

    Parameters
    ----------
    data_bits : int
        Width of a beat.
    """

    def __init__(self, data_bits: int):
        super().__init__(
            _address_channel("aw")
            | {"wdata": Out(data_bits), "wstrb": Out(data_bits // 8), "wlast": Out(1), "wvalid": Out(1)}
            | {"wready": In(1), "bid": In(ID_BITS), "bresp": In(2), "bvalid": In(1), "bready": Out(1)}
        )


class Axi4(wiring.Signature):
    """All channels of an AXI4 master: `Axi4Read` and `Axi4Write` side by side.

    Parameters
    ----------
    data_bits : int
        Width of a beat.
    """

    def __init__(self, data_bits: int):
        super().__init__({**Axi4Read(data_bits).members, **Axi4Write(data_bits).members})


class AxiLite(wiring.Signature):
    """An AXI4-Lite master with 32-bit data; a slave's port is this flipped.

    Parameters
    ----------
    address_bits : int
        Width of a byte address.
    """

    def __init__(self, address_bits: int):
        super().__init__(
            {
                "awaddr": Out(address_bits),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(address_bits),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


def hand_on(m: Module, outer: wiring.FlippedInterface, inner: wiring.PureInterface) -> None:
    """Connect a component's own master port `outer` to a child's port `inner`, which may be a part of it.

    Parameters
    ----------
    m : Module
    outer, inner : interface
        Members are matched by name; `inner` says which there are.
    """
    for name, member in inner.signature.members.items():
        here, there = getattr(outer, name), getattr(inner, name)
        m.d.comb += here.eq(there) if member.flow is Out else there.eq(here)
