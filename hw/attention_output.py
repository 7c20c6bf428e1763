"""Output of the attention engine: the neurons' spikes, assembled into words of the spike memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .config import HardwareConfig
from .slice_walk import SliceWalk
from .spike_memory import SpikeWrite

WRITE_LATENCY = 1
"""Cycles from a word's last spikes to its write."""

DONE_LATENCY = 1
"""Cycles from the last write to `done`."""


class AttentionOutput(wiring.Component):
    """Collects the spikes of ``inputs / attention_columns`` column groups into a word of one position's bank.

    Spikes come in the order of `SliceWalk` with ``positions`` lanes. A set of spikes per cycle; a word is written
    `WRITE_LATENCY` cycles after its last set.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    address_bits : int
        Width of a spike memory address.

    Members
    -------
    start : In(1)
        A job begins; base and stride are taken in this cycle.
    base, stride, last_head, last_group, last_slice : In
        As in `SliceWalk`.
    valid : In(1), spikes : In(ArrayLayout(timesteps, columns))
        The next columns' spikes.
    write : Out(SpikeWrite)
        Write to the spike memory.
    busy : Out(1)
        From the cycle after `start` to the last write.
    done : Out(1)
        High for the cycle after the last write.
    """

    def __init__(self, config: HardwareConfig, address_bits: int):
        self._config, self._address_bits = config, address_bits
        super().__init__(
            {
                "start": In(1),
                "base": In(unsigned(address_bits)),
                "stride": In(unsigned(address_bits)),
                "last_head": In(6),
                "last_group": In(17),
                "last_slice": In(10),
                "valid": In(1),
                "spikes": In(data.ArrayLayout(unsigned(config.timesteps), config.attention_columns)),
                "write": Out(SpikeWrite(config, address_bits)),
                "busy": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        columns, inputs = config.attention_columns, config.inputs
        m.submodules.walk = walk = SliceWalk(self._address_bits, lanes=config.positions)
        sets = inputs // columns
        index, last_set, last_write = Signal(range(max(2, sets))), Signal(), Signal()
        m.d.comb += [
            last_set.eq(index == sets - 1),
            last_write.eq(self.write.valid & walk.walk_end),
            walk.start.eq(self.start),
            walk.step.eq(self.write.valid),
            walk.base.eq(self.base),
            walk.stride.eq(self.stride),
            walk.last_head.eq(self.last_head),
            walk.last_group.eq(self.last_group),
            walk.last_slice.eq(self.last_slice),
            self.write.address.eq(walk.address),
            self.write.banks.eq(1 << walk.lane),
        ]
        m.d.sync += [self.write.valid.eq(self.valid & last_set), self.done.eq(last_write)]
        words = []
        for t in range(config.timesteps):
            word = Signal(inputs, name=f"word_step{t}", reset_less=True)
            with m.If(self.valid):
                m.d.sync += word.eq(Cat(word[columns:], (self.spikes[column][t] for column in range(columns))))
            words.append(word)
        m.d.comb += self.write.data.eq(Cat(words).replicate(config.positions))
        with m.If(self.valid):
            m.d.sync += index.eq(Mux(last_set, 0, index + 1))
        with m.If(last_write):
            m.d.sync += self.busy.eq(0)
        with m.If(self.start):
            m.d.sync += self.busy.eq(1)
        return m
