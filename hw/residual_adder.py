"""Joins spikes to the integers of the residual stream, bit-plane by bit-plane."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import HardwareConfig
from .isa import ADDRESS_BITS, ResidualMode
from .spike_memory import SpikeWrite


class ResidualAdder(wiring.Component):
    """``x + spike``, ``min(x + spike, 3)`` or ``x AND NOT spike`` on residual integers stored as bit-planes.

    A word holds one bit-plane of many integers. From the lowest plane up, one per cycle, a plane is read and written
    back.

    ``ADD``: a row of half adders adds the carry (at first the spikes). The last plane written may be a new one.

    ``CLAMP``: the same on two planes. A carry out of plane 1, of integers that were 3, sets both planes again. Plane 0
    can only be written when plane 1 was read, so both writes come one cycle later.

    ``IAND``: one plane, in which the spikes clear bits.

    A word takes ``planes_out`` cycles; the next one may come that many cycles later, no sooner. The last write leaves
    ``latency(planes_out, mode)`` cycles after the word.

    Parameters
    ----------
    config : HardwareConfig
        Gives the word.

    Members
    -------
    valid : In(1), address : In(20), spikes : In(group_bits)
        A word of spikes and the address of its lowest plane.
    mode : In(ResidualMode)
        Held still, with the plane counts and the stride, until the last write.
    planes_in, planes_out : In(4)
        Planes before and after; a plane at or above `planes_in` is taken as zero. `planes_out` is 2 for ``CLAMP`` and
        both are 1 for ``IAND``.
    plane_stride : In(20)
        Address distance of planes.
    read_address : Out(20), read_data : In(group_bits)
        Residual memory, one cycle of latency.
    write : Out(SpikeWrite)
        Residual memory.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "valid": In(1),
                "address": In(ADDRESS_BITS),
                "spikes": In(unsigned(config.group_bits)),
                "mode": In(ResidualMode),
                "planes_in": In(4),
                "planes_out": In(4),
                "plane_stride": In(ADDRESS_BITS),
                "read_address": Out(ADDRESS_BITS),
                "read_data": In(unsigned(config.group_bits)),
                "write": Out(SpikeWrite(config, ADDRESS_BITS)),
            }
        )

    @staticmethod
    def latency(planes_out: int, mode: ResidualMode = ResidualMode.ADD) -> int:
        """Cycles from a word to its last write."""
        return planes_out + 1 + (mode == ResidualMode.CLAMP)

    def elaborate(self, platform):
        m = Module()
        spikes, carry = Signal(self._config.group_bits), Signal(self._config.group_bits)
        address, plane, reading = Signal(ADDRESS_BITS), Signal(4), Signal()
        with m.If(reading):
            m.d.sync += [address.eq(address + self.plane_stride), plane.eq(plane + 1)]
            with m.If(plane == self.planes_out - 1):
                m.d.sync += reading.eq(0)
        with m.If(self.valid):
            m.d.sync += [reading.eq(1), plane.eq(0), address.eq(self.address), spikes.eq(self.spikes)]
        m.d.comb += self.read_address.eq(address)

        # One cycle later, beside the memory's data. The next word may already be in `spikes`.
        first, exists, joining, at = Signal(), Signal(), Signal(), Signal(ADDRESS_BITS)
        arriving, addend, old, carry_out = (Signal.like(spikes) for _ in range(4))
        m.d.sync += [
            first.eq(plane == 0),
            exists.eq(plane < self.planes_in),
            arriving.eq(spikes),
            at.eq(address),
            joining.eq(reading),
            carry.eq(carry_out),
        ]
        m.d.comb += [
            addend.eq(Mux(first, arriving, carry)),
            old.eq(Mux(exists, self.read_data, 0)),
            carry_out.eq(old & addend),
        ]

        # Another cycle later, for the clamp: a plane's sum beside the carry out of plane 1, which for plane 0 is just
        # being made and for plane 1 was made a cycle ago.
        held_first, held_joining, held_at, held = Signal(), Signal(), Signal(ADDRESS_BITS), Signal.like(spikes)
        m.d.sync += [held_first.eq(first), held_joining.eq(joining), held_at.eq(at), held.eq(old ^ addend)]

        write = self.write
        m.d.comb += [
            write.valid.eq(joining),
            write.address.eq(at),
            write.banks.eq((1 << self._config.positions) - 1),
            write.data.eq(old ^ addend),
        ]
        with m.If(self.mode == ResidualMode.CLAMP):
            m.d.comb += [
                write.valid.eq(held_joining),
                write.address.eq(held_at),
                write.data.eq(held | Mux(held_first, carry_out, carry)),
            ]
        with m.Elif(self.mode == ResidualMode.IAND):
            m.d.comb += write.data.eq(old & ~arriving)
        return m
