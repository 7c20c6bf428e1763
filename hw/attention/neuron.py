"""The attention neuron of one time step: it accumulates a token's sum onto its membrane, and compares."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.attention.geometry import AttentionGeometry
from hw.config import HardwareConfig
from hw.parts.carry_chain import add_three, at_least
from hw.parts.technology import Technology

TABLES_ADDED = 3
"""Most tables whose entries are added before the accumulator, which adds two terms."""


class AttentionNeuron(wiring.Component):
    """One time step of a neuron with hard reset, tau = 2 or no leak, whose input current comes entry by entry.

    The neuron of `hw.neurons.lif.Lif` without a bias. With ``C_t`` the sum of all `entries` of a token::

        G_t = G_{t-1} + 2**(t-1) * C_t,   spike_t = G_t * 2**(T-t) >= threshold,   G_t = 0 after a spike

    and ``threshold = 2**T * theta``, where T counts the time steps of all time chunks. Nothing is negative. A chunk's
    membranes are fixed-point numbers with a fractional bit for every step that may come in another chunk, so step t of
    a chunk adds its sum above ``low_bits = max_timesteps - timesteps + t - 1`` bits. No current is above ``2**sum_bits
    - 1``, so neither is a membrane in units of the current: ``G_{t-1}`` has ``low_bits + sum_bits`` bits, and ``G_t``
    one more.

    With `if_neurons` a job may say `no_leak`: ``V_t = V_{t-1} + C_t``, which is here ``2**low_bits * V_t``, so what was
    handed on counts twice, and the threshold is ``2**(T-1) * theta``. ``V_t`` must have ``sum_bits + 1`` bits, those of
    the accumulator, which the compiler proves: what is handed on is below the threshold, so that is ``theta - 1 + C_t``
    at most. All else is as with a leak, and no wider.

    The membrane is loaded in the last cycle of a token for the one behind it: it is 0 in all cycles but the one that
    follows, in which the accumulator is 0, so they join without a choice (OR).

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    step : int
        The time step within a chunk, t - 1.
    technology : Technology
        What adders and comparators are made of.

    Members
    -------
    entries : In(ArrayLayout(unsigned(entry_bits), tables))
        Of K^T V, every cycle.
    last : In(1)
        In the cycle after a token's last entries.
    membrane : In(unsigned(low_bits + sum_bits))
        ``G_{t-1}`` of the token whose first entries come in this cycle, that of `last`.
    threshold : In(unsigned(threshold_bits)), no_leak : In(1)
        Stable; `no_leak` only with `if_neurons`.
    spike : Out(1)
        Of the token, from `latency` cycles after its last entries on, until the next token's.
    left : Out(unsigned(low_bits + sum_bits + 1))
        With `spike`: ``G_t``, 0 after a spike.
    """

    latency = 2
    """Cycles from a token's last entries to `spike`: the sum of the tables, the accumulator."""

    def __init__(self, config: HardwareConfig, step: int, *, technology: Technology = Technology.PORTABLE):
        self._config, self._step, self._technology = config, step, technology
        geometry = AttentionGeometry(config)
        leaks = {"no_leak": In(1)} if config.if_neurons else {}
        self._low_bits = config.max_timesteps - config.timesteps + step
        self._sum_bits = geometry.sum_bits
        super().__init__(
            {
                "entries": In(data.ArrayLayout(unsigned(geometry.entry_bits), config.attention_tables)),
                "last": In(1),
                "membrane": In(unsigned(self._low_bits + self._sum_bits)),
                "threshold": In(unsigned(geometry.threshold_bits)),
                "spike": Out(1),
                "left": Out(unsigned(self._low_bits + self._sum_bits + 1)),
                **leaks,
            }
        )

    def elaborate(self, platform):
        m = Module()
        charged = self._charge(m)
        m.d.comb += [self.spike.eq(self._fires(m, charged)), self.left.eq(Mux(self.spike, 0, charged))]
        return m

    def _charge(self, m: Module) -> Signal:
        """``G_t``, from the cycle after a token's last sum on."""
        low_bits = self._low_bits
        # The very first time step of a network has no membrane to add to.
        bits = self._sum_bits + (low_bits > 0)
        accumulator = Signal(bits, reset_less=True)
        opening = Signal(bits, reset_less=True)
        low = Signal(low_bits, reset_less=True)
        charged = Signal(low_bits + bits, reset_less=True)
        total = add_three(
            m, [accumulator, *self._terms(m)], bits, name="charge", technology=self._technology, join_first=opening
        )
        handed_low, handed_on = self.membrane[:low_bits], self.membrane[low_bits:]
        if self._config.if_neurons and low_bits:
            handed_low = Mux(self.no_leak, 0, handed_low)
            # It joins the LUT in which a spike clears the membrane.
            handed_on = Mux(self.no_leak, self.membrane[low_bits - 1 :], handed_on)
        m.d.sync += [accumulator.eq(Mux(self.last, 0, total)), opening.eq(Mux(self.last, handed_on, 0))]
        with m.If(self.last):
            m.d.sync += [low.eq(handed_low), charged.eq(Cat(low, total))]
        return charged

    def _terms(self, m: Module) -> list[Signal]:
        """The entries of a cycle, registered: of two tables their sum, of four the sum of three and the fourth."""
        entries = list(self.entries)
        terms: list[Signal] = []
        for number, part in enumerate(filter(None, (entries[:TABLES_ADDED], entries[TABLES_ADDED:]))):
            bits = (len(part) * ((1 << len(part[0])) - 1)).bit_length()
            term = Signal(bits, name=f"term{number}", reset_less=True)
            m.d.sync += term.eq(add_three(m, part, bits, name=term.name, technology=self._technology))
            terms.append(term)
        return terms

    def _fires(self, m: Module, charged: Signal) -> Value:
        """Whether ``charged * 2**below >= threshold``, with `below` the steps that follow in the chunk.

        Of the threshold's bits below the membrane's, one that is set decides like all of them.
        """
        below = self._config.timesteps - 1 - self._step
        limit, membrane = self.threshold, Value.cast(charged)
        if below:
            limit = Cat(self.threshold[:below].any(), self.threshold[below:])
            membrane = Cat(Const(0, 1), charged)
        bits = len(limit) + 1  # a sign
        return at_least(m, _extended(membrane, bits), _extended(limit, bits), name="fires", technology=self._technology)


def _extended(value: Value, bits: int) -> Value:
    """Unsigned `value` with exactly `bits` bits."""
    return Cat(value, Const(0, bits - len(value)))
