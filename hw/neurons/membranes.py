# amaranth: UnusedElaboratable=no
# A component made to ask for its latency is not elaborated.
"""Membranes on their way from one time chunk to the next."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.neurons.lif import Lif


def membrane_words(config: HardwareConfig) -> int:
    """Sets of membranes under way at a time: the batches of a word, or the groups of a position tile of K or V."""
    return max(2, config.outputs // config.neurons, config.tile_groups // 2)


def carry_cycles(config: HardwareConfig) -> int:
    """Least cycles between the reads of a neuron's sums of one time chunk and of the next.

    The membranes are read before they meet the currents, come back behind the neuron, and can be read one cycle later.
    """
    neuron = Lif(config.timesteps, config.sum_bits, config.bias_fraction_bits)
    return Membranes(config).latency + neuron.latency + 1


class Membranes(wiring.Component):
    """A LUT RAM of membranes; exists only where a network's time steps may be more than the lanes.

    Time chunks are the innermost loop: the chunks of a position group follow each other, so that no more membranes are
    under way than a word has batches (of K and V, than a position tile has groups). A set is that of one batch:
    `neurons` channels at `positions` positions.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    read_index : In, fresh : In(1)
        A set, and whether it starts from zero: the first time chunk.
    carried : Out(neurons * positions * carried_bits)
        The set, `latency` cycles later.
    write : In(1), write_index : In, membranes : In(neurons * positions * carried_bits)
        A set to keep; it can be read from the next cycle on.
    """

    def __init__(self, config: HardwareConfig):
        self._words = words = membrane_words(config)
        self._shape = shape = unsigned(config.neurons * config.positions * config.carried_bits)
        super().__init__(
            {
                "read_index": In(range(words)),
                "fresh": In(1),
                "carried": Out(shape),
                "write": In(1),
                "write_index": In(range(words)),
                "membranes": In(shape),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from `read_index`, `fresh` to `carried`."""
        return 1

    def elaborate(self, platform):
        m = Module()
        m.submodules.membranes = ram = memory.Memory(shape=self._shape, depth=self._words, init=[])
        read = ram.read_port(domain="comb")
        write = ram.write_port()
        carried = Signal(self._shape, reset_less=True)
        m.d.sync += carried.eq(Mux(self.fresh, 0, read.data))
        m.d.comb += [
            read.addr.eq(self.read_index),
            self.carried.eq(carried),
            write.en.eq(self.write),
            write.addr.eq(self.write_index),
            write.data.eq(self.membranes),
        ]
        return m
