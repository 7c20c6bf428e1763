"""Turns spikes that come position group by position group into words of all tokens of a channel."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.attention.token_write import TokenWrite
from hw.config import HardwareConfig
from hw.descriptor import Destination
from hw.neurons.batch import batch_layout
from hw.parts.delay import delayed


def tokens_latency(config: HardwareConfig) -> int:
    """Cycles from a batch's last group to the word of its last neuron."""
    return config.neurons


class TokenVectors(wiring.Component):
    """Shifts position groups into a vector per neuron and writes the vectors, a channel per cycle.

    Every time chunk of a batch makes words of its own.

    A neuron's spikes are delayed by its number, so the vectors of a batch are complete in the order and at the pace in
    which they are written, and the next batch may follow at once. Its last group must keep `neurons` cycles away.

    The word of neuron n leaves ``1 + n`` cycles after the batch's last group.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    spikes : In(neurons * lanes), batch : In(batch_layout)
        From the neurons; batches of other destinations are ignored.
    write : Out(TokenWrite)
        Towards the attention engine. A tile of ``g`` groups fills the top ``g * positions`` bits of each time step, the
        last group on top; the rest is zero. K and V agree, which is all that a popcount over the tokens needs.
    layer : Out(8)
        Layer of the word.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "spikes": In(unsigned(config.neurons * config.lanes)),
                "batch": In(batch_layout(config)),
                "write": Out(TokenWrite(config)),
                "layer": Out(batch_layout(config)["layer"].shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, batch, write = self._config, self.batch, self.write
        here = Signal()
        values = Signal()
        m.d.comb += [
            values.eq(batch.destination == Destination.VALUES),
            here.eq(batch.valid & (values | (batch.destination == Destination.KEYS))),
        ]
        layout = data.ArrayLayout(unsigned(config.chunk_tokens), config.timesteps)
        vectors, complete = [], []
        for neuron in range(config.neurons):
            vector = Signal(layout, name=f"vector_{neuron}", reset_less=True)
            name = f"neuron_{neuron}"
            now = delayed(m, here, neuron, name=f"{name}_now", reset=True)
            first = delayed(m, batch.first, neuron, name=f"{name}_first")
            last = delayed(m, batch.last, neuron, name=f"{name}_last")
            spikes = delayed(m, self.spikes.word_select(neuron, config.lanes), neuron, name=f"{name}_spikes")
            with m.If(now):
                for t in range(config.timesteps):
                    fresh = Cat(spikes[p * config.timesteps + t] for p in range(config.positions))
                    m.d.sync += vector[t].eq(Cat(Mux(first, 0, vector[t])[config.positions :], fresh))
            vectors.append(vector)
            complete.append(delayed(m, now & last, 1, name=f"{name}_complete", reset=True))

        about = [(write.is_value, values), (write.buffer, batch.token_buffer), (write.chunk, batch.chunk)]
        if config.time_chunks > 1:
            about.append((write.time_chunk, batch.time_chunk))
        channel = Signal.like(batch.channel, reset_less=True)
        with m.If(here & batch.last):
            m.d.sync += [channel.eq(batch.channel), self.layer.eq(batch.layer)]
            m.d.sync += [member.eq(value) for member, value in about]
        m.d.comb += [write.valid.eq(Cat(complete).any()), write.data.eq(vectors[-1])]
        m.d.comb += write.channel.eq(channel | config.neurons - 1)
        for neuron in reversed(range(config.neurons - 1)):
            with m.If(complete[neuron]):
                m.d.comb += [write.data.eq(vectors[neuron]), write.channel.eq(channel | neuron)]
        return m
