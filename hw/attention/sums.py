"""Q (K^T V) and the attention neuron: one lane per time step, the membrane in the accumulator."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.attention.geometry import AttentionGeometry, job_layout
from hw.config import HardwareConfig
from hw.parts.carry_chain import add_three
from hw.parts.delay import delayed
from hw.parts.technology import Technology

SUMS_LATENCY = 2
"""Cycles from a token's last entries to its spikes: sum of the tables, accumulator."""

TOKENS_APART = 2
"""A time step's lane works on a token that many tokens after the lane of the step before."""


class AttentionSums(wiring.Component):
    """Sums entries of K^T V over a token's channels into the membrane of a neuron with tau = 2 and hard reset.

    As in `hw.neurons.lif.Lif`, ``h_t = (v_{t-1} + c_t) / 2``, a spike where ``h_t >= theta``, and ``v_t`` is 0 after a
    spike. A lane accumulates ``A_t = 2 (h_t - theta)``, in units of ``2**(1 - T)`` so that nothing is rounded: its sign
    is the spike, without a comparator. It starts from what the lane before hands on::

        A_1 = C_1 - threshold,    A_t = C_t + (B - threshold) / 2,    B = A_{t-1}, after a spike -threshold

    with ``C_t = 2**(T-1) c_t`` and the threshold as in `Lif`, ``2**T theta``. The last sum is kept for a token's time,
    in the last cycle of which what it hands on is loaded for the one behind it: lanes are `TOKENS_APART` tokens apart.
    It is 0 in all other cycles, and the accumulator is 0 in that one, so they join without a choice (OR).

    With several time chunks T counts the steps of all of them. The first lane starts from what the last one handed on
    in the chunk before, which is kept in `AttentionMembranes` meanwhile.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    technology : Technology
        What adders are made of.

    Members
    -------
    job : In(job_layout(config))
        Gives the threshold.
    entries : In(ArrayLayout(ArrayLayout(ArrayLayout(unsigned(entry_bits), columns), tables), timesteps))
        From the tables, every cycle.
    first, last : In(1)
        They are a token's first, a token's last ones, in all lanes.
    spikes : Out(ArrayLayout(unsigned(columns), timesteps))
        Of all time steps of a token, `SUMS_LATENCY` cycles after the last entries of its last time step.
    fresh : In(1), carried : In, membranes : Out
        Only with several time chunks. It is the first one; else the first lane starts from `carried`, used in the cycle
        after a `first`; what the last lane hands on, in the cycle of `spikes`.
    """

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        entries = data.ArrayLayout(unsigned(AttentionGeometry(config).entry_bits), config.attention_columns)
        membranes = data.ArrayLayout(unsigned(AttentionGeometry(config).membrane_bits), config.attention_columns)
        chunked = {"fresh": In(1), "carried": In(membranes), "membranes": Out(membranes)}
        super().__init__(
            {
                "job": In(job_layout(config)),
                "entries": In(data.ArrayLayout(data.ArrayLayout(entries, config.attention_tables), config.timesteps)),
                "first": In(1),
                "last": In(1),
                "spikes": Out(data.ArrayLayout(unsigned(config.attention_columns), config.timesteps)),
                **(chunked if config.time_chunks > 1 else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job
        timesteps, width = config.timesteps, AttentionGeometry(config).membrane_bits
        fraction = config.max_timesteps - 1
        first = delayed(m, self.first, 1, name="first")
        last = delayed(m, self.last, 1, name="last")
        complete = delayed(m, last, 1, name="complete")
        fired = [[Signal(name=f"fired{t}_{j}") for j in range(config.attention_columns)] for t in range(timesteps)]
        opening = Signal(signed(width), reset_less=True)
        m.d.sync += opening.eq(Mux(last, job.below_threshold, 0))
        for column in range(config.attention_columns):
            start = opening
            if config.time_chunks > 1:
                start = Signal(signed(width), name=f"opening{column}")
                carried = Mux(self.fresh, job.below_threshold, self.carried[column].as_signed())
                m.d.comb += start.eq(Mux(first, carried, 0))
            for t in range(timesteps):
                name = f"step{t}_column{column}"
                membrane = Signal(width - fraction, name=name, reset_less=True)
                final = Signal(signed(width), name=f"{name}_final", reset_less=True)
                total = add_three(
                    m,
                    [membrane, *self._terms(m, t, column)],
                    len(membrane),
                    name=f"{name}_add",
                    technology=self._technology,
                    join_first=start[fraction:],
                )
                low = Signal(fraction, name=f"{name}_low", reset_less=True)
                m.d.sync += membrane.eq(Mux(last, 0, total))
                with m.If(first):
                    m.d.sync += low.eq(start[:fraction])
                with m.If(last):
                    m.d.sync += final.eq(Cat(low, total))
                m.d.comb += fired[t][column].eq(~final[-1])
                left = Mux(fired[t][column], job.below_threshold, final).as_signed()
                handed_on = (job.below_threshold + left) >> 1
                if t + 1 < timesteps:
                    start = Signal.like(final, name=f"{name}_start")
                    m.d.sync += start.eq(Mux(last, handed_on, 0))
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

    def _terms(self, m: Module, t: int, column: int) -> list[Signal]:
        """The entries of a cycle, registered: of two tables their sum, of four the sum of three and the fourth."""
        entries = [self.entries[t][table][column] for table in range(self._config.attention_tables)]
        terms: list[Signal] = []
        for part in (entries,) if len(entries) == 2 else (entries[:3], entries[3:]):
            bits = (len(part) * ((1 << len(part[0])) - 1)).bit_length()
            term = Signal(bits, name=f"step{t}_column{column}_term{len(terms)}", reset_less=True)
            m.d.sync += term.eq(add_three(m, part, bits, name=term.name, technology=self._technology))
            terms.append(term)
        return terms
