"""On-chip memory of spikes or of residual bit-planes, one bank per position lane."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.parts.delay import delayed
from hw.parts.dual_port import dual_port_memory
from hw.parts.technology import Technology
from hw.parts.ultra_ram import BYTE_BITS, fits_ultra_ram, ultra_ram

WRITE_LATENCY = 1
"""Cycles from a write on the port to the memory."""


class SpikeWrite(wiring.Signature):
    """One write: a word address, an enable per bank and the word of all banks.

    Members
    -------
    valid : Out(1)
        Write this cycle.
    address : Out(address_bits)
        Word address, the same in every bank.
    banks : Out(positions)
        Banks written.
    pieces : Out(word_pieces)
        Pieces of every bank's time steps that are written.
    data : Out(group_bits)
        ``[positions][timesteps][inputs]``, inputs fastest.
    """

    def __init__(self, config: HardwareConfig, address_bits: int):
        super().__init__(
            {
                "valid": Out(1),
                "address": Out(unsigned(address_bits)),
                "banks": Out(unsigned(config.positions)),
                "pieces": Out(unsigned(config.word_pieces)),
                "data": Out(unsigned(config.group_bits)),
            }
        )


class SpikeMemory(wiring.Component):
    """Banked block RAM or UltraRAM: bank ``b`` holds the positions with ``index % positions == b``.

    Position ``n`` of slice ``s`` lies in bank ``n % positions`` at ``base + s * stride + n // positions``, so any
    ``positions`` consecutive positions come from different banks and a shifted 3x3 tap costs one read.

    Latency is one cycle from address to data; one read and one write per bank and cycle. A write waits `WRITE_LATENCY`
    cycles in a register, for banks are far apart: a read sees it if its address comes later than that. The compiler
    never lets a layer write what it reads, so no cycle reads and writes a word: addresses outside the feature map are
    not read.

    Parameters
    ----------
    config : HardwareConfig
        Gives banks and word width.
    depth : int
        Words per bank.
    technology : Technology
        UltraScale+ has UltraRAM for large ones.

    Members
    -------
    reads : In(positions), read_addresses : In(ArrayLayout(address_bits, positions))
        Which banks are read, and the word address in each.
    read_data : Out(group_bits)
        The words read one cycle ago, bank 0 lowest.
    write : In(SpikeWrite)
        The write port.
    """

    def __init__(self, config: HardwareConfig, depth: int, *, technology: Technology = Technology.PORTABLE):
        self._config, self._depth, self._technology = config, depth, technology
        bits = address_bits(depth)
        super().__init__(
            {
                "reads": In(unsigned(config.positions)),
                "read_addresses": In(data.ArrayLayout(unsigned(bits), config.positions)),
                "read_data": Out(unsigned(config.group_bits)),
                "write": In(SpikeWrite(config, bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        width = config.group_bits // config.positions
        ultra = fits_ultra_ram(width, self._depth, config.piece, self._technology)
        late = {
            name: delayed(m, getattr(self.write, name), WRITE_LATENCY, name=f"write_{name}", reset=name == "valid")
            for name in self.write.signature.members
        }
        for bank in range(config.positions):
            enabled = late["valid"] & late["banks"][bank]
            enables = Mux(enabled, late["pieces"].replicate(config.timesteps), 0)
            write_data = late["data"].word_select(bank, width)
            if ultra:
                bytes_ = Cat(enable.replicate(config.piece // BYTE_BITS) for enable in enables)
                word = ultra_ram(
                    m, name=f"bank{bank}", depth=self._depth, read=self.reads[bank],
                    read_address=self.read_addresses[bank], write_address=late["address"], write_data=write_data,
                    enables=bytes_,
                )  # fmt: skip
                m.d.comb += self.read_data.word_select(bank, width).eq(word)
                continue
            read, write = dual_port_memory(
                m, name=f"bank{bank}", width=width, depth=self._depth, granularity=config.piece, written_first=True
            )
            m.d.comb += [
                read.en.eq(self.reads[bank]),
                read.addr.eq(self.read_addresses[bank]),
                self.read_data.word_select(bank, width).eq(read.data),
                write.addr.eq(late["address"]),
                write.data.eq(write_data),
                write.en.eq(enables),
            ]
        return m


def from_piece_on(pieces: Value) -> Value:
    """The piece of a word, one bit, and those above it.

    A layer writes the pieces of its words in rising order. Written like this, pieces that it has no channels for hold
    spikes, whichever, instead of what was there before: zero weights take no notice of either, but in four-state logic
    what was never written is X, and so is all that it addresses.
    """
    return Cat(pieces[: piece + 1].any() for piece in range(len(pieces)))


def address_bits(depth: int) -> int:
    """Bits of an address into `depth` words."""
    return max(1, (depth - 1).bit_length())
