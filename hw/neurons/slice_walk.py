"""Where the pieces of a layer belong in the memory they are written to."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.neurons.batch import batch_layout
from hw.neurons.read_walk import read_layout
from hw.parts.delay import delayed


class SliceWalk(wiring.Component):
    """Follows the reads through the slices of a layer's output, and the pieces of a word.

    An output tile is several slices, which every position group goes through again, or it is a piece of one.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1), descriptor : In(DESCRIPTOR)
        A layer.
    read : In(read_layout(config)), output_tile_drained : In(1)
        The read; it is the last one of an output tile.
    address : Out
        Of the slice, `latency` cycles after the read: that leaves time to know what ends with it.
    piece : Out
        Piece of the words of the slice, `latency` cycles after the read.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        batch = batch_layout(config)
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(DESCRIPTOR),
                "read": In(read_layout(config)),
                "output_tile_drained": In(1),
                "address": Out(batch["slice_address"].shape),
                "piece": Out(batch["piece"].shape),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from `read` to `address` and `piece`."""
        return 1

    def elaborate(self, platform):
        m = Module()
        start = delayed(m, self.start, self.latency, name="late_start", reset=True)
        drained = delayed(m, self.output_tile_drained, self.latency, name="late_drained", reset=True)
        above = Signal.like(self.address)
        m.d.comb += above.eq(self.address + self.descriptor.destination_slice_stride)
        if self._config.tile_pieces > 1:
            self._walk_slices(m, start, drained, above)
        else:
            self._walk_pieces(m, start, drained, above)
        return m

    def _walk_slices(self, m: Module, start: Signal, drained: Signal, above: Signal) -> None:
        """A slice per piece; every position group begins with the output tile's first one again."""
        beat_end = delayed(m, self.read.beat_end, self.latency, name="late_beat_end", reset=True)
        word_end = delayed(m, self.read.word_end, self.latency, name="late_word_end", reset=True)
        base = self.descriptor.destination_base
        first = Signal.like(self.address)
        with m.If(drained):
            m.d.sync += [first.eq(above), self.address.eq(above)]
        with m.Elif(word_end):
            m.d.sync += self.address.eq(first)
        with m.Elif(beat_end):
            m.d.sync += self.address.eq(above)
        with m.If(start):
            m.d.sync += [first.eq(base), self.address.eq(base)]

    def _walk_pieces(self, m: Module, start: Signal, drained: Signal, above: Signal) -> None:
        """An output tile per piece."""
        last = self.piece == self._config.word_pieces - 1
        with m.If(drained):
            m.d.sync += self.piece.eq(Mux(last, 0, self.piece + 1))
            with m.If(last):
                m.d.sync += self.address.eq(above)
        with m.If(start):
            m.d.sync += [self.piece.eq(0), self.address.eq(self.descriptor.destination_base)]
