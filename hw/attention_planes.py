"""From counts to bit-planes: transposes K^T V on its way into the memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .attention_geometry import AttentionGeometry
from .config import HardwareConfig
from .delay import delayed

WRITE_LATENCY = 1
"""Cycles from a segment's last counts to the first of its words."""

WRITTEN_LATENCY = 1
"""Cycles from a head's last word to `written`."""


class PlaneTransposer(wiring.Component):
    """Packs entries of K^T V, which come as counts, into words of bit-planes over the channels of a segment.

    A column (of V) brings the counts of ``attention_columns`` channels (of K) at a time. Every bit-plane shifts them
    into a register of ``attention_segment`` bits from the top: the first channel ends up lowest. A last segment of
    fewer channels ends at the top, with bits of its forerunner below; Q is zero there.

    Plane b of a segment goes into piece ``b % segments`` of word ``b // segments``, ``[timesteps][segments][segment]``.
    The segment's words are written in successive cycles. The next segment's counts may already come meanwhile:
    the planes of word w are delayed by w cycles, so that every word is complete exactly when its turn comes.

    Words lie one after another: for each column of the bank, segment, word. Column j is in bank ``j % columns``.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    counts : In(ArrayLayout(unsigned(attention_planes), columns * timesteps))
        ``[channels][timesteps]``.
    valid : In(1)
        Counts are taken.
    segment_end, column_end, head_end : In(1)
        They are the last ones of a segment, of a column, of the head. From one `segment_end` to the next at least
        `plane_words` cycles.
    plane_words : In
        Words per segment, stable.
    write : Out(1), bank : Out(range(columns)), address : Out, word : Out(word_bits)
        Write to the K^T V memory. A segment's words leave `WRITE_LATENCY` cycles after its last counts and in the
        ``plane_words - 1`` cycles after.
    written : Out(1)
        High `WRITTEN_LATENCY` cycles after the head's last word.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        self._geometry = geometry = AttentionGeometry(config)
        counts = data.ArrayLayout(unsigned(config.attention_planes), config.attention_columns * config.timesteps)
        super().__init__(
            {
                "counts": In(counts),
                "valid": In(1),
                "segment_end": In(1),
                "column_end": In(1),
                "head_end": In(1),
                "plane_words": In(range(geometry.plane_words + 1)),
                "write": Out(1),
                "bank": Out(range(max(2, config.attention_columns))),
                "address": Out(range(max(2, geometry.key_value_words))),
                "word": Out(unsigned(geometry.word_bits)),
                "written": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words = [self._plane_word(m, w) for w in range(self._geometry.plane_words)]

        index, column_end, head_end = Signal(range(max(2, len(words)))), Signal(), Signal()
        segment_end, last_word = Signal(), Signal()
        m.d.comb += [
            segment_end.eq(self.valid & self.segment_end),
            last_word.eq(index == self.plane_words - 1),
        ]
        with m.Switch(index):
            for w, word in enumerate(words):
                with m.Case(w):
                    m.d.comb += self.word.eq(word)
        m.d.sync += self.written.eq(self.write & last_word & head_end)
        with m.If(self.write):
            m.d.sync += index.eq(index + 1)
            self._next_address(m, last_word & column_end, last_word & head_end)
        with m.If(self.write & last_word):
            m.d.sync += [self.write.eq(0), index.eq(0)]
        with m.If(segment_end):
            m.d.sync += [self.write.eq(1), column_end.eq(self.column_end), head_end.eq(self.head_end)]
        return m

    def _plane_word(self, m: Module, w: int) -> Value:
        """Shift registers of the planes of word `w`, as the word."""
        config, segments = self._config, self._geometry.segments
        columns, timesteps = config.attention_columns, config.timesteps
        shift = delayed(m, self.valid, w, name=f"valid_word{w}", reset=True)
        pieces = []
        for t in range(timesteps):
            for plane in range(w * segments, (w + 1) * segments):
                piece = Signal(config.attention_segment, name=f"step{t}_plane{plane}", reset_less=True)
                if plane < config.attention_planes:
                    bits = Signal(columns, name=f"counts_step{t}_plane{plane}")
                    m.d.comb += bits.eq(Cat(self.counts[column * timesteps + t][plane] for column in range(columns)))
                    bits = delayed(m, bits, w, name=bits.name)
                    with m.If(shift):
                        m.d.sync += piece.eq(Cat(piece[columns:], bits))
                pieces.append(piece)
        return Cat(pieces)

    def _next_address(self, m: Module, column_done, head_done) -> None:
        """Step through the banks' words: a column of every bank lies at the same addresses."""
        last_bank = self._config.attention_columns - 1
        column_start = Signal.like(self.address)
        m.d.sync += self.address.eq(self.address + 1)
        with m.If(column_done):
            m.d.sync += self.bank.eq(Mux(self.bank == last_bank, 0, self.bank + 1))
            with m.If(self.bank == last_bank):
                m.d.sync += column_start.eq(self.address + 1)
            with m.Else():
                m.d.sync += self.address.eq(column_start)
        with m.If(head_done):
            m.d.sync += [self.address.eq(0), column_start.eq(0)]
