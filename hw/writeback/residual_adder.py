"""Joins spikes to the integers of the residual stream, bit-plane by bit-plane."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import ADDRESS_BITS, DESCRIPTOR, MAX_RESIDUAL_PLANES, ResidualMode
from hw.memory.spike_memory import SpikeWrite, from_piece_on
from hw.parts.delay import delayed, delayed_view

ARRIVAL_LATENCY = 2
"""Cycles from a plane's address to its data: the memory, and a register behind it."""


class WriteKind(enum.Enum, shape=2):
    """What is written, given the plane that has just arrived."""

    ADD = 0
    IAND = 1
    CLAMP_LOW = 2
    CLAMP_HIGH = 3


def plane_layout(config: HardwareConfig) -> data.StructLayout:
    """A plane of a piece on its way from its read to its write.

    ``first`` is the one that the piece reads first. One that does not exist yet counts as zero; its write is the first
    to its words. ``address`` and ``pieces`` (one bit) say where it is.
    """
    return data.StructLayout(
        {
            "valid": unsigned(1),
            "first": unsigned(1),
            "exists": unsigned(1),
            "address": unsigned(ADDRESS_BITS),
            "pieces": unsigned(config.word_pieces),
        }
    )


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
    ``write_latency(planes_out, mode)`` cycles after the piece.

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
    read : Out(1), read_address : Out(20), read_data : In(group_bits)
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
                "planes_in": In(DESCRIPTOR["residual_planes_in"].shape),
                "planes_out": In(DESCRIPTOR["residual_planes_out"].shape),
                "plane_stride": In(ADDRESS_BITS),
                "read": Out(1),
                "read_address": Out(ADDRESS_BITS),
                "read_data": In(unsigned(config.group_bits)),
                "write": Out(SpikeWrite(config, ADDRESS_BITS)),
            }
        )

    @staticmethod
    def write_latency(planes_out: int, mode: ResidualMode) -> int:
        """Cycles from a piece to its last write."""
        return planes_out + ARRIVAL_LATENCY + 1 + (mode == ResidualMode.CLAMP)

    latency = max(write_latency(MAX_RESIDUAL_PLANES, ResidualMode.ADD), write_latency(2, ResidualMode.CLAMP))
    """Cycles from a piece to its last write, whatever its mode and planes: an upper bound."""

    def elaborate(self, platform):
        m = Module()
        config = self._config
        clamps = Signal()
        m.d.comb += clamps.eq(self.mode == ResidualMode.CLAMP)
        reading, spikes = self._read(m, clamps)
        fetched, arrived, passed, held = self._stages(m, reading)

        # The clamp writes the upper plane behind the lower one, for which it has waited.
        upper_turn = Signal()
        writing = Signal(reading.shape())
        m.d.comb += [
            upper_turn.eq(clamps & held.valid & held.first),
            writing.eq(Mux(upper_turn, held, arrived)),
        ]
        kind = Signal(WriteKind, reset_less=True)
        m.d.sync += kind.eq(Mux(self.mode == ResidualMode.IAND, WriteKind.IAND, WriteKind.ADD))
        with m.If(clamps):
            m.d.sync += kind.eq(Mux(passed.valid & passed.first, WriteKind.CLAMP_HIGH, WriteKind.CLAMP_LOW))

        old = self._plane(m, arrived)
        joined = self._join(m, kind, old, spikes, begins=Mux(clamps, arrived.first, fetched.first), upper=arrived.first)

        # A register between the two memories.
        write = self.write
        written = delayed(m, joined, 1, name="written")
        m.d.comb += write.banks.eq((1 << config.positions) - 1)
        m.d.sync += [
            write.valid.eq((arrived.valid & ~(clamps & arrived.first)) | upper_turn),
            write.address.eq(writing.address),
            write.pieces.eq(Mux(writing.exists, writing.pieces, from_piece_on(writing.pieces))),
        ]
        for lane in range(config.lanes):
            channels = written.word_select(lane, config.piece)
            m.d.comb += write.data.word_select(lane, config.inputs).eq(channels.replicate(config.word_pieces))
        return m

    def _read(self, m: Module, clamps: Value) -> tuple[data.View, Value]:
        """Ask the memory for the piece's planes in turn: the first stage of a plane, and the piece's spikes."""
        spikes = Signal(self.spikes.shape(), reset_less=True)
        address = Signal(ADDRESS_BITS, reset_less=True)
        following = Signal(ADDRESS_BITS)
        plane = Signal.like(self.planes_out)
        reading = Signal(plane_layout(self._config))
        busy = Signal()
        pieces = Signal(self.pieces.shape(), reset_less=True)
        m.d.comb += [
            following.eq(address + self.plane_stride),
            reading.valid.eq(busy),
            reading.first.eq(plane == 0),
            # The clamp reads the upper one of its two planes first.
            reading.exists.eq(Mux(clamps, ~reading.first | (self.planes_in > 1), plane < self.planes_in)),
            reading.address.eq(Mux(clamps & reading.first, following, address)),
            reading.pieces.eq(pieces),
            self.read.eq(reading.valid & reading.exists),
            self.read_address.eq(reading.address),
        ]
        with m.If(busy):
            m.d.sync += plane.eq(plane + 1)
            with m.If(~clamps):
                m.d.sync += address.eq(following)
            with m.If(plane + 1 == self.planes_out):
                m.d.sync += busy.eq(0)
        with m.If(self.valid):
            m.d.sync += [
                busy.eq(1),
                plane.eq(0),
                address.eq(self.address),
                pieces.eq(self.pieces),
                spikes.eq(self.spikes),
            ]
        return reading, spikes

    @staticmethod
    def _stages(m: Module, reading: data.View) -> list[data.View]:
        """What a plane is in the four cycles behind its read; it arrives in the second of them."""
        stages = [reading]
        for name in ("fetched", "arrived", "passed", "held"):
            stages.append(delayed_view(m, stages[-1], 1, name=name, reset=("valid",)))
        return stages[1:]

    def _plane(self, m: Module, arrived: data.View) -> Value:
        """The piece's bits of the plane that has arrived; none of one that is new."""
        config = self._config
        # Registered behind the memory: the outputs of block RAM are slow.
        word = delayed(m, self.read_data, ARRIVAL_LATENCY - 1, name="read_data")
        bits = Signal(self.spikes.shape())
        for i in range(config.word_pieces):
            with m.If(arrived.pieces[i] if config.word_pieces > 1 else 1):
                m.d.comb += bits.eq(
                    Cat(word.word_select(lane * config.word_pieces + i, config.piece) for lane in range(config.lanes))
                )
        old = Signal.like(bits)
        m.d.comb += old.eq(Mux(arrived.exists, bits, 0))
        return old

    @staticmethod
    def _join(m: Module, kind: Value, old: Value, spikes: Value, *, begins: Value, upper: Value) -> Value:
        """What becomes of a plane; `begins` loads the spikes as carry, `upper` keeps the clamp's upper plane."""
        joining = delayed(m, spikes, 1, name="joining")  # the next piece may already be in `spikes`
        carry = Signal(spikes.shape(), reset_less=True)
        kept = Signal(spikes.shape(), reset_less=True)
        joined = Signal(spikes.shape())
        m.d.sync += carry.eq(Mux(begins, joining, old & carry))
        with m.If(upper):
            m.d.sync += kept.eq(old)
        with m.Switch(kind):
            with m.Case(WriteKind.ADD):
                m.d.comb += joined.eq(old ^ carry)
            with m.Case(WriteKind.IAND):
                m.d.comb += joined.eq(old & ~carry)
            with m.Case(WriteKind.CLAMP_LOW):
                m.d.comb += joined.eq((carry & (~old | kept)) | (~carry & old))
            with m.Case(WriteKind.CLAMP_HIGH):
                m.d.comb += joined.eq(kept | carry)
        return joined
