"""Reads the program once, ahead of its use, and replays an output tile's weights from a ring on the chip."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.external.memory_port import MEMORY_ADDRESS_BITS, MemoryPort

FETCH_BURST = 64
"""Beats of a burst; only the last one of a program may be shorter."""

FETCH_OUTSTANDING = 8
"""Bursts requested of which the last beat has not come."""

READ_LATENCY = 3
"""Cycles from the arrival of a beat (its response) to the first cycle in which it is offered: ring, read, register."""

REGION_BITS = 20
TILES_BITS = 12
PASSES_BITS = 4


def region_limit(config: HardwareConfig) -> int:
    """Beats of the largest region that can be replayed.

    Bursts are requested whole. The one with a region's last beat reaches at most ``FETCH_BURST - 1`` beats behind it,
    and all of it must find room while the region's first beat is still kept.
    """
    return config.program_beats - FETCH_BURST


def command_layout(tag_bits: int) -> data.StructLayout:
    """Layout of a command of `ProgramBuffer`."""
    return data.StructLayout(
        {
            "beats": unsigned(REGION_BITS),
            "tiles": unsigned(TILES_BITS),
            "passes": unsigned(PASSES_BITS),
            "wide": unsigned(1),
            "image": unsigned(1),
            "tag": unsigned(tag_bits),
        }
    )


class ProgramBuffer(wiring.Component):
    """A ring of the program's beats: filled in order by bursts ahead, delivered region by region.

    A region is ``(1 + wide) * (1 + image)`` segments of ``beats`` beats. It is delivered ``tiles`` times; every time,
    each half of it (``wide``: two) ``passes`` times; in an image the first pass takes the half's first segment, the
    others its second. A plain read has ``tiles = passes = 1`` and neither flag. A region begins where the one before
    ended.

    One beat per cycle, without a gap at replays, ends of segments and ends of regions; a beat is offered
    ``READ_LATENCY`` cycles after it arrived, or two cycles after its read, which is once per cycle unless the output
    stalls. The read pipeline stands still as a whole, by its enables: no queue behind the memory.

    A beat is free with the read of its last delivery. A burst is requested as soon as there is room for all of it.

    Memory reads and writes never meet in a beat whose data is used, so the emulation logic for that collision is
    switched off. Count beats from the start of the program: let `f` be the oldest one not freed, `r` the one read, `a`
    the one arriving. Reads happen only if ``r < a``, and of nothing that was freed, so ``f <= r``. Beats arrive only if
    they were requested, with room: ``a < f + program_beats``. Together ``0 < a - r < program_beats``.

    Parameters
    ----------
    config : HardwareConfig
        Gives the ring's depth and the width of beats.
    tag_bits : int
        Width of what accompanies a region.

    Members
    -------
    start : In(1), address : In(32), length : In(32)
        Forget everything, then read `length` beats from `address` up. The two are sampled when nothing of what was
        requested before is outstanding any more: at once after a program that was read to its end, else later, until
        which they must be held. Beats still coming are swallowed.
    stop : In(1)
        Forget everything, request nothing more. A request on offer stays until it is accepted.
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
    idle : Out(1)
        No beat was wanted, or on its way, a cycle ago.
    """

    def __init__(self, config: HardwareConfig, tag_bits: int = 1):
        self._config, self._tag_bits = config, tag_bits
        super().__init__(
            {
                "start": In(1),
                "address": In(MEMORY_ADDRESS_BITS),
                "length": In(32),
                "stop": In(1),
                "memory": Out(MemoryPort(config.memory_bits)),
                "command": In(stream.Signature(command_layout(tag_bits))),
                "output": Out(stream.Signature(unsigned(config.memory_bits))),
                "output_tag": Out(tag_bits),
                "output_low_half": Out(1),
                "exhausted": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = self._config.program_beats
        position_bits = depth.bit_length()  # one more than an address has: an empty ring is not a full one
        m.submodules.ring = ring = memory.Memory(
            shape=unsigned(self._config.memory_bits), depth=depth, init=[], attrs={"no_rw_check": 1}
        )
        self._write = ring.write_port()
        self._read = ring.read_port()
        self._load = Signal()  # the new program begins with the next cycle
        self._running = Signal()
        self._freed = Signal(position_bits)
        self._arrived = Signal(position_bits)
        self._complete = Signal(init=1)  # no beat was wanted, or on its way, a cycle ago
        m.d.comb += self.idle.eq(self._complete)
        self._burst_freed = Signal()  # the last beat of a burst's place is free from the next cycle on
        self._fetch(m)
        self._deliver(m)
        return m

    def _fetch(self, m: Module) -> None:
        """Bursts into the ring."""
        request, response = self.memory.request, self.memory.response
        burst_bits = FETCH_BURST.bit_length() - 1
        # Every burst but the last is whole, so that address, length and positions change above `burst_bits` only.
        address = Signal(MEMORY_ADDRESS_BITS)
        left = Signal(32 - burst_bits)
        short = Signal(burst_bits)
        # Requested: whole ones, and the last.
        bursts = Signal(len(self._arrived) - burst_bits)
        rest = Signal(burst_bits)
        # Of `left` whole bursts there is one; there is that or a shorter one, of `short + 1` beats.
        whole = Signal()
        wanted = Signal()
        accepted = Signal()
        arrived = Signal()
        bursts_of_ring = self._config.program_beats // FETCH_BURST
        room = Signal(range(bursts_of_ring + 1))  # bursts
        outstanding = Signal(range(FETCH_OUTSTANDING + 1))
        has_room = Signal(init=1)
        may_ask = Signal(init=1)
        m.d.comb += [
            # Once true it stays: beats are only freed, and only arrive.
            request.valid.eq(wanted & has_room & may_ask),
            request.payload.address.eq(address),
            request.payload.length.eq(short | whole.replicate(burst_bits)),
            accepted.eq(request.valid & request.ready),
            arrived.eq(response.valid & self._arrived[:burst_bits].all()),
            response.ready.eq(1),
            self._write.addr.eq(self._arrived),
            self._write.data.eq(response.payload),
            self._write.en.eq(response.valid),
        ]
        m.d.sync += [
            self._complete.eq(~wanted & (Cat(rest, bursts) == self._arrived)),
            room.eq(room + self._burst_freed - accepted),
            has_room.eq(self._burst_freed | Mux(accepted, room > 1, room != 0)),
            outstanding.eq(outstanding + accepted - arrived),
            may_ask.eq(arrived | (outstanding != Mux(accepted, FETCH_OUTSTANDING - 1, FETCH_OUTSTANDING))),
        ]
        with m.If(response.valid):
            m.d.sync += self._arrived.eq(self._arrived + 1)
        abandoned = Signal()  # the program was stopped with a request on offer
        with m.If(accepted):
            m.d.sync += [
                address[burst_bits:].eq(address[burst_bits:] + 1), left.eq(left - 1), whole.eq(left != 1),
                wanted.eq(whole & ((left != 1) | ~short.all()) & ~abandoned),
            ]  # fmt: skip
            with m.If(whole):
                m.d.sync += bursts.eq(bursts + 1)
            with m.Else():
                m.d.sync += rest.eq(short + 1)
        starting = Signal()
        m.d.comb += self._load.eq((self.start | starting) & self._complete)
        with m.If(self.start | self.stop):
            m.d.sync += [starting.eq(self.start), self._running.eq(0)]
            with m.If(request.valid & ~request.ready):
                m.d.sync += abandoned.eq(1)
            with m.Else():
                m.d.sync += wanted.eq(0)
        with m.If(self._load):
            m.d.sync += [
                starting.eq(0), self._running.eq(1), abandoned.eq(0), self._complete.eq(0),
                address.eq(self.address), left.eq(self.length[burst_bits:]), short.eq(self.length[:burst_bits] - 1),
                whole.eq(self.length[burst_bits:].any()), wanted.eq(self.length.any()),
                bursts.eq(0), rest.eq(0), self._arrived.eq(0), room.eq(bursts_of_ring), outstanding.eq(0),
                has_room.eq(1), may_ask.eq(1),
            ]  # fmt: skip

    def _deliver(self, m: Module) -> None:
        """Regions out of the ring: the order of reads, and the pipeline behind them."""
        command, output, freed = self.command.payload, self.output, self._freed
        # Next beat to read, and the first one of its segment. That of its region is the oldest one not freed, up to
        # the last tile.
        position, segment, following, after = (Signal.like(freed, name=n) for n in ("position", "segment", "next", "p"))
        beat = Signal((self._config.program_beats - 1).bit_length(), init=1)
        turn = Signal(PASSES_BITS, init=1)
        tile = Signal(TILES_BITS, init=1)
        half = Signal()
        read = Signal()
        registered = Signal()
        move = Signal()
        advance = Signal()
        end, last_pass, last_half, last_tile, first_of_image, frees = (
            Signal(name=n) for n in ("end", "last_pass", "last_half", "last_tile", "first_of_image", "frees")
        )
        m.d.comb += [
            end.eq(beat == command.beats[: len(beat)]),
            last_pass.eq(turn == command.passes),
            last_half.eq(half | ~command.wide),
            last_tile.eq(tile == command.tiles),
            first_of_image.eq(command.image & (turn == 1)),
            frees.eq(last_tile & (last_pass | first_of_image)),
            after.eq(position + 1),
            following.eq(after),
        ]
        with m.If(end & ~last_pass & ~first_of_image):
            m.d.comb += following.eq(segment)
        with m.If(end & last_pass & last_half & ~last_tile):
            m.d.comb += following.eq(freed)

        # Two stages behind the address, each free if the next one takes over what it holds: the memory's own output
        # register and one more.
        wanted = Signal()
        available = Signal()
        m.d.comb += [
            wanted.eq(self.command.valid & self._running),
            available.eq(position != self._arrived),
            advance.eq(~output.valid | output.ready),
            move.eq(~registered | advance),
            read.eq(wanted & available & move),
            self._read.addr.eq(position),
            self._read.en.eq(read),
            self.command.ready.eq(read & end & last_pass & last_half & last_tile),
            self._burst_freed.eq(read & frees & position[: FETCH_BURST.bit_length() - 1].all()),
            self.exhausted.eq(wanted & ~available & self._complete),
        ]
        tag = Signal(self._tag_bits)
        low_half = Signal()
        with m.If(advance):
            m.d.sync += [
                output.valid.eq(registered),
                output.payload.eq(self._read.data),
                self.output_tag.eq(tag),
                self.output_low_half.eq(low_half),
            ]
        with m.If(move):
            m.d.sync += [registered.eq(read), tag.eq(command.tag), low_half.eq(half)]

        with m.If(read):
            m.d.sync += [position.eq(following), beat.eq(beat + 1)]
            with m.If(frees):
                m.d.sync += freed.eq(after)
            with m.If(end):
                m.d.sync += [beat.eq(1), segment.eq(following), turn.eq(turn + 1)]
                with m.If(last_pass):
                    m.d.sync += [turn.eq(1), half.eq(~half)]
                    with m.If(last_half):
                        m.d.sync += [half.eq(0), tile.eq(tile + 1)]
                        with m.If(last_tile):
                            m.d.sync += tile.eq(1)
        with m.If(self.start | self.stop):
            m.d.sync += [output.valid.eq(0), registered.eq(0), beat.eq(1), turn.eq(1), tile.eq(1), half.eq(0)]
        with m.If(self._load):
            m.d.sync += [position.eq(0), segment.eq(0), freed.eq(0)]
