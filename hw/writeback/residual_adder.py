"""Joins spikes to the integers of the residual stream, bit-plane by bit-plane."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, ResidualMode
from hw.memory.spike_memory import SpikeWrite, from_piece_on
from hw.parts.delay import delayed


class WriteKind(enum.Enum, shape=2):
    """What is written, given the plane that has just arrived."""

    ADD = 0
    IAND = 1
    CLAMP_LOW = 2
    CLAMP_HIGH = 3


class ResidualAdder(wiring.Component):
    """``x + spike``, ``min(x + spike, 3)`` or ``x AND NOT spike`` on residual integers stored as bit-planes.

    A word holds one bit-plane of many integers. From the lowest plane up, one per cycle, a plane of one piece of the
    words is read and written back.

    ``ADD``: a row of half adders adds the carry (at first the spikes). The last plane written may be a new one.

    ``CLAMP``: the same on two planes. A carry out of plane 1, of integers that were 3, sets both planes again. Plane 0
    can only be written when plane 1 is known, so plane 1 is read first, and both writes come one cycle later.

    ``IAND``: one plane, in which the spikes clear bits.

    A plane that is new (at or above `planes_in`) takes a copy in the pieces above as well, which are replaced if there
    are spikes for them, see `hw.memory.spike_memory.from_piece_on`.

    A piece takes ``planes_out`` cycles; the next one may come that many cycles later, no sooner. The last write leaves
    ``latency(planes_out, mode)`` cycles after the piece.

    Parameters
    ----------
    config : HardwareConfig
        Gives word and piece.

    Members
    -------
    valid : In(1), address : In(20), pieces : In(word_pieces), spikes : In(lanes * piece)
        A piece of spikes, the address of its word in the lowest plane, and which piece of the word it is (one bit).
    mode : In(ResidualMode)
        Held still, with the plane counts and the stride, until the last write.
    planes_in, planes_out : In(4)
        Planes before and after; a plane at or above `planes_in` is taken as zero. `planes_out` is 2 for ``CLAMP`` and
        both are 1 for ``IAND``.
    plane_stride : In(20)
        Address distance of planes.
    read_address : Out(20), read_data : In(group_bits)
        Residual memory, one cycle of latency; what it gives is registered before anything is done with it.
    write : Out(SpikeWrite)
        Residual memory.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "valid": In(1),
                "address": In(ADDRESS_BITS),
                "pieces": In(unsigned(config.word_pieces)),
                "spikes": In(unsigned(config.lanes * config.piece)),
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
        """Cycles from a piece to its last write."""
        return planes_out + 3 + (mode == ResidualMode.CLAMP)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        clamps = self.mode == ResidualMode.CLAMP
        where = data.StructLayout({"address": ADDRESS_BITS, "pieces": config.word_pieces})
        now = Signal(where, reset_less=True)
        plane = Signal(4)
        reading = Signal()
        spikes = Signal(config.lanes * config.piece, reset_less=True)
        first = Signal()
        following = Signal(ADDRESS_BITS)
        # The clamp reads the upper one of its two planes first.
        m.d.comb += [
            first.eq(plane == 0),
            following.eq(now.address + self.plane_stride),
            self.read_address.eq(Mux(clamps & first, following, now.address)),
        ]
        with m.If(reading):
            m.d.sync += plane.eq(plane + 1)
            with m.If(~clamps):
                m.d.sync += now.address.eq(following)
            with m.If(plane + 1 == self.planes_out):
                m.d.sync += reading.eq(0)
        with m.If(self.valid):
            m.d.sync += [
                reading.eq(1), plane.eq(0), now.address.eq(self.address), now.pieces.eq(self.pieces),
                spikes.eq(self.spikes),
            ]  # fmt: skip

        # Two cycles later, beside the memory's data in a register: the outputs of block RAM are slow.
        read_data = delayed(m, self.read_data, 1, name="read_data")
        fetching = Signal()
        fetching_first = Signal()
        fetching_exists = Signal()
        arriving = Signal()
        arriving_first = Signal()
        exists = Signal()
        high = Signal()
        read = Signal(where)
        m.d.comb += [read.address.eq(self.read_address), read.pieces.eq(now.pieces)]
        at = delayed(m, read.as_value(), 2, name="at")
        two_before = delayed(m, at, 2, name="at_upper")
        joining = delayed(m, spikes, 1, name="joining")  # the next piece may already be in `spikes`
        kind = Signal(WriteKind, reset_less=True)
        m.d.sync += [
            fetching.eq(reading),
            fetching_first.eq(reading & first),
            fetching_exists.eq(Mux(clamps, ~first | (self.planes_in > 1), plane < self.planes_in)),
            arriving.eq(fetching),
            arriving_first.eq(fetching_first),
            exists.eq(fetching_exists),
            high.eq(clamps & arriving & ~arriving_first),
            kind.eq(Mux(self.mode == ResidualMode.IAND, WriteKind.IAND, WriteKind.ADD)),
        ]
        with m.If(clamps):
            m.d.sync += kind.eq(Mux(arriving & ~arriving_first, WriteKind.CLAMP_HIGH, WriteKind.CLAMP_LOW))

        width = len(spikes)
        plane_bits = Signal(width)
        old = Signal(width)
        joined = Signal(width)
        carry = Signal(width, reset_less=True)
        upper = Signal(width, reset_less=True)
        for i in range(config.word_pieces):
            with m.If(data.View(where, at).pieces[i] if config.word_pieces > 1 else 1):
                m.d.comb += plane_bits.eq(
                    Cat(
                        read_data.word_select(lane * config.word_pieces + i, config.piece)
                        for lane in range(config.lanes)
                    )
                )
        m.d.comb += old.eq(Mux(exists, plane_bits, 0))
        m.d.sync += carry.eq(Mux(Mux(clamps, arriving_first, fetching_first), joining, old & carry))
        with m.If(arriving_first):
            m.d.sync += upper.eq(old)
        with m.Switch(kind):
            with m.Case(WriteKind.ADD):
                m.d.comb += joined.eq(old ^ carry)
            with m.Case(WriteKind.IAND):
                m.d.comb += joined.eq(old & ~carry)
            with m.Case(WriteKind.CLAMP_LOW):
                m.d.comb += joined.eq((carry & (~old | upper)) | (~carry & old))
            with m.Case(WriteKind.CLAMP_HIGH):
                m.d.comb += joined.eq(upper | carry)
        # A register between the two memories.
        write = self.write
        to = Signal(where)
        written = Signal(width, reset_less=True)
        new = Mux(clamps, high & (self.planes_in == 1), ~exists)
        m.d.comb += [to.eq(Mux(high, two_before, at)), write.banks.eq((1 << config.positions) - 1)]
        m.d.sync += [
            write.valid.eq(Mux(clamps, (arriving & ~arriving_first) | high, arriving)),
            write.address.eq(to.address),
            write.pieces.eq(Mux(new, from_piece_on(to.pieces), to.pieces)),
            written.eq(joined),
        ]
        for lane in range(config.lanes):
            channels = written.word_select(lane, config.piece)
            m.d.comb += write.data.word_select(lane, config.inputs).eq(channels.replicate(config.word_pieces))
        return m
