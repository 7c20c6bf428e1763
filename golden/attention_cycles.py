"""Cycles of the attention engine, exactly, from the latencies of its components."""

from __future__ import annotations

from hw.attention import step_latency
from hw.attention_geometry import AttentionGeometry
from hw.attention_output import DONE_LATENCY
from hw.attention_output import WRITE_LATENCY as OUTPUT_LATENCY
from hw.attention_planes import WRITE_LATENCY as PLANES_LATENCY
from hw.attention_planes import WRITTEN_LATENCY
from hw.attention_query import LOAD_OVERHEAD
from hw.config import HardwareConfig
from hw.lif import lif_latency


def attention_cycles(
    config: HardwareConfig, heads: int, head_channels: int, chunks: int, groups: int, planes: int
) -> int:
    """Cycles from `start` to `done` of `hw.attention.Attention`: the RTL takes exactly this many.

    Per head, with ``d`` channels: K^T V issues a step per ``columns`` channels of K, channel of V and chunk of
    tokens, but lets a segment take no less than the ``plane_words`` cycles of its writes. Then the last step's words
    reach the memory, and Q (K^T V) issues ``positions * d / columns * segments * plane_words`` steps for each group,
    or waits for the group's Q. Behind the last step come its sums, the neuron, the write and `done`.

    Parameters
    ----------
    config : HardwareConfig
        The accelerator.
    heads, head_channels, chunks, groups, planes : int
        The job, as at the members of `Attention`.

    Returns
    -------
    int
        The cycle in which `done` is high less the cycle in which `start` is.
    """
    geometry = AttentionGeometry(config)
    columns, segment = config.attention_columns, config.attention_segment
    plane_words = -(-planes // geometry.segments)
    full_segments, rest = divmod(head_channels, segment)
    segments = [segment] * full_segments + [rest] * (rest > 0)

    key_value = head_channels * sum(max(channels // columns * chunks, plane_words) for channels in segments)
    drain = step_latency(config) + PLANES_LATENCY + plane_words - 1 + WRITTEN_LATENCY
    group = config.positions * (head_channels // columns) * len(segments) * plane_words
    load = head_channels // config.inputs + LOAD_OVERHEAD
    query = (groups - 1) * max(group, load) + group
    tail = step_latency(config) + lif_latency(config.timesteps) + OUTPUT_LATENCY + DONE_LATENCY
    return heads * (key_value + drain + query) + tail
