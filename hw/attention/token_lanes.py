"""The steps of Q (K^T V): which token a time step's lane works on, and what it looks up for it."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.attention.counts import SETS_AHEAD
from hw.attention.geometry import TOKENS_APART, AttentionGeometry
from hw.attention.job import job_layout
from hw.config import HardwareConfig

PASSING = data.StructLayout({"valid": 1, "half": 1, "set_end": 1})
"""A token on its way through the lanes, or a pause; which half of the tables its set is in; whether the set ends."""


class TokenLanes(wiring.Component):
    """Walks all lanes through the steps of a token at once, each lane through those of a token of its own.

    A time step's lane works on a token `TOKENS_APART` tokens after the lane of the step before. A token is taken when
    the one before it ends, if its Q is there and the tables of its set are full. Otherwise nothing is, and a pause of a
    token's length passes through the lanes like a token.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    begin : In(1), job : In(job_layout(config))
        A job begins.
    filled : In(1)
        The tables of a set are full, see `SubsetTables`.
    freed : Out(1)
        Those of the oldest set are no longer in use.
    full, full_next, set_end : In(1), token : In(ArrayLayout(unsigned(head_channels), timesteps))
        The next token's Q, see `QueryBuffer`.
    soon, take : Out(1)
        It is taken in the next cycle for certain, in this one.
    look_up, half : Out(timesteps), step : Out(range(steps)), spikes : Out(ArrayLayout(step_channels, timesteps))
        What every lane looks up, see `SubsetTables`.
    last : Out(1)
        The step is a token's last one, in all lanes.
    complete : Out(1)
        It is, and the last lane has a token: all its time steps have been looked up.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        self._step_channels = AttentionGeometry(config).step_channels
        super().__init__(
            {
                "begin": In(1),
                "job": In(job_layout(config)),
                "filled": In(1),
                "freed": Out(1),
                "full": In(1),
                "full_next": In(1),
                "set_end": In(1),
                "token": In(data.ArrayLayout(unsigned(config.head_channels), config.timesteps)),
                "soon": Out(1),
                "take": Out(1),
                "look_up": Out(unsigned(config.timesteps)),
                "half": Out(unsigned(config.timesteps)),
                "step": Out(range(AttentionGeometry(config).steps)),
                "spikes": Out(data.ArrayLayout(unsigned(self._step_channels), config.timesteps)),
                "last": Out(1),
                "complete": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._count_steps(m)
        taken = self._take(m)
        leaving = self._pass(m, taken)
        m.d.comb += [
            self.complete.eq(self.last & leaving.valid),
            self.freed.eq(self.last & leaving.valid & leaving.set_end),
        ]
        return m

    def _count_steps(self, m: Module) -> None:
        """Steps go round and round from `begin` on."""
        m.d.comb += self.last.eq(self.step == self.job.last_step)
        m.d.sync += self.step.eq(self.step + 1)
        with m.If(self.last | self.begin):
            m.d.sync += self.step.eq(0)

    def _take(self, m: Module) -> data.View:
        """Take the next token, if it and its tables are there; returns what enters the first lane."""
        filled_sets = Signal(range(SETS_AHEAD + 1))
        set_taken = Signal()
        taken = Signal(PASSING)
        m.d.comb += [
            self.soon.eq((self.step == self.job.last_step - 1) & self.full_next & (filled_sets != 0)),
            self.take.eq(self.last & self.full & (filled_sets != 0)),
            set_taken.eq(self.take & self.set_end),
            taken.valid.eq(self.take),
            taken.set_end.eq(self.set_end),
        ]
        half = Signal()
        m.d.sync += [filled_sets.eq(filled_sets + self.filled - set_taken), half.eq(half ^ set_taken)]
        with m.If(self.begin):
            m.d.sync += half.eq(0)
        m.d.comb += taken.half.eq(half)
        return taken

    def _pass(self, m: Module, passing: data.View) -> data.View:
        """Pass tokens from lane to lane; returns the one in the last lane.

        A lane's spikes of Q travel beside the token as far as the lane.
        """
        config = self._config
        spikes = list(self.token)
        for place in range(TOKENS_APART * (config.timesteps - 1) + 1):
            lane, behind = divmod(place, TOKENS_APART)
            # With a reset, for flip-flops: a shift register of LUTs would be larger.
            here = Signal(PASSING, name=f"token{place}")
            with m.If(self.last):
                m.d.sync += here.eq(passing)
            passing = here
            for t in range(lane + (behind > 0), config.timesteps):
                moved = Signal(config.head_channels, name=f"query{t}_token{place}")
                with m.If(self.last):
                    m.d.sync += moved.eq(spikes[t])
                spikes[t] = moved
            if not behind:
                m.d.comb += [
                    self.look_up[lane].eq(here.valid),
                    self.half[lane].eq(here.half),
                    self.spikes[lane].eq(spikes[lane].word_select(self.step, self._step_channels)),
                ]
        return passing
