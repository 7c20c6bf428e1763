"""Copies the packed image from external memory into the spike memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import MEMORY_BEAT_BITS, HardwareConfig
from .isa import ADDRESS_BITS, DESCRIPTOR
from .memory_port import MEMORY_ADDRESS_BITS, MemoryPort
from .spike_memory import SpikeWrite


class ImageLoad(wiring.Component):
    """One burst of ``weight_beats`` beats; every ``group_beats`` beats are one word of all banks.

    Throughput is one beat per cycle; `done` rises the cycle after the last write.

    Parameters
    ----------
    config : HardwareConfig
        Gives the word.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR), base : In(32)
        The job and the beat address of the image.
    memory : Out(MemoryPort)
        External memory.
    write : Out(SpikeWrite)
        Spike memory, from ``destination_base`` up.
    done : Out(1)
        High when nothing is left to copy.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "base": In(MEMORY_ADDRESS_BITS),
                "memory": Out(MemoryPort()),
                "write": Out(SpikeWrite(config, ADDRESS_BITS)),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, d, request, response = self._config, self.descriptor, self.memory.request, self.memory.response
        requesting, left, address = Signal(), Signal(len(d.weight_beats)), Signal(ADDRESS_BITS)
        with m.If(request.valid & request.ready):
            m.d.sync += requesting.eq(0)
        m.d.comb += [
            request.valid.eq(requesting),
            request.payload.address.eq(self.base + d.memory_address),
            request.payload.length.eq(d.weight_beats - 1),
            response.ready.eq(left != 0),
            self.done.eq((left == 0) & ~self.start),
        ]
        beats, part = config.group_beats, Signal(range(max(2, config.group_beats)))
        gathered = Signal(beats * MEMORY_BEAT_BITS)
        word = Signal(beats * MEMORY_BEAT_BITS)
        m.d.comb += word.eq(Cat(gathered, response.payload)[MEMORY_BEAT_BITS:])
        m.d.comb += [
            self.write.address.eq(address),
            self.write.banks.eq((1 << config.positions) - 1),
            self.write.data.eq(word),
        ]
        with m.If(response.valid & response.ready):
            m.d.sync += [left.eq(left - 1), gathered.eq(word), part.eq(part + 1)]
            with m.If(part == beats - 1):
                m.d.comb += self.write.valid.eq(1)
                m.d.sync += [part.eq(0), address.eq(address + 1)]
        with m.If(self.start):
            m.d.sync += [requesting.eq(1), left.eq(d.weight_beats), address.eq(d.destination_base), part.eq(0)]
        return m
