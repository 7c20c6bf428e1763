"""The spiking neuron: integrate and fire, leaky or not, over all time steps of one channel at one position."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.parts.carry_chain import add_three, at_least, shift_unless
from hw.parts.delay import delayed
from hw.parts.technology import Technology

CYCLES_PER_STEP = 2
"""One for the adder, one for the comparator: a single carry chain between registers."""


class Lif(wiring.Component):
    """Leaky integrate and fire with tau = 2 and hard reset, all time steps unrolled into a pipeline.

    The neuron of Spikformer halves its membrane every step: ``h_t = (v_{t-1} + c_t) / 2``, a spike where
    ``h_t >= theta``, and ``v_t`` is 0 after a spike, else ``h_t``. Scaled by ``2**t`` nothing is rounded
    (``G_t = 2**t h_t``)::

        C_t = (sum_t << fraction_bits) + bias
        G_t = G_{t-1} + 2**(t-1) * C_t,   spike_t = G_t * 2**(T-t) >= threshold,   G_t = 0 after a spike

    with ``threshold = ceil(2**T * theta)`` in units of the current. No membrane is kept from one set to the next.

    Bias, sum and membrane are added at once, the membrane cleared after a spike: one LUT per bit on UltraScale+.
    ``G_t`` has ``current_bits + t`` bits, for ``|G_t| <= (2**t - 1) * 2**(current_bits - 1)``, where a current has
    ``current_bits = sum_bits + fraction_bits + 1``. Only its bits from ``t - 1`` up meet the current, so the adder of
    every step is ``current_bits + 1`` wide; the comparator of step t is ``current_bits + t + 1``, for the threshold's
    bits below are one bit to it.

    With `carried_fraction_bits`, the T steps are a time chunk of a longer run. It starts from the membrane `carried`
    and leaves `membrane` for the next one: fixed-point numbers with so many fractional bits, in units of the current. A
    step halves the membrane, which shifts it right; that stays exact as long as no more steps than fractional bits came
    before a chunk. The threshold is then ``ceil(2**(T + carried_fraction_bits) * theta)``.

    With `if_neurons` a set may say `no_leak`. Its neuron halves nothing: ``V_t = V_{t-1} + C_t``, and a spike where
    ``V_t >= theta``. Here ``G_t = 2**(t-1) * V_t``. So currents meet the membrane at the same bit as with a leak, and
    the membrane is twice as large when it meets the next one, by a multiplexer in front of the register that holds it
    while it is compared::

        G_t = 2 * G_{t-1} + 2**(t-1) * C_t,   spike_t = G_t * 2**(T-t) >= threshold,   G_t = 0 after a spike

    with ``threshold = 2**(T - 1 + carried_fraction_bits) * theta``. Currents and `theta` are integers, so nothing is
    rounded, and no bit below the current is set. The leak bounds a membrane by the largest current; without it T
    currents add up, and those below zero know no threshold. The adder has room for twice the current: all is exact
    where every ``V_t``, before its reset, has ``current_bits + 1`` bits, which whoever makes the thresholds proves
    (`sw.compiler.fit`). So many are also carried: `membrane` is then ``V_T`` with one fractional bit less.

    Latency is ``2 T`` cycles; one set of sums per cycle, no back-pressure: the parent delays its own valid bit.

    Parameters
    ----------
    timesteps : int
        T, at least 1.
    sum_bits : int
        Width of a signed sum, at least 2.
    fraction_bits : int
        Fractional bits of bias and threshold, at least 0.
    carried_fraction_bits : int
        Fractional bits of the membrane carried in, 0 for none.
    if_neurons : bool
        Whether sets may say `no_leak`.
    technology : Technology
        What adders and comparators are made of.

    Members
    -------
    sums : In(ArrayLayout(signed(sum_bits), T))
        Sums of the steps, the first step in the lowest bits.
    bias : In(signed(current_bits))
        Bias of all steps; no current may leave `current_bits`.
    threshold : In(signed(current_bits + T + carried_fraction_bits))
        Smallest ``G_T`` that fires; bias and threshold are sampled with `sums`.
    no_leak : In(1)
        Only with `if_neurons`. The neuron does not leak; sampled with `sums`.
    carried : In(signed(current_bits + carried_fraction_bits))
        Only with `carried_fraction_bits`. Membrane to start from; sampled with `sums`.
    membrane : Out(signed(current_bits + carried_fraction_bits))
        Only with `carried_fraction_bits`. Membrane after the last step, of `latency` cycles ago; the bits below, which
        are cut, are zero if another chunk may follow.
    spikes : Out(T)
        Bit t is the spike of step t + 1, of `latency` cycles ago.

    Raises
    ------
    ValueError
        If a parameter is below its limit.
    """

    def __init__(
        self,
        timesteps: int,
        sum_bits: int,
        fraction_bits: int,
        *,
        carried_fraction_bits: int = 0,
        if_neurons: bool = False,
        technology: Technology = Technology.PORTABLE,
    ):
        limits = (
            ("timesteps", timesteps, 1),
            ("sum_bits", sum_bits, 2),
            ("fraction_bits", fraction_bits, 0),
            ("carried_fraction_bits", carried_fraction_bits, 0),
        )
        for name, value, least in limits:
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}")
        self._timesteps, self._fraction_bits, self._technology = timesteps, fraction_bits, technology
        self._carried_fraction_bits, self._if_neurons = carried_fraction_bits, if_neurons
        self._current_bits = current_bits = sum_bits + fraction_bits + 1
        self._carried_bits = current_bits + carried_fraction_bits
        members = {
            "sums": In(data.ArrayLayout(signed(sum_bits), timesteps)),
            "bias": In(signed(current_bits)),
            "threshold": In(signed(self._carried_bits + timesteps)),
            "spikes": Out(unsigned(timesteps)),
        }
        if carried_fraction_bits:
            members |= {"carried": In(signed(self._carried_bits)), "membrane": Out(signed(self._carried_bits))}
        if if_neurons:
            members["no_leak"] = In(1)
        super().__init__(members)

    @property
    def latency(self) -> int:
        """Cycles from `sums`, `bias`, `threshold` to `spikes`."""
        return CYCLES_PER_STEP * self._timesteps

    def elaborate(self, platform):
        m = Module()
        steps, technology = self._timesteps, self._technology
        threshold, bias = delayed(m, self.threshold, 1, name="threshold"), self.bias

        spikes = []
        no_leak: Value | None = self.no_leak if self._if_neurons else None
        membrane: Value | None = None
        if self._carried_fraction_bits:
            membrane = self._handed_on(m, self.carried, 0, no_leak)
        kept: Value | None = None
        for t in range(1, steps + 1):
            total = delayed(m, self.sums[t - 1], CYCLES_PER_STEP * (t - 1), name=f"sum{t}")
            charged = Signal(signed(self._carried_bits + t), name=f"charged{t}", reset_less=True)
            bits = self._current_bits + 1
            shifted = Cat(Const(0, self._fraction_bits), total).as_signed()
            terms = [_extended(bias, bits), _extended(shifted, bits)]
            low: Value = Const(0, 0)
            if membrane is not None:
                below_current = self._carried_fraction_bits + t - 1
                terms.insert(0, _extended(membrane[below_current:].as_signed(), bits))
                low = membrane[:below_current]
                if kept is not None:
                    low &= kept.replicate(below_current)
            sum_ = add_three(m, terms, bits, name=f"charge{t}", technology=technology, keep_first=kept)
            m.d.sync += charged.eq(Cat(low, sum_).as_signed())
            # x >= ceil(y / 2**k): of the bits below, one that is set in y decides like all of them.
            below = steps - t
            limit = Cat(threshold[:below].any(), threshold[below:]).as_signed() if below else threshold
            one = charged << 1 if below else charged
            width = max(len(one), len(limit))
            fired = Signal(name=f"fired{t}", reset_less=True)
            m.d.sync += fired.eq(
                at_least(m, _extended(one, width), _extended(limit, width), name=f"fires{t}", technology=technology)
            )
            spikes.append(delayed(m, fired, CYCLES_PER_STEP * (steps - t), name=f"spike{t}"))
            if t < steps or self._carried_fraction_bits:
                held: Value = charged
                if t < steps:
                    if no_leak is not None:
                        no_leak = delayed(m, no_leak, 1 if t == 1 else CYCLES_PER_STEP, name=f"no_leak{t}")
                    held = self._handed_on(m, charged, t, no_leak)
                membrane, kept = delayed(m, held, 1, name=f"held{t}"), ~fired
            if t < steps:
                threshold = delayed(m, threshold, CYCLES_PER_STEP, name=f"threshold{t}")
                bias = delayed(m, bias, CYCLES_PER_STEP, name=f"bias{t}")
        if self._carried_fraction_bits:
            assert membrane is not None and kept is not None
            m.d.comb += self.membrane.eq((membrane & kept.replicate(len(membrane))).as_signed() >> steps)
        m.d.comb += self.spikes.eq(Cat(spikes))
        return m

    def _handed_on(self, m: Module, membrane: Value, step: int, no_leak: Value | None) -> Value:
        """The membrane after `step` as it meets the next current: without leak twice as large, and zero below that."""
        if no_leak is None:
            return membrane
        below_current = self._carried_fraction_bits + step
        high = shift_unless(
            m,
            Cat(membrane[below_current - 1 :], membrane[-1]),
            no_leak,
            name=f"handed_on{step}",
            technology=self._technology,
        )
        return Cat(Mux(no_leak, 0, membrane[:below_current]), high)


def _extended(value: Value, bits: int) -> Value:
    """Signed `value` with exactly `bits` bits."""
    return Cat(value, value[-1].replicate(bits - len(value))) if len(value) < bits else value[:bits]
