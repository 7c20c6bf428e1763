"""Q for the attention engine: read from the spike memory one group ahead, selected by segment."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .attention_geometry import AttentionGeometry
from .config import HardwareConfig
from .slice_walk import SliceWalk

LOAD_OVERHEAD = 2
"""Cycles from `take` to `full` beside one per slice: the memory's read, the capture."""


class QueryBuffer(wiring.Component):
    """Holds one group's Q of a head while it is used, and the next group's, read meanwhile from the spike memory.

    A segment of ``attention_segment`` channels fills by shifting: every slice enters at the top. So a last segment
    that is not full lies at the top with zeros below, exactly as `PlaneTransposer` leaves the channels of K^T V.

    Reading starts at `start` and again after every `take`, one slice per cycle; `full` follows after
    ``slices + LOAD_OVERHEAD`` cycles, so groups can be taken that often.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    address_bits : int
        Width of a spike memory address.

    Members
    -------
    start : In(1)
        A job begins: read the first group of the first head.
    base, stride, last_head, last_group, last_slice : In
        As in `SliceWalk`.
    read_address : Out(address_bits), read_data : In(group_bits)
        Spike memory, one cycle of latency, ``[positions][timesteps][inputs]``.
    full : Out(1)
        The next group is complete.
    take : In(1)
        Use it from the next cycle on; only while `full`.
    lane : In(range(positions)), segment : In(range(segments of a head))
        Selects a position and a segment.
    query : Out(timesteps * attention_segment)
        Its spikes one cycle later, ``[timesteps][attention_segment]``.
    """

    def __init__(self, config: HardwareConfig, address_bits: int):
        self._config, self._address_bits = config, address_bits
        self._head_segments = AttentionGeometry(config).head_segments
        super().__init__(
            {
                "start": In(1),
                "base": In(unsigned(address_bits)),
                "stride": In(unsigned(address_bits)),
                "last_head": In(6),
                "last_group": In(17),
                "last_slice": In(10),
                "read_address": Out(unsigned(address_bits)),
                "read_data": In(unsigned(config.group_bits)),
                "full": Out(1),
                "take": In(1),
                "lane": In(range(max(2, config.positions))),
                "segment": In(range(max(2, self._head_segments))),
                "query": Out(unsigned(config.timesteps * config.attention_segment)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.walk = walk = SliceWalk(self._address_bits, lanes=1)
        reading, finished = Signal(), Signal()
        arriving, arriving_last = Signal(), Signal()
        m.d.comb += [
            walk.start.eq(self.start),
            walk.step.eq(reading),
            walk.base.eq(self.base),
            walk.stride.eq(self.stride),
            walk.last_head.eq(self.last_head),
            walk.last_group.eq(self.last_group),
            walk.last_slice.eq(self.last_slice),
            self.read_address.eq(walk.address),
        ]
        m.d.sync += [arriving.eq(reading), arriving_last.eq(reading & walk.slices_end)]
        with m.If(reading):
            m.d.sync += [reading.eq(~walk.slices_end), finished.eq(walk.walk_end)]
        with m.If(arriving_last):
            m.d.sync += self.full.eq(1)
        with m.If(self.take):
            m.d.sync += [self.full.eq(0), reading.eq(~finished)]
        with m.If(self.start):
            m.d.sync += [self.full.eq(0), reading.eq(1), finished.eq(0)]

        lane_bits = config.timesteps * config.attention_segment
        segment_slices = config.attention_segment // config.inputs
        bits = self._head_segments * config.positions * lane_bits
        following, current = Signal(bits, reset_less=True), Signal(bits, reset_less=True)
        segment, index = Signal.like(self.segment), Signal(range(max(2, segment_slices)))
        with m.If(arriving):
            index_end = index == segment_slices - 1
            m.d.sync += [index.eq(Mux(index_end | arriving_last, 0, index + 1)), segment.eq(segment + index_end)]
            with m.If(arriving_last):
                m.d.sync += segment.eq(0)
            with m.Switch(segment):
                for filled in range(self._head_segments):
                    with m.Case(filled):
                        self._shift_in(m, following, filled, index == 0)
        with m.If(self.take):
            m.d.sync += current.eq(following)
        m.d.sync += self.query.eq(
            current.word_select(Cat(self.lane[: (config.positions - 1).bit_length()], self.segment), lane_bits)
        )
        return m

    def _shift_in(self, m: Module, following: Signal, filled: int, first) -> None:
        """Shift the arriving slice into segment `filled` of every position and time step."""
        config = self._config
        lanes, size, inputs = config.positions * config.timesteps, config.attention_segment, config.inputs
        for lane in range(lanes):
            piece = following.word_select(filled * lanes + lane, size)
            kept = Mux(first, Const(0, size - inputs), piece[inputs:])
            m.d.sync += piece.eq(Cat(kept, self.read_data.word_select(lane, inputs)))
