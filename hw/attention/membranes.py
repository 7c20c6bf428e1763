"""Membranes of the attention neurons on their way from one time chunk to the next."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.attention.geometry import AttentionGeometry
from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.parts.dual_port import dual_port_memory


class AttentionMembranes(wiring.Component):
    """A block RAM with a word per token and set of columns of a head; exists only in machines of several time chunks.

    Every round of a job (one time chunk) takes the tokens of all sets in the same order, so words are only counted. A
    word is read a few tokens before it is written: never in one cycle.

    What is carried did not fire, so it is below the threshold, that of a descriptor: no more bits are kept, with or
    without a leak.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    begin : In(1)
        A round begins: back to the first word.
    fresh : In(1)
        It is a job's first one: membranes are 0.
    take : In(1)
        `carried` is used in this cycle; the next word is there `latency` cycles later.
    carried : Out(ArrayLayout(unsigned(carried_bits), columns))
        What the first time step starts from, see `AttentionSums`.
    keep : In(1), left : In(ArrayLayout(unsigned(carried_bits), columns))
        The next word to be written.
    """

    latency = 2
    """Cycles from a `take` to the next word: its address, block RAM."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        self._geometry = geometry = AttentionGeometry(config)
        membranes = data.ArrayLayout(unsigned(geometry.carried_bits), config.attention_columns)
        super().__init__(
            {
                "begin": In(1),
                "fresh": In(1),
                "take": In(1),
                "carried": Out(membranes),
                "keep": In(1),
                "left": In(membranes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, words = self._config, self._geometry.carried_words
        bits = min(self._geometry.carried_bits, DESCRIPTOR["attention_threshold"].width - config.timesteps)
        read, write = dual_port_memory(
            m, name="membrane_words", width=bits * config.attention_columns, depth=words, block=True
        )
        taken = Signal(range(words))
        kept = Signal(range(words))
        with m.If(self.take):
            m.d.sync += taken.eq(taken + 1)
        with m.If(self.keep):
            m.d.sync += kept.eq(kept + 1)
        with m.If(self.begin):
            m.d.sync += [taken.eq(0), kept.eq(0)]
        # A word is read when it becomes the next one.
        m.d.sync += read.en.eq(self.take | self.begin)
        m.d.comb += [
            read.addr.eq(taken),
            write.addr.eq(kept),
            write.en.eq(self.keep),
            write.data.eq(Cat(membrane[:bits] for membrane in self.left)),
        ]
        for column in range(config.attention_columns):
            m.d.comb += self.carried[column].eq(Mux(self.fresh, 0, read.data.word_select(column, bits)))
        return m
