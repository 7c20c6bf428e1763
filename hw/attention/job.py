"""The job of the attention engine: what it is told, what its parts need of that, and when it begins and ends."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Member, Out
from amaranth.utils import exact_log2

from hw.attention.geometry import SHORTEST_TOKEN, AttentionGeometry
from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.memory.spike_memory import address_bits


def job_members(config: HardwareConfig) -> dict[str, Member]:
    """Members by which the engine is told a job, as wide as the descriptor's fields; see `Attention`."""
    address = unsigned(address_bits(config.spike_words))
    chunked = {"time_chunks": In(range(config.time_chunks + 1))} if config.time_chunks > 1 else {}
    leaks = {"no_leak": In(1)} if config.if_neurons else {}
    return {
        "head_channels": In(DESCRIPTOR["head_channels"].shape),
        "chunks": In(DESCRIPTOR["tiles"].shape),
        "groups": In(DESCRIPTOR["groups"].shape),
        "threshold": In(unsigned(AttentionGeometry(config).threshold_bits)),
        "token_buffer": In(1),
        "query_base": In(address),
        "query_stride": In(address),
        "output_base": In(address),
        "output_stride": In(address),
        **chunked,
        **leaks,
    }


def job_layout(config: HardwareConfig) -> data.StructLayout:
    """A job as the engine's parts need it: counts less one, threshold, addresses.

    With several time chunks a job makes a round for each; the bases are those of the round.
    """
    geometry = AttentionGeometry(config)
    address = unsigned(address_bits(config.spike_words))

    def below(count: int) -> range:
        return range(max(2, count))

    chunked = {"rounds": range(config.time_chunks + 1)} if config.time_chunks > 1 else {}
    leaks = {"no_leak": unsigned(1)} if config.if_neurons else {}
    return data.StructLayout(
        {
            "buffer": unsigned(1),
            "last_channel": below(config.head_channels),
            "last_set": below(config.head_channels // config.attention_columns),
            "last_chunk": below(config.token_chunks),
            "last_group": below(geometry.groups),
            "last_slice": below(config.head_channels // config.inputs),
            "last_step": below(geometry.steps),
            "threshold": unsigned(geometry.threshold_bits),
            "query_base": address,
            "query_stride": address,
            "output_base": address,
            "output_stride": address,
            **chunked,
            **leaks,
        }
    )


class AttentionJob(wiring.Component):
    """Samples a job, begins its rounds and ends it.

    A job of several time chunks is made in as many rounds, each of which begins when the one before is complete: its
    words of Q and of the output lie beside those of the round before.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    start : In(1)
        A job; the members of `job_members` are sampled in this cycle.
    job : Out(job_layout(config))
        It, from the next cycle on.
    begin : Out(1)
        A round begins: in the cycle after `start`, and later ones two cycles after `round_done`.
    round_done : In(1)
        A round is complete.
    busy : Out(1)
        From the cycle after `start` to the one before `done`.
    done : Out(1)
        `latency` cycles after the last `round_done`.
    round : Out(range(time_chunks))
        Only with several time chunks. Number of the round.
    """

    latency = 1
    """Cycles from a job's last `round_done` to `done`."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        chunked = {"round": Out(range(config.time_chunks))} if config.time_chunks > 1 else {}
        super().__init__(
            {
                "start": In(1),
                **job_members(config),
                "job": Out(job_layout(config)),
                "begin": Out(1),
                "round_done": In(1),
                "busy": Out(1),
                "done": Out(1),
                **chunked,
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._sample(m)
        again = Signal()
        last_round = Signal(init=1)
        if self._config.time_chunks > 1:
            m.d.comb += last_round.eq(self.round == self.job.rounds - 1)
            m.d.sync += again.eq(self.round_done & ~last_round)
            with m.If(self.start):
                m.d.sync += self.round.eq(0)
            with m.If(again):
                m.d.sync += [
                    self.round.eq(self.round + 1),
                    self.job.query_base.eq(self.job.query_base + 1),
                    self.job.output_base.eq(self.job.output_base + 1),
                ]
        ends = Signal()
        m.d.comb += ends.eq(self.round_done & last_round)
        m.d.sync += [
            self.begin.eq(self.start | again),
            self.busy.eq((self.busy | self.start) & ~ends),
            self.done.eq(ends),
        ]
        return m

    def _sample(self, m: Module) -> None:
        """The job's registers; all divisors are powers of two."""
        config, job, channels = self._config, self.job, self.head_channels
        step_channels = AttentionGeometry(config).step_channels
        with m.If(self.start):
            m.d.sync += [
                job.buffer.eq(self.token_buffer),
                job.last_channel.eq(channels - 1),
                job.last_set.eq((channels >> exact_log2(config.attention_columns)) - 1),
                job.last_chunk.eq(self.chunks - 1),
                job.last_group.eq(self.groups - 1),
                job.last_slice.eq((channels >> exact_log2(config.inputs)) - 1),
                job.last_step.eq((channels - 1) >> exact_log2(step_channels)),
                job.threshold.eq(self.threshold),
                job.query_base.eq(self.query_base),
                job.query_stride.eq(self.query_stride),
                job.output_base.eq(self.output_base),
                job.output_stride.eq(self.output_stride),
            ]
            if config.time_chunks > 1:
                m.d.sync += job.rounds.eq(self.time_chunks)
            if config.if_neurons:
                m.d.sync += job.no_leak.eq(self.no_leak)
            with m.If(channels <= (SHORTEST_TOKEN - 1) * step_channels):
                m.d.sync += job.last_step.eq(SHORTEST_TOKEN - 1)
