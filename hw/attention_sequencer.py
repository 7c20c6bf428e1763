"""Control of the attention engine: K^T V and Q times it, head by head."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .attention_geometry import AttentionGeometry
from .attention_steps import STEP_LAYOUT, KeyValueSteps, QuerySteps, limits_layout
from .config import HardwareConfig


class AttentionSequencer(wiring.Component):
    """Issues the steps of a job: per head those of K^T V, a wait for its last word, then those of Q (K^T V).

    The first step comes in the cycle after `start`. Q (K^T V) begins two cycles after `written`, for which nothing of
    K^T V may be under way. Between groups it waits, if need be, until the next Q is there; the next head's K^T V
    follows at once, for its words reach the memory after the last one of this head was read.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1)
        Samples the sizes and begins; only while not `busy`.
    heads, head_channels, chunks, groups, planes : In
        The job, as in `Attention`.
    limits : Out(limits_layout(config))
        The job's sizes, from the cycle after `start`.
    written : In(1)
        The head's K^T V was written until the cycle before.
    query_full : In(1), query_take : Out(1)
        Handshake with `QueryBuffer`.
    step : Out(STEP_LAYOUT)
        The step of this cycle.
    bank_address, value_address : Out
        Address of K or K^T V in all banks, and of V.
    lane, segment : Out
        Position and segment of Q.
    busy : Out(1)
        Steps are still to come.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        geometry = AttentionGeometry(config)
        super().__init__(
            {
                "start": In(1),
                "heads": In(6),
                "head_channels": In(10),
                "chunks": In(8),
                "groups": In(17),
                "planes": In(4),
                "limits": Out(limits_layout(config)),
                "written": In(1),
                "query_full": In(1),
                "query_take": Out(1),
                "step": Out(STEP_LAYOUT),
                "bank_address": Out(range(geometry.key_words + geometry.key_value_words)),
                "value_address": Out(range(max(2, geometry.value_words))),
                "lane": Out(range(max(2, config.positions))),
                "segment": Out(range(max(2, geometry.head_segments))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.key_value = key_value = KeyValueSteps(self._config)
        m.submodules.query = query = QuerySteps(self._config)
        head = Signal.like(self.limits["head"])

        def take_query():
            """Go on with the next group, or wait for it."""
            m.d.comb += self.query_take.eq(self.query_full)
            m.next = "QUERY"
            with m.If(~self.query_full):
                m.next = "WAIT"

        with m.FSM() as fsm:
            with m.State("IDLE"), m.If(self.start):
                self._sample(m)
                m.d.sync += head.eq(0)
                m.next = "KEY_VALUE"
            with m.State("KEY_VALUE"), m.If(key_value.step.valid & key_value.step.head_end):
                m.next = "DRAIN"
            with m.State("DRAIN"), m.If(self.written):
                take_query()
            with m.State("WAIT"):
                take_query()
            with m.State("QUERY"):
                with m.If(query.head_end):
                    m.d.sync += head.eq(head + 1)
                    m.next = "KEY_VALUE"
                    with m.If(head == self.limits.head):
                        m.next = "IDLE"
                with m.Elif(query.group_end):
                    take_query()
        m.d.comb += [
            self.busy.eq(~fsm.ongoing("IDLE")),
            key_value.restart.eq(self.start),
            key_value.active.eq(fsm.ongoing("KEY_VALUE")),
            key_value.limits.eq(self.limits),
            query.prepare.eq(fsm.ongoing("DRAIN")),
            query.active.eq(fsm.ongoing("QUERY")),
            query.limits.eq(self.limits),
            self.step.eq(Mux(query.active, query.step, key_value.step)),
            self.bank_address.eq(Mux(query.active, query.plane_address, key_value.key_address)),
            self.value_address.eq(key_value.value_address),
            self.lane.eq(query.lane),
            self.segment.eq(query.segment),
        ]
        return m

    def _sample(self, m: Module) -> None:
        """Limits of the loops from the job's sizes; all divisors are powers of two."""
        config, segments = self._config, AttentionGeometry(self._config).segments
        m.d.sync += [
            self.limits.head.eq(self.heads - 1),
            self.limits.group.eq(self.groups - 1),
            self.limits.slice.eq((self.head_channels >> exact_log2(config.inputs)) - 1),
            self.limits.channel.eq(self.head_channels - 1),
            self.limits.columns.eq((self.head_channels >> exact_log2(config.attention_columns)) - 1),
            self.limits.segment.eq((self.head_channels - 1) >> exact_log2(config.attention_segment)),
            self.limits.chunk.eq(self.chunks - 1),
            self.limits.plane_words.eq((self.planes + (segments - 1)) >> exact_log2(segments)),
        ]
