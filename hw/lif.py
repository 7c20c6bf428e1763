"""The spiking neuron: leaky integrate and fire over all time steps of one channel at one position."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .delay import delayed

CYCLES_PER_STEP = 2
"""One for the adder, one for the comparator: a single carry chain between registers."""


def lif_latency(timesteps: int) -> int:
    """Cycles from `Lif.current`, `Lif.threshold` to `Lif.spikes`."""
    return CYCLES_PER_STEP * timesteps


class Lif(wiring.Component):
    """Leaky integrate and fire with tau = 2 and hard reset, all time steps unrolled into a pipeline.

    The neuron of Spikformer halves its membrane every step: ``h_t = (v_{t-1} + c_t) / 2``, a spike where
    ``h_t >= theta``, and ``v_t`` is 0 after a spike, else ``h_t``. Scaled by ``2**t`` nothing is rounded
    (``G_t = 2**t h_t``)::

        G_t = G_{t-1} + 2**(t-1) * C_t,   spike_t = G_t * 2**(T-t) >= threshold,   G_t = 0 after a spike

    with ``threshold = ceil(2**T * theta)`` in units of the current. No membrane is kept from one set to the next.

    ``G_t`` has ``current_bits + t`` bits, for ``|G_t| <= (2**t - 1) * 2**(current_bits - 1)``. Only its bits from
    ``t - 1`` up meet the current, so the adder of every step is ``current_bits + 1`` wide; the comparator of step t
    is ``current_bits + t + 1``, for the threshold's bits below are one bit to it. The cleared membrane after a spike is
    an AND in front of the next adder.

    With `fraction_bits`, the T steps are a time chunk of a longer run. It starts from the membrane `carried` and leaves
    `membrane` for the next one: fixed-point numbers with so many fractional bits, in units of the current. A step
    halves the membrane, which shifts it right; that stays exact as long as no more steps than fractional bits came
    before a chunk. The threshold is then ``ceil(2**(T + fraction_bits) * theta)``.

    Latency is ``2 T`` cycles; one set of currents per cycle, no back-pressure: the parent delays its own valid bit.

    Parameters
    ----------
    timesteps : int
        T, at least 1.
    current_bits : int
        Width of a signed current, at least 2.
    fraction_bits : int
        Fractional bits of the membrane carried in, 0 for none.

    Members
    -------
    current : In(ArrayLayout(signed(current_bits), T))
        Input currents of the steps, the first step in the lowest bits.
    threshold : In(signed(current_bits + T + fraction_bits))
        Smallest ``G_T`` that fires; sampled with `current`.
    carried : In(signed(current_bits + fraction_bits))
        Only with `fraction_bits`. Membrane to start from; sampled with `current`.
    membrane : Out(signed(current_bits + fraction_bits))
        Only with `fraction_bits`. Membrane after the last step, of `latency` cycles ago; the bits below, which are
        cut, are zero if another chunk may follow.
    spikes : Out(T)
        Bit t is the spike of step t + 1, of `latency` cycles ago.

    Raises
    ------
    ValueError
        If a parameter is below its limit.
    """

    def __init__(self, timesteps: int, current_bits: int, *, fraction_bits: int = 0):
        if timesteps < 1:
            raise ValueError(f"timesteps must be at least 1, not {timesteps}")
        if current_bits < 2:
            raise ValueError(f"current_bits must be at least 2, not {current_bits}")
        if fraction_bits < 0:
            raise ValueError(f"fraction_bits must be at least 0, not {fraction_bits}")
        self._timesteps, self._fraction_bits = timesteps, fraction_bits
        self._carried_bits = current_bits + fraction_bits
        members = {
            "current": In(data.ArrayLayout(signed(current_bits), timesteps)),
            "threshold": In(signed(self._carried_bits + timesteps)),
            "spikes": Out(unsigned(timesteps)),
        }
        if fraction_bits:
            members |= {"carried": In(signed(self._carried_bits)), "membrane": Out(signed(self._carried_bits))}
        super().__init__(members)

    @property
    def latency(self) -> int:
        """Cycles from `current`, `threshold` to `spikes`."""
        return lif_latency(self._timesteps)

    def elaborate(self, platform):
        m = Module()
        steps = self._timesteps
        threshold = delayed(m, self.threshold, 1, name="threshold")

        spikes = []
        membrane = self.carried if self._fraction_bits else None
        for t in range(1, steps + 1):
            current = delayed(m, self.current[t - 1], CYCLES_PER_STEP * (t - 1), name=f"current{t}")
            charged = Signal(signed(self._carried_bits + t), name=f"charged{t}", reset_less=True)
            fired = Signal(name=f"fired{t}", reset_less=True)
            if membrane is None:
                m.d.sync += charged.eq(current)
            else:
                # The current first: synthesis feeds it to the carry chain and the AND of `membrane` into its LUT.
                low = self._fraction_bits + t - 1
                m.d.sync += charged.eq(Cat(membrane[:low], current + membrane[low:].as_signed()).as_signed())
            # x >= ceil(y / 2**k): of the bits below, one that is set in y decides like all of them.
            below = steps - t
            limit = Cat(threshold[:below].any(), threshold[below:]).as_signed() if below else threshold
            m.d.sync += fired.eq((charged << 1 if below else charged) >= limit)
            spikes.append(delayed(m, fired, CYCLES_PER_STEP * (steps - t), name=f"spike{t}"))
            if t < steps or self._fraction_bits:
                membrane = Signal.like(charged, name=f"membrane{t}")
                m.d.comb += membrane.eq(Mux(fired, 0, delayed(m, charged, 1, name=f"held{t}")))
                if t == steps:
                    m.d.comb += self.membrane.eq(membrane >> steps)
            if t < steps:
                threshold = delayed(m, threshold, CYCLES_PER_STEP, name=f"threshold{t}")
        m.d.comb += self.spikes.eq(Cat(spikes))
        return m
