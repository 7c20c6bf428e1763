"""The cycles of a piece of a word, or of a batch of channels: which of them read."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.neurons.read_plan import tile_lengths


class ReadPace(wiring.Component):
    """Paces the reads of a tile, beat by beat: a pause, then a read in every cycle, or two cycles for two halves.

    A beat is a piece of a word or, in channel order, a batch of channels (with several time chunks, one of its chunks).
    What is behind the neurons needs the time between the ends of two beats; the pause comes in front of the reads, for
    those of the beat before may have had none.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    reading : In(1), wide : In(1)
        A tile is read; its reads take two cycles, one for each half.
    lengths : In(tile_lengths(config)), next_lengths : In(tile_lengths(config))
        Of the tile, and of the tile of the next cycle.
    half : Out(1)
        Of a read: its second half.
    read : Out(1)
        A read (of two halves, the second one).
    first, last : Out(1)
        It is the first one of its beat, the last one.
    number : Out
        Its number within the beat.
    """

    def __init__(self, config: HardwareConfig):
        lengths = tile_lengths(config)
        super().__init__(
            {
                "reading": In(1),
                "wide": In(1),
                "lengths": In(lengths),
                "next_lengths": In(lengths),
                "half": Out(1),
                "read": Out(1),
                "first": Out(1),
                "last": Out(1),
                "number": Out(lengths["last_beat"].shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        # The last cycle of a read, or of as much of a pause.
        tick = Signal()
        m.d.comb += tick.eq(self.reading & (self.half | ~self.wide))
        m.d.sync += self.half.eq(self.reading & self.wide & ~self.half)

        # Registers say that a count is where it begins to read, and at its end.
        at = Signal.like(self.lengths.last_beat)
        following = Signal.like(at)
        beyond_first = Signal()
        at_last = Signal()
        m.d.comb += [
            following.eq(at + 1),
            self.read.eq(tick & (self.first | beyond_first)),
            self.last.eq(tick & at_last),
            self.number.eq(at - self.lengths.lead),
        ]
        with m.If(tick):
            m.d.sync += [
                at.eq(following),
                at_last.eq(following == self.lengths.last_beat),
                self.first.eq(following == self.lengths.lead),
                beyond_first.eq(beyond_first | self.first),
            ]
        with m.If(~self.reading | self.last):
            m.d.sync += [
                at.eq(0),
                at_last.eq(self.next_lengths.one_beat),
                self.first.eq(self.next_lengths.at_once),
                beyond_first.eq(0),
            ]
        return m
