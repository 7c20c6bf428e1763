"""Q for the attention engine: read from the spike memory one token ahead."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.attention.geometry import AttentionGeometry
from hw.attention.job import job_layout
from hw.attention.query_walk import QueryWalk
from hw.config import HardwareConfig
from hw.memory.spike_memory import address_bits

LOAD_OVERHEAD = 1
"""Cycles from a `take` without `soon` to `full` beside one per slice: the capture."""


class QueryBuffer(wiring.Component):
    """Holds the next token's Q of a head; all tokens in order for each set of columns.

    Reading starts with `begin` and again with every `take`, one slice per cycle; `full` follows ``slices +
    LOAD_OVERHEAD`` cycles later (of `begin`: one more). A `take` announced by `soon` saves the overhead.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    begin : In(1), job : In(job_layout(config))
        A job begins.
    read : Out(1), read_address : Out(address bits), read_data : In(group_bits)
        Spike memory, one cycle of latency, ``[positions][timesteps][inputs]``.
    full : Out(1)
        `token` is complete.
    full_next : Out(1)
        Unless taken now, it is in the next cycle.
    soon : In(1)
        `take` is certain to follow in the next cycle; only while `full_next`.
    set_end : Out(1)
        And it is the last token; the first one follows for the next set.
    take : In(1)
        It is copied in this cycle; only while `full`.
    token : Out(ArrayLayout(unsigned(head_channels), timesteps))
        Spikes of Q; channels beyond the head are 0.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        address = unsigned(address_bits(config.spike_words))
        super().__init__(
            {
                "begin": In(1),
                "job": In(job_layout(config)),
                "read": Out(1),
                "read_address": Out(address),
                "read_data": In(unsigned(config.group_bits)),
                "full": Out(1),
                "full_next": Out(1),
                "soon": In(1),
                "set_end": Out(1),
                "take": In(1),
                "token": Out(data.ArrayLayout(unsigned(config.head_channels), config.timesteps)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, job = self._config, self.job
        slices = config.head_channels // config.inputs
        groups = AttentionGeometry(config).groups
        m.submodules.walk = walk = QueryWalk(
            len(self.read_address), config.positions, groups, slices, group_words=config.time_chunks
        )
        if config.time_chunks > 1:
            m.d.comb += walk.group_step.eq(job.rounds)
        reading = Signal()
        announced = Signal()
        step = Signal()
        token_end = Signal()
        last_arrives = Signal()
        m.d.comb += [
            self.full_next.eq(self.full | last_arrives),
            step.eq(reading | self.soon | (self.take & ~announced)),
            walk.start.eq(self.begin),
            walk.step.eq(step),
            walk.base.eq(job.query_base),
            walk.stride.eq(job.query_stride),
            walk.last_group.eq(job.last_group),
            walk.last_slice.eq(job.last_slice),
            self.read.eq(step),
            self.read_address.eq(walk.address),
        ]
        arriving = Signal()
        lane = Signal.like(walk.lane)
        index = Signal.like(walk.slice)
        m.d.sync += [
            announced.eq(self.soon),
            arriving.eq(step),
            lane.eq(walk.lane),
            index.eq(walk.slice),
            last_arrives.eq(step & walk.slices_end),
            token_end.eq(walk.walk_end),
        ]
        with m.If(step):
            m.d.sync += reading.eq(~walk.slices_end)
        with m.If(self.take):
            m.d.sync += self.full.eq(0)
        with m.If(last_arrives):
            m.d.sync += [self.full.eq(1), self.set_end.eq(token_end)]
        lane_bits = config.timesteps * config.inputs
        word = self.read_data.word_select(lane[: exact_log2(config.positions)], lane_bits)
        for k in range(slices):
            with m.If(arriving & (index == k)):
                for t in range(config.timesteps):
                    m.d.sync += self.token[t].word_select(k, config.inputs).eq(word.word_select(t, config.inputs))
        with m.If(self.begin):
            # Behind the last token of a job comes the first one of the same head.
            m.d.sync += [self.full.eq(0), reading.eq(1), arriving.eq(0), last_arrives.eq(0)]
            m.d.sync += self.token.as_value().eq(0)
        return m
