"""Adds spikes to the integers of the residual stream, bit-plane by bit-plane."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import HardwareConfig
from .isa import ADDRESS_BITS
from .spike_memory import SpikeWrite


class ResidualAdder(wiring.Component):
    """``x = x + spike`` on residual integers stored as bit-planes.

    A word holds one bit-plane of many integers. From the lowest plane up, the plane is read, a row of half adders adds
    the carry (at first the spikes) and it is written back. The last plane written may be a new one.

    A word takes ``planes_out`` cycles; the next one may come that many cycles later, no sooner. The last write leaves
    ``latency(planes_out)`` cycles after the word.

    Parameters
    ----------
    config : HardwareConfig
        Gives the word.

    Members
    -------
    valid : In(1), address : In(20), spikes : In(group_bits)
        A word of spikes and the address of its lowest plane.
    planes_in, planes_out : In(4)
        Planes before and after the addition; a plane at or above `planes_in` is taken as zero.
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
                "planes_in": In(4),
                "planes_out": In(4),
                "plane_stride": In(ADDRESS_BITS),
                "read_address": Out(ADDRESS_BITS),
                "read_data": In(unsigned(config.group_bits)),
                "write": Out(SpikeWrite(config, ADDRESS_BITS)),
            }
        )

    @staticmethod
    def latency(planes_out: int) -> int:
        """Cycles from a word to its last write."""
        return planes_out + 1

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
        first, exists, adding, at = Signal(), Signal(), Signal(), Signal(ADDRESS_BITS)
        arriving, addend, old = Signal.like(spikes), Signal.like(spikes), Signal.like(spikes)
        m.d.sync += [
            first.eq(plane == 0),
            exists.eq(plane < self.planes_in),
            arriving.eq(spikes),
            at.eq(address),
            adding.eq(reading),
            carry.eq(old & addend),
        ]
        m.d.comb += [
            addend.eq(Mux(first, arriving, carry)),
            old.eq(Mux(exists, self.read_data, 0)),
            self.write.valid.eq(adding),
            self.write.address.eq(at),
            self.write.banks.eq((1 << self._config.positions) - 1),
            self.write.data.eq(old ^ addend),
        ]
        return m
