"""Q (K^T V) and the attention neuron: one lane per time step, the membrane in the accumulator."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .attention_geometry import TABLES, AttentionGeometry, job_layout
from .config import HardwareConfig
from .delay import delayed

SUMS_LATENCY = 2
"""Cycles from a token's last entries to its spikes: sum of the tables, accumulator."""

TOKENS_APART = 2
"""A time step's lane works on a token that many tokens after the lane of the step before."""


class AttentionSums(wiring.Component):
    """Sums entries of K^T V over a token's channels into the membrane of a neuron with tau = 2 and hard reset.

    As in `hw.lif.Lif`, ``h_t = (v_{t-1} + c_t) / 2``, a spike where ``h_t >= theta``, and ``v_t`` is 0 after a spike.
    A lane accumulates ``A_t = 2 (h_t - theta)``, in units of ``2**(1 - T)`` so that nothing is rounded: its sign is the
    spike, without a comparator. It starts from what the lane before hands on::

        A_1 = C_1 - threshold,    A_t = C_t + (B - threshold) / 2,    B = A_{t-1}, after a spike -threshold

    with ``C_t = 2**(T-1) c_t`` and the threshold as in `Lif`, ``2**T theta``. The hand-on register keeps its value
    for a token's time, from two tokens after its first step on: lanes are `TOKENS_APART` tokens apart.

    With several time chunks T counts the steps of all of them. The first lane starts from what the last one handed on
    in the chunk before, which is kept in `AttentionMembranes` meanwhile.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    job : In(job_layout(config))
        Gives the threshold.
    entries : In(ArrayLayout(ArrayLayout(ArrayLayout(unsigned(entry_bits), columns), TABLES), timesteps))
        From the tables, every cycle.
    first, last : In(1)
        They are a token's first, a token's last ones, in all lanes.
    spikes : Out(ArrayLayout(unsigned(columns), timesteps))
        Of all time steps of a token, `SUMS_LATENCY` cycles after the last entries of its last time step.
    fresh : In(1), carried : In, membranes : Out
        Only with several time chunks. It is the first one; else the first lane starts from `carried`, used in the cycle
        after a `first`; what the last lane hands on, in the cycle of `spikes`.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        entries = data.ArrayLayout(unsigned(AttentionGeometry(config).entry_bits), config.attention_columns)
        membranes = data.ArrayLayout(unsigned(AttentionGeometry(config).membrane_bits), config.attention_columns)
        chunked = {"fresh": In(1), "carried": In(membranes), "membranes": Out(membranes)}
        super().__init__(
            {
                "job": In(job_layout(config)),
                "entries": In(data.ArrayLayout(data.ArrayLayout(entries, TABLES), config.timesteps)),
                "first": In(1),
                "last": In(1),
                "spikes": Out(data.ArrayLayout(unsigned(config.attention_columns), config.timesteps)),
                **(chunked if config.time_chunks > 1 else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job
        timesteps, unit = config.timesteps, config.max_timesteps - 1
        first = delayed(m, self.first, 1, name="first")
        complete = delayed(m, self.last, SUMS_LATENCY, name="complete")
        fired = [[Signal(name=f"fired{t}_{j}") for j in range(config.attention_columns)] for t in range(timesteps)]
        for column in range(config.attention_columns):
            start = job.below_threshold
            if config.time_chunks > 1:
                start = Mux(self.fresh, start, self.carried[column].as_signed())
            for t in range(timesteps):
                name = f"step{t}_column{column}"
                one, other = (self.entries[t][table][column] for table in range(TABLES))
                added = Signal(len(one) + 1, name=f"{name}_added", reset_less=True)
                m.d.sync += added.eq(one + other)
                membrane = Signal(signed(AttentionGeometry(config).membrane_bits), name=name, reset_less=True)
                kept = Mux(first, start[unit:], membrane[unit:]).as_signed()
                # The plain register first: synthesis feeds it to the carry chain and the choice into the chain's LUT.
                m.d.sync += membrane[unit:].eq(added + kept)
                with m.If(first):
                    m.d.sync += membrane[:unit].eq(start[:unit])
                m.d.comb += fired[t][column].eq(~membrane[-1])
                left = Mux(fired[t][column], job.below_threshold, membrane).as_signed()
                handed_on = (job.below_threshold + left) >> 1
                if t + 1 < timesteps:
                    start = Signal.like(membrane, name=f"{name}_start")
                    with m.If(complete):
                        m.d.sync += start.eq(handed_on)
                elif config.time_chunks > 1:
                    m.d.comb += self.membranes[column].eq(handed_on)
        for t in range(timesteps):
            spikes = Cat(fired[t])
            for token in range(TOKENS_APART * (timesteps - 1 - t)):
                # With a reset, for flip-flops: a shift register of LUTs would be larger.
                waiting = Signal(config.attention_columns, name=f"spikes{t}_token{token}")
                with m.If(complete):
                    m.d.sync += waiting.eq(spikes)
                spikes = waiting
            m.d.comb += self.spikes[t].eq(spikes)
        return m
