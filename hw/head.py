"""Classification head: partial sums over tokens and time steps become logits and a prediction."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .config import HardwareConfig
from .delay import delayed
from .neurons import CHANNEL_BITS, TILE_BITS, batch_layout
from .trees import tree_levels, tree_sum

LOGIT_BITS = 32


def head_latency(config: HardwareConfig) -> int:
    """Cycles from a tile's last group to its first logit: the lanes' tree, the accumulator."""
    return tree_levels(config.lanes) + 1


class Head(wiring.Component):
    """``logit = (sum over tokens and time steps << fraction) + bias``, and the index of the first largest logit.

    The batches of a channel arrive position tile by position tile, one position group per cycle. After a tile's last
    group its channels are added to their logits, one per cycle, the first ``head_latency(config)`` cycles after that
    group; the next batch must keep `neurons` cycles away. The mean of the network is in the logits' scale, one for all
    classes, so integers compare.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    active : In(1)
        The running layer is the head.
    tiles : In(12)
        Its position tiles.
    sums, biases, batch : In
        From the neurons.
    valid : Out(1), index : Out(14), logit : Out(signed(32))
        A finished logit.
    prediction : Out(14)
        Index of the largest logit so far.
    host_index : In, host_logit : Out(signed(32))
        Reads a logit, combinational.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "active": In(1),
                "tiles": In(TILE_BITS),
                "sums": In(data.ArrayLayout(signed(config.accumulator_bits), config.neurons * config.lanes)),
                "biases": In(data.ArrayLayout(signed(32), config.neurons)),
                "batch": In(batch_layout(config)),
                "valid": Out(1),
                "index": Out(CHANNEL_BITS),
                "logit": Out(signed(LOGIT_BITS)),
                "prediction": Out(CHANNEL_BITS),
                "host_index": In(range(config.max_classes)),
                "host_logit": Out(signed(LOGIT_BITS)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, lanes = self._config, self._config.lanes
        depth = tree_levels(lanes)
        here = data.View(batch_layout(config), delayed(m, self.batch.as_value(), depth, name="batch"))
        first_tile, last_tile = Signal(), Signal()
        m.d.comb += [first_tile.eq(here.tile == 0), last_tile.eq(here.tile == self.tiles - 1)]

        totals, biases = Signal(data.ArrayLayout(signed(LOGIT_BITS), config.neurons)), Signal.like(self.biases)
        lane, emitting, channel = Signal(range(max(2, config.neurons))), Signal(), Signal(CHANNEL_BITS)
        adding = Signal()
        m.d.comb += adding.eq(self.active & here.valid)
        for neuron in range(config.neurons):
            total, _ = tree_sum(
                m, [self.sums[neuron * lanes + i] for i in range(lanes)], name=f"lanes_{neuron}", registered=True
            )
            bias = delayed(m, self.biases[neuron], depth, name=f"bias_{neuron}")
            with m.If(adding):
                m.d.sync += [
                    totals[neuron].eq(Mux(here.first_group, 0, totals[neuron]) + total),
                    biases[neuron].eq(bias),
                ]
        with m.If(emitting):
            m.d.sync += lane.eq(lane + 1)
            with m.If(lane == config.neurons - 1):
                m.d.sync += emitting.eq(0)
        ends, opens = Signal(), Signal()
        with m.If(adding & here.last_group):
            m.d.sync += [emitting.eq(1), lane.eq(0), channel.eq(here.channel), opens.eq(first_tile), ends.eq(last_tile)]

        m.submodules.logits = ram = memory.Memory(shape=signed(LOGIT_BITS), depth=config.max_classes, init=[])
        before, host, write = ram.read_port(domain="comb"), ram.read_port(domain="comb"), ram.write_port()
        total, bias, logit = Signal(signed(LOGIT_BITS)), Signal(signed(LOGIT_BITS)), Signal(signed(LOGIT_BITS))
        with m.Switch(lane):
            for neuron in range(config.neurons):
                with m.Case(neuron):
                    m.d.comb += [total.eq(totals[neuron]), bias.eq(biases[neuron])]
        best = Signal(signed(LOGIT_BITS))
        m.d.comb += [
            before.addr.eq(self.index),
            logit.eq(Mux(opens, bias, before.data) + (total << config.bias_fraction_bits)),
            write.addr.eq(self.index),
            write.data.eq(logit),
            write.en.eq(emitting & (self.index < config.max_classes)),
            self.index.eq(channel + lane),
            self.valid.eq(write.en & ends),
            self.logit.eq(logit),
            host.addr.eq(self.host_index),
            self.host_logit.eq(host.data),
        ]
        with m.If(self.valid & ((self.index == 0) | (logit > best))):
            m.d.sync += [best.eq(logit), self.prediction.eq(self.index)]
        return m
