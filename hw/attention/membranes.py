"""Membranes of the attention neurons on their way from one time chunk to the next."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from hw.attention.geometry import AttentionGeometry
from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR

CARRIED_BITS = DESCRIPTOR["attention_threshold"].shape.width
"""Bits kept of a membrane less threshold: it is negative, and no less than the negative threshold."""


class AttentionMembranes(wiring.Component):
    """A block RAM with a word per token and set of columns of a head; exists only in machines of several time chunks.

    Every round of a job (one time chunk) takes the tokens of all sets in the same order, so words are only counted. A
    word is read a few tokens before it is written: never in one cycle.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    begin : In(1)
        A round begins: back to the first word.
    take : In(1)
        `carried` is used in this cycle; the next word is there two cycles later.
    carried : Out(ArrayLayout(signed(membrane_bits), columns))
        What the first time step starts from, see `AttentionSums`.
    keep : In(1), membranes : In(ArrayLayout(signed(membrane_bits), columns))
        The next word to be written.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        geometry = AttentionGeometry(config)
        self._bits = min(CARRIED_BITS, geometry.membrane_bits - 1)
        membranes = data.ArrayLayout(unsigned(geometry.membrane_bits), config.attention_columns)
        super().__init__(
            {
                "begin": In(1),
                "take": In(1),
                "carried": Out(membranes),
                "keep": In(1),
                "membranes": In(membranes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, bits = self._config, self._bits
        words = AttentionGeometry(config).carried_words
        ram = memory.Memory(
            shape=unsigned(bits * config.attention_columns), depth=words, init=[],
            attrs={"no_rw_check": 1, "ram_style": "block"},
        )  # fmt: skip
        m.submodules.membranes = ram
        read = ram.read_port()
        write = ram.write_port()
        taken = Signal(range(words))
        kept = Signal(range(words))
        with m.If(self.take):
            m.d.sync += taken.eq(taken + 1)
        with m.If(self.keep):
            m.d.sync += kept.eq(kept + 1)
        with m.If(self.begin):
            m.d.sync += [taken.eq(0), kept.eq(0)]
        m.d.comb += [
            read.addr.eq(taken),
            write.addr.eq(kept),
            write.en.eq(self.keep),
            write.data.eq(Cat(membrane[:bits] for membrane in self.membranes)),
        ]
        for column in range(config.attention_columns):
            sign = Const(-1, len(self.carried[column]) - bits)
            m.d.comb += self.carried[column].eq(Cat(read.data.word_select(column, bits), sign))
        return m
