"""Reads the program once, ahead of its use, and replays an output tile's weights from a ring on the chip."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.external.memory_port import MEMORY_ADDRESS_BITS, MemoryPort
from hw.parts.dual_port import dual_port_memory
from hw.program.crc import ProgramCrc
from hw.program.fetch import BURST_BITS, FETCH_BURST, LENGTH_BITS, ProgramFetch
from hw.program.region_walk import REGION, RegionWalk


def region_limit(config: HardwareConfig) -> int:
    """Beats of the largest region that can be replayed.

    Bursts are requested whole. The one with a region's last beat reaches at most ``FETCH_BURST - 1`` beats behind it,
    and all of it must find room while the region's first beat is still kept.
    """
    return config.program_beats - FETCH_BURST


def command_layout(tag_bits: int) -> data.StructLayout:
    """Layout of a command of `ProgramBuffer`: a region of the program, and what accompanies its beats."""
    return data.StructLayout({"region": REGION, "tag": unsigned(tag_bits)})


class ProgramBuffer(wiring.Component):
    """A ring of the program's beats: filled in order by bursts ahead, delivered region by region (see `RegionWalk`).

    One beat per cycle, without a gap at replays, ends of segments and ends of regions; a beat is offered
    `latency` cycles after it arrived, or two cycles after its read, which is once per cycle unless the output
    stalls. The read pipeline stands still as a whole, by its enables: no queue behind the memory.

    A beat is free with the read of its last delivery. A burst is requested as soon as there is room for all of it.

    Memory reads and writes never meet in a beat. Count beats from the start of the program: let `f` be the oldest one
    not freed, `r` the one read, `a` the one arriving. Reads happen only if ``r < a``, and of nothing that was freed, so
    ``f <= r``. Beats arrive only if they were requested, with room: ``a < f + program_beats``. Together
    ``0 < a - r < program_beats``.

    Parameters
    ----------
    config : HardwareConfig
        Gives the ring's depth and the width of beats.
    tag_bits : int
        Width of what accompanies a region.

    Members
    -------
    start : In(1), address : In(37), length : In(32)
        Forget everything, then read `length` beats from `address` up. The two are sampled when nothing of what was
        requested before is outstanding any more: at once after a program that was read to its end, else later, until
        which they must be held. Beats still coming are swallowed.
    stop : In(1)
        Forget everything, request nothing more. A request on offer stays until it is accepted.
    rest : In(1)
        No region follows: what is left of the program is read for its CRC only. Nothing is being delivered.
    memory : Out(MemoryPort)
        External memory; always takes a response.
    command : In(stream of command_layout)
        The region being delivered, `ready` with the read of its last beat. `beats` is at least 1 and, if anything is
        delivered twice, at most ``region_limit`` over all segments, else below `program_beats`; an image has at least
        two passes.
    output : Out(stream of memory_bits)
        The beats.
    output_tag : Out(tag_bits), output_low_half : Out(1)
        Accompany the beat: its region's tag, and whether it belongs to the second half of a wide region.
    exhausted : Out(1)
        The command asks for a beat behind the end of the program.
    total : Out(32)
        The length of the program that is read.
    idle : Out(1)
        No beat was wanted, or on its way, a cycle ago, and all are in `intact`.
    intact : Out(1)
        While `idle`: the program ended with its CRC-32.
    """

    latency = 3
    """Cycles from the arrival of a beat (its response) to the first one of its offer: ring, read, register."""

    def __init__(self, config: HardwareConfig, tag_bits: int = 1):
        self._config, self._tag_bits = config, tag_bits
        super().__init__(
            {
                "start": In(1),
                "address": In(MEMORY_ADDRESS_BITS),
                "length": In(LENGTH_BITS),
                "stop": In(1),
                "rest": In(1),
                "memory": Out(MemoryPort(config.memory_bits)),
                "command": In(stream.Signature(command_layout(tag_bits))),
                "output": Out(stream.Signature(unsigned(config.memory_bits))),
                "output_tag": Out(tag_bits),
                "output_low_half": Out(1),
                "exhausted": Out(1),
                "total": Out(LENGTH_BITS),
                "idle": Out(1),
                "intact": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        command, response = self.command, self.memory.response
        m.submodules.fetch = fetch = ProgramFetch(self._config)
        m.submodules.walk = walk = RegionWalk(self._config)
        m.submodules.crc = crc = ProgramCrc(self._config.memory_bits)
        read, write = dual_port_memory(m, name="ring", width=self._config.memory_bits, depth=self._config.program_beats)
        clear = Signal()
        wanted = Signal()
        available = Signal()
        wiring.connect(m, wiring.flipped(self.memory), fetch.memory)
        m.d.comb += [
            clear.eq(self.start | self.stop),
            fetch.start.eq(self.start),
            fetch.address.eq(self.address),
            fetch.length.eq(self.length),
            fetch.stop.eq(self.stop),
            fetch.rest.eq(self.rest),
            fetch.burst_freed.eq(walk.read & walk.frees & walk.position[:BURST_BITS].all()),
            write.addr.eq(fetch.arrived),
            write.data.eq(response.payload),
            write.en.eq(response.valid),
            walk.clear.eq(clear),
            walk.region.eq(command.payload.region),
            wanted.eq(command.valid & fetch.running),
            available.eq(walk.position != fetch.arrived),
            walk.read.eq(wanted & available & self._output(m, clear, read, walk)),
            command.ready.eq(walk.read & walk.last),
            self.exhausted.eq(wanted & ~available & fetch.complete),
            self.total.eq(fetch.total),
            crc.clear.eq(fetch.begins),
            crc.valid.eq(response.valid),
            crc.beat.eq(response.payload),
            self.idle.eq(fetch.complete & ~crc.pending),
            self.intact.eq(crc.intact),
        ]
        return m

    def _output(self, m: Module, clear: Signal, read: memory.ReadPort, walk: RegionWalk) -> Signal:
        """Two stages behind the address, each free if the next one takes over what it holds; returns if the first is.

        They are the memory's own output register and one more.
        """
        output = self.output
        registered = Signal()
        tag = Signal(self._tag_bits)
        low_half = Signal()
        advance = Signal()
        move = Signal()
        m.d.comb += [
            advance.eq(~output.valid | output.ready),
            move.eq(~registered | advance),
            read.addr.eq(walk.position),
            read.en.eq(walk.read),
        ]
        with m.If(move):
            m.d.sync += [tag.eq(self.command.payload.tag), low_half.eq(walk.half)]
        with m.If(advance):
            m.d.sync += [
                output.payload.eq(read.data),
                self.output_tag.eq(tag),
                self.output_low_half.eq(low_half),
            ]
        with m.If(clear):
            m.d.sync += [registered.eq(0), output.valid.eq(0)]
        with m.Else():
            with m.If(move):
                m.d.sync += registered.eq(walk.read)
            with m.If(advance):
                m.d.sync += output.valid.eq(registered)
        return move
