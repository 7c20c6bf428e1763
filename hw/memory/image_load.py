"""Copies the packed image from external memory into the spike memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, DESCRIPTOR
from hw.external.memory_port import BURST_LENGTH_BITS, MEMORY_ADDRESS_BITS, MemoryPort
from hw.memory.spike_memory import SpikeWrite


class ImageLoad(wiring.Component):
    """``weight_beats`` beats, in bursts as long as a request can be; ``group_beats`` beats are one word of all banks.

    The first request is on offer the cycle after `start`, one more in every cycle. A beat a cycle; the last beat of a
    word is written as it comes. `done` rises the cycle after the last beat: ``latency + weight_beats + 1`` cycles after
    `start`, if the first beat can come `latency` cycles after its request.

    Parameters
    ----------
    config : HardwareConfig
        Gives the word and the beat.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR), base : In(32)
        The job and the beat address of the image; sampled with `start`, which comes only while `done`.
    memory : Out(MemoryPort(memory_bits))
        External memory.
    write : Out(SpikeWrite), write_ready : In(1)
        Spike memory, all banks and pieces, from ``destination_base`` up. Without `write_ready` nothing is written, and
        the last beat of a word waits.
    done : Out(1)
        High when nothing is left to copy; low in the cycle of `start`.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "base": In(MEMORY_ADDRESS_BITS),
                "memory": Out(MemoryPort(config.memory_bits)),
                "write": Out(SpikeWrite(config, ADDRESS_BITS)),
                "write_ready": In(1, init=1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, d, request, response = self._config, self.descriptor, self.memory.request, self.memory.response

        # The longest burst leaves the lower bits of the address as they are. What is still to be requested is kept less
        # one, which makes its lower bits the length of the last burst, and its upper ones the number of longest ones.
        source = Signal(MEMORY_ADDRESS_BITS)
        wanted = Signal.like(d.weight_beats)
        asking = Signal()
        longest = wanted[BURST_LENGTH_BITS:]
        m.d.comb += [
            request.valid.eq(asking),
            request.payload.address.eq(source),
            request.payload.length.eq(wanted[:BURST_LENGTH_BITS] | longest.any().replicate(BURST_LENGTH_BITS)),
        ]
        with m.If(request.valid & request.ready):
            m.d.sync += [
                source[BURST_LENGTH_BITS:].eq(source[BURST_LENGTH_BITS:] + 1),
                longest.eq(longest - 1), asking.eq(longest.any()),
            ]  # fmt: skip

        left = Signal.like(d.weight_beats)
        copying = Signal()
        address = Signal(ADDRESS_BITS)
        beats = config.group_beats
        part = Signal(range(max(2, config.group_beats)))
        last_part = Signal()
        m.d.comb += [
            last_part.eq(part == beats - 1),
            response.ready.eq(copying & (self.write_ready | ~last_part)),
            self.done.eq(~copying & ~self.start),
        ]
        gathered = Signal(beats * config.memory_bits)
        word = Signal(beats * config.memory_bits)
        m.d.comb += [
            word.eq(Cat(gathered, response.payload)[config.memory_bits :]),
            self.write.address.eq(address),
            self.write.banks.eq(~0),
            self.write.pieces.eq(~0),
            self.write.data.eq(word),
        ]
        with m.If(response.valid & response.ready):
            m.d.sync += [left.eq(left - 1), copying.eq(left != 1), gathered.eq(word), part.eq(part + 1)]
            with m.If(last_part):
                m.d.comb += self.write.valid.eq(1)
                m.d.sync += [part.eq(0), address.eq(address + 1)]

        with m.If(self.start):
            m.d.sync += [
                source.eq(self.base + d.memory_address), wanted.eq(d.weight_beats - 1), left.eq(d.weight_beats),
                asking.eq(d.weight_beats != 0), copying.eq(d.weight_beats != 0),
                address.eq(d.destination_base), part.eq(0),
            ]  # fmt: skip
        return m
