"""Classification head: sums over tokens and time steps become logits and a prediction."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.config import HardwareConfig
from hw.descriptor import Destination
from hw.neurons.batch import batch_layout, channel_bits
from hw.parts.adder_tree import tree_sum, tree_sum_latency
from hw.parts.delay import delayed

LOGIT_BITS = 32


class Head(wiring.Component):
    """``logit = (sum over tokens and time steps << fraction) + bias``, and the index of the first largest logit.

    The batches of a channel arrive position tile by position tile, a position group per cycle at most. After a tile's
    last group its channels are added to their logits, one per cycle, the first `latency` cycles after that group.
    Meanwhile the next batch may come; its last group must keep `neurons` cycles away. The mean of the network is in the
    logits' scale, one for all classes, so integers compare.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    sums, biases, batch : In
        From the neurons; batches of other destinations are ignored.
    valid : Out(1), index : Out, logit : Out(signed(32))
        A finished logit.
    prediction : Out
        Index of the largest logit so far, from the cycle after its `valid` on.
    host_index : In, host_logit : Out(signed(32))
        Reads a logit, one cycle of latency; not while logits are being added to.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "sums": In(data.ArrayLayout(signed(config.sum_bits), config.neurons * config.lanes)),
                "biases": In(data.ArrayLayout(signed(LOGIT_BITS), config.neurons)),
                "batch": In(batch_layout(config)),
                "valid": Out(1),
                "index": Out(channel_bits(config)),
                "logit": Out(signed(LOGIT_BITS)),
                "prediction": Out(range(max(2, config.max_classes))),
                "host_index": In(range(config.max_classes)),
                "host_logit": Out(signed(LOGIT_BITS)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a tile's last group to its first logit: the lanes' tree, the accumulator, two of the logit."""
        return tree_sum_latency(self._config.lanes) + 3

    def elaborate(self, platform):
        m = Module()
        config, lanes = self._config, self._config.lanes
        depth, neuron_bits = tree_sum_latency(lanes), exact_log2(config.neurons)
        batch = self.batch
        adding = delayed(
            m, batch.valid & (batch.destination == Destination.LOGITS), depth, name="adding", reset=True
        )  # fmt: skip
        first, last, first_tile, last_tile, channel = (
            delayed(m, batch[field], depth, name=field)
            for field in ("first", "last", "first_tile", "last_tile", "channel")
        )

        # Sums of a tile begin with the bias or, behind the first tile, with nothing. The last ones move through
        # `leaving`, the first channel in front.
        complete = Signal()
        emitting = Signal()
        lane = Signal(range(max(2, config.neurons)))
        leaving = [Signal(signed(LOGIT_BITS), name=f"leaving_{n}", reset_less=True) for n in range(config.neurons)]
        m.d.comb += complete.eq(adding & last)
        for neuron in range(config.neurons):
            tokens = tree_sum(
                m, [self.sums[neuron * lanes + i] for i in range(lanes)], name=f"lanes_{neuron}", registered=True
            )
            bias = delayed(m, self.biases[neuron], depth, name=f"bias_{neuron}")
            total = Signal(signed(LOGIT_BITS), name=f"total_{neuron}", reset_less=True)
            before = Signal(signed(LOGIT_BITS), name=f"before_{neuron}")
            sum_ = Signal(signed(LOGIT_BITS), name=f"sum_{neuron}")
            m.d.comb += [
                before.eq(Mux(first, Mux(first_tile, bias, 0), total)),
                sum_.eq((tokens << config.bias_fraction_bits) + before),
            ]
            with m.If(adding):
                m.d.sync += total.eq(sum_)
            if neuron + 1 < config.neurons:
                m.d.sync += leaving[neuron].eq(Mux(complete, sum_, leaving[neuron + 1]))
            else:
                with m.If(complete):
                    m.d.sync += leaving[neuron].eq(sum_)

        first_channel = Signal.like(self.index, reset_less=True)
        opens = Signal()
        ends = Signal()
        with m.If(emitting):
            m.d.sync += lane.eq(lane + 1)
            with m.If(lane == config.neurons - 1):
                m.d.sync += emitting.eq(0)
        with m.If(complete):
            m.d.sync += [
                emitting.eq(1), lane.eq(0), first_channel.eq(channel), opens.eq(first_tile), ends.eq(last_tile),
            ]  # fmt: skip

        # Three cycles: a logit is read, summed and written, compared. It is read again two cycles later at the soonest:
        # so far are the last groups of its tiles apart, and then the sum is there.
        reading = Signal()
        index = Signal.like(self.index)
        summing = Signal()
        summed = Signal.like(self.index, reset_less=True)
        ends_there = Signal(reset_less=True)
        added, kept, total = (
            Signal(signed(LOGIT_BITS), name=n, reset_less=True) for n in ("added", "kept", "logit_sum")
        )
        m.submodules.logits = ram = memory.Memory(shape=signed(LOGIT_BITS), depth=config.max_classes, init=[])
        read = ram.read_port(domain="comb")
        write = ram.write_port()
        m.d.comb += [
            index.eq(Cat(lane[:neuron_bits], first_channel[neuron_bits:])),
            reading.eq(emitting & (index < config.max_classes)),
            read.addr.eq(Mux(emitting, index, self.host_index)),
            self.host_logit.eq(kept),
            total.eq(added + kept),
            write.addr.eq(summed),
            write.data.eq(total),
            write.en.eq(summing),
        ]
        m.d.sync += [
            summing.eq(reading), summed.eq(index), ends_there.eq(ends), added.eq(leaving[0]), kept.eq(read.data),
            self.valid.eq(summing & ends_there), self.index.eq(summed), self.logit.eq(total),
        ]  # fmt: skip
        with m.If(emitting & opens):
            m.d.sync += kept.eq(0)
        best = Signal(signed(LOGIT_BITS))
        with m.If(self.valid & ((self.index == 0) | (self.logit > best))):
            m.d.sync += [best.eq(self.logit), self.prediction.eq(self.index)]
        return m
