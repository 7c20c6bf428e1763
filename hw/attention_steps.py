"""The two loop nests of the attention engine: one popcount step per cycle."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .attention_geometry import AttentionGeometry
from .config import HardwareConfig

STEP_LAYOUT = data.StructLayout(
    {
        "valid": unsigned(1),
        "query": unsigned(1),
        "first": unsigned(1),
        "raise_planes": unsigned(1),
        "last": unsigned(1),
        "segment_end": unsigned(1),
        "column_end": unsigned(1),
        "head_end": unsigned(1),
    }
)
"""What becomes of a step's sums.

``query``: the step is of Q (K^T V), else of K^T V. ``first`` starts an accumulation, ``raise_planes`` moves the
accumulator up by the planes of a word before adding (Horner's rule), ``last`` completes it. The ends are those of
`PlaneTransposer` and belong to K^T V.
"""


def limits_layout(config: HardwareConfig) -> data.StructLayout:
    """Sizes of a job as the loops need them: counts less one, and the words of a segment's bit-planes."""
    geometry = AttentionGeometry(config)

    def below(count: int) -> range:
        return range(max(2, count))

    return data.StructLayout(
        {
            "head": unsigned(6),
            "group": unsigned(17),
            "slice": unsigned(10),
            "channel": below(config.head_channels),
            "columns": below(config.head_channels // config.attention_columns),
            "segment": below(geometry.head_segments),
            "chunk": below(config.token_chunks),
            "plane_words": range(geometry.plane_words + 1),
        }
    )


class KeyValueSteps(wiring.Component):
    """Steps of K^T V of one head.

    For each channel of V, for each `attention_columns` channels of K, for each chunk of tokens. A segment of channels
    lasts at least ``plane_words`` cycles, the time its words need to be written: its last step is withheld for the
    rest. (Segments are that short only if they are not full or if there is a single chunk of tokens.)

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    restart : In(1)
        The next head is a job's first.
    active : In(1)
        Advance.
    limits : In(limits_layout(config))
        The job's sizes.
    step : Out(STEP_LAYOUT)
        This cycle's step, while `active`.
    key_address, value_address : Out
        Its word of K, in every bank, and of V.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        geometry = AttentionGeometry(config)
        super().__init__(
            {
                "restart": In(1),
                "active": In(1),
                "limits": In(limits_layout(config)),
                "step": Out(STEP_LAYOUT),
                "key_address": Out(range(max(2, geometry.key_words))),
                "value_address": Out(range(max(2, geometry.value_words))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, limits, step = self._config, self.limits, self.step
        channel, columns, chunk = (Signal.like(limits[name], name=name) for name in ("channel", "columns", "chunk"))
        elapsed, time_is_up = Signal.like(limits.plane_words), Signal()
        chunk_end, columns_end, channel_end, segment_end, valid = Signal(), Signal(), Signal(), Signal(), Signal()
        inner_bits = (config.attention_segment // config.attention_columns - 1).bit_length()
        m.d.comb += [
            chunk_end.eq(chunk == limits.chunk),
            columns_end.eq(columns == limits.columns),
            channel_end.eq(channel == limits.channel),
            segment_end.eq(chunk_end & (columns_end | (columns[:inner_bits].all() if inner_bits else 1))),
            valid.eq(self.active & (time_is_up | ~segment_end)),
            step.valid.eq(valid),
            step.first.eq(chunk == 0),
            step.last.eq(chunk_end),
            step.segment_end.eq(segment_end),
            step.column_end.eq(chunk_end & columns_end),
            step.head_end.eq(chunk_end & columns_end & channel_end),
            time_is_up.eq(elapsed == limits.plane_words - 1),
        ]
        with m.If(valid):
            m.d.sync += chunk.eq(Mux(chunk_end, 0, chunk + 1))
            with m.If(chunk_end):
                m.d.sync += columns.eq(Mux(columns_end, 0, columns + 1))
                with m.If(columns_end):
                    m.d.sync += channel.eq(Mux(channel_end, 0, channel + 1))
        with m.If(self.active):
            with m.If(valid & segment_end):
                m.d.sync += elapsed.eq(0)
            with m.Elif(~time_is_up):
                m.d.sync += elapsed.eq(elapsed + 1)
        self._walk(m, chunk_end, columns_end, channel_end)
        return m

    def _walk(self, m: Module, chunk_end, columns_end, channel_end) -> None:
        """Walk the head's rows of K for every row of V; rows are `token_chunks` apart, heads follow one another."""
        row_words = self._config.token_chunks
        key_row, key_head, next_key_row = (
            Signal.like(self.key_address, name=name) for name in ("key_row", "key_head", "next_key_row")
        )
        value_row = Signal.like(self.value_address)
        m.d.comb += next_key_row.eq(key_row + row_words)
        with m.If(self.step.valid):
            m.d.sync += [self.key_address.eq(self.key_address + 1), self.value_address.eq(self.value_address + 1)]
            with m.If(chunk_end):
                m.d.sync += [
                    key_row.eq(next_key_row),
                    self.key_address.eq(next_key_row),
                    self.value_address.eq(value_row),
                ]
            with m.If(chunk_end & columns_end):
                m.d.sync += [value_row.eq(value_row + row_words), self.value_address.eq(value_row + row_words)]
                with m.If(channel_end):
                    m.d.sync += key_head.eq(next_key_row)
                with m.Else():
                    m.d.sync += [key_row.eq(key_head), self.key_address.eq(key_head)]
        with m.If(self.restart):
            m.d.sync += [
                register.eq(0) for register in (self.key_address, self.value_address, key_row, key_head, value_row)
            ]


class QuerySteps(wiring.Component):
    """Steps of Q (K^T V) of one head.

    For each group, position, `attention_columns` columns, word of bit-planes from the top one down, segment.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    prepare : In(1)
        Set the loops to the start of a head. Every cycle in which K^T V is not complete may prepare.
    active : In(1)
        Advance.
    limits : In(limits_layout(config))
        The job's sizes.
    step : Out(STEP_LAYOUT)
        This cycle's step, while `active`.
    plane_address : Out
        Its word of K^T V in every bank; K^T V lies behind `key_words` words of K.
    lane, segment : Out
        Its position and segment of Q.
    group_end, head_end : Out(1)
        It is the last step of a group, of the head.
    """

    def __init__(self, config: HardwareConfig):
        self._config = config
        self._geometry = geometry = AttentionGeometry(config)
        super().__init__(
            {
                "prepare": In(1),
                "active": In(1),
                "limits": In(limits_layout(config)),
                "step": Out(STEP_LAYOUT),
                "plane_address": Out(range(geometry.key_words + geometry.key_value_words)),
                "lane": Out(range(max(2, config.positions))),
                "segment": Out(range(max(2, geometry.head_segments))),
                "group_end": Out(1),
                "head_end": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        limits, step = self.limits, self.step
        columns, group = (Signal.like(limits[name], name=name) for name in ("columns", "group"))
        word, last_word = Signal.like(limits.plane_words), Signal.like(limits.plane_words)
        # A segment's words are neighbours; `word_start` is the current word of the first segment.
        word_start, next_columns, first_address = (
            Signal.like(self.plane_address, name=name) for name in ("word_start", "next_columns", "first_address")
        )
        segment_end, word_end, columns_end, lane_end = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            last_word.eq(limits.plane_words - 1),
            first_address.eq(self._geometry.key_words + last_word),
            segment_end.eq(self.segment == limits.segment),
            word_end.eq(segment_end & (word == 0)),
            columns_end.eq(word_end & (columns == limits.columns)),
            lane_end.eq(columns_end & (self.lane == self._config.positions - 1)),
            self.group_end.eq(lane_end),
            self.head_end.eq(lane_end & (group == limits.group)),
            step.valid.eq(self.active),
            step.query.eq(1),
            step.first.eq((self.segment == 0) & (word == last_word)),
            step.raise_planes.eq(self.segment == 0),
            step.last.eq(word_end),
            next_columns.eq(self.plane_address + limits.plane_words + last_word),
        ]
        with m.If(self.active):
            m.d.sync += [
                self.segment.eq(self.segment + 1),
                self.plane_address.eq(self.plane_address + limits.plane_words),
            ]
            with m.If(segment_end):
                m.d.sync += [
                    self.segment.eq(0),
                    word.eq(word - 1),
                    self.plane_address.eq(word_start - 1),
                    word_start.eq(word_start - 1),
                ]
            with m.If(word_end):
                m.d.sync += [
                    word.eq(last_word),
                    columns.eq(columns + 1),
                    self.plane_address.eq(next_columns),
                    word_start.eq(next_columns),
                ]
            with m.If(columns_end):
                m.d.sync += [
                    columns.eq(0),
                    self.lane.eq(Mux(lane_end, 0, self.lane + 1)),
                    self.plane_address.eq(first_address),
                    word_start.eq(first_address),
                ]
            with m.If(lane_end):
                m.d.sync += group.eq(group + 1)
        with m.If(self.prepare):
            m.d.sync += [
                word.eq(last_word),
                self.plane_address.eq(first_address),
                word_start.eq(first_address),
                group.eq(0),
            ]
        return m
