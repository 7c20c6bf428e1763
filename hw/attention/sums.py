"""Q (K^T V) and the attention neurons: one lane per time step."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.attention.geometry import TOKENS_APART, AttentionGeometry
from hw.attention.job import job_layout
from hw.attention.neuron import AttentionNeuron
from hw.config import HardwareConfig
from hw.parts.delay import delayed
from hw.parts.technology import Technology


class AttentionSums(wiring.Component):
    """Sums entries of K^T V over a token's channels and takes the sums through the neurons, see `AttentionNeuron`.

    The neuron of a time step works on a token `TOKENS_APART` tokens after the neuron of the step before: that one keeps
    its membrane for a token's time, and hands it on in the last cycle of that time.

    With several time chunks the first step starts from what the last one left in the chunk before, which is kept in
    `AttentionMembranes` meanwhile.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    technology : Technology
        What adders and comparators are made of.

    Members
    -------
    job : In(job_layout(config))
        Gives the threshold, and whether neurons leak.
    entries : In(ArrayLayout(ArrayLayout(ArrayLayout(unsigned(entry_bits), columns), tables), timesteps))
        From the tables, every cycle.
    last : In(1)
        They are a token's last ones, in all lanes.
    spikes : Out(ArrayLayout(unsigned(columns), timesteps))
        Of all time steps of a token, `latency` cycles after the last entries of its last time step.
    carried, left : In, Out(ArrayLayout(unsigned(carried_bits), columns))
        Only with several time chunks. Membranes that the first step of the next token starts from, in the cycle after
        a `last`; those after the last step, in the cycle of `spikes`.
    """

    latency = AttentionNeuron.latency
    """Cycles from the last entries of a token's last time step to `spikes`."""

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        geometry = AttentionGeometry(config)
        entries = data.ArrayLayout(unsigned(geometry.entry_bits), config.attention_columns)
        membranes = data.ArrayLayout(unsigned(geometry.carried_bits), config.attention_columns)
        chunked = {"carried": In(membranes), "left": Out(membranes)} if config.time_chunks > 1 else {}
        super().__init__(
            {
                "job": In(job_layout(config)),
                "entries": In(data.ArrayLayout(data.ArrayLayout(entries, config.attention_tables), config.timesteps)),
                "last": In(1),
                "spikes": Out(data.ArrayLayout(unsigned(config.attention_columns), config.timesteps)),
                **chunked,
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        last = delayed(m, self.last, 1, name="last")
        columns = [self._column(m, column, last) for column in range(config.attention_columns)]
        complete = delayed(m, last, 1, name="complete")
        for t, neurons in enumerate(zip(*columns, strict=True)):
            spikes = Cat(neuron.spike for neuron in neurons)
            for token in range(TOKENS_APART * (config.timesteps - 1 - t)):
                # With a reset, for flip-flops: a shift register of LUTs would be larger.
                waiting = Signal(config.attention_columns, name=f"spikes{t}_token{token}")
                with m.If(complete):
                    m.d.sync += waiting.eq(spikes)
                spikes = waiting
            m.d.comb += self.spikes[t].eq(spikes)
        return m

    def _column(self, m: Module, column: int, last: Signal) -> list[AttentionNeuron]:
        """The neurons of all time steps of a column, each of which starts from what the one before leaves."""
        config = self._config
        neurons: list[AttentionNeuron] = []
        for t in range(config.timesteps):
            m.submodules[f"neuron{t}_{column}"] = neuron = AttentionNeuron(config, t, technology=self._technology)
            m.d.comb += [neuron.last.eq(last), neuron.threshold.eq(self.job.threshold)]
            if config.if_neurons:
                m.d.comb += neuron.no_leak.eq(self.job.no_leak)
            for table in range(config.attention_tables):
                m.d.comb += neuron.entries[table].eq(self.entries[t][table][column])
            if neurons:
                m.d.comb += neuron.membrane.eq(neurons[-1].left)
            neurons.append(neuron)
        if config.time_chunks > 1:
            m.d.comb += [
                neurons[0].membrane.eq(self.carried[column]),
                # In a chunk that another one follows, the bits below are zero.
                self.left[column].eq(neurons[-1].left >> config.timesteps),
            ]
        return neurons
