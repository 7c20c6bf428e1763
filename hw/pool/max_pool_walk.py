"""Where in the windows of a max-pool the sums lie that the neurons read."""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR
from hw.parts.small_multiple import multiple

MAX_POOL_WORDS = 128
"""Most pooled columns, times time chunks, of a feature map that is pooled before its neurons."""


def window_layout(config: HardwareConfig) -> data.StructLayout:
    """Place of a set of sums in the windows of a max-pool: all that a fold of rows and columns asks.

    ``pooled``: its layer pools before the neurons; ``valid``: and it is a set of that layer. ``word``: pooled column
    and time chunk, ``word = column * time_chunks + chunk``; ``time_chunk`` and ``select``: its time chunk and its batch
    of the output tile. ``first_column``, ``first_row``: nothing is to the left, above. ``odd_column`` (of a set of
    two columns, always) and ``odd_row``: it completes windows, and opens the next ones.
    """
    return data.StructLayout(
        {
            "pooled": 1,
            "valid": 1,
            "word": range(MAX_POOL_WORDS),
            "time_chunk": range(max(2, config.time_chunks)),
            "select": range(config.outputs // config.neurons),
            "first_column": 1,
            "odd_column": 1,
            "first_row": 1,
            "odd_row": 1,
        }
    )


class MaxPoolWalk(wiring.Component):
    """Follows the neurons' reads through the rows of a feature map, a pair of columns, or half of one, at a time.

    Reads come position group by position group, each time chunk by time chunk, and batch by batch. A group is one
    position or two: a column of a window, or two that end one and begin the next.

    Parameters
    ----------
    config : HardwareConfig
        Sizes; `positions` is 1 or 2.

    Members
    -------
    descriptor : In(DESCRIPTOR)
        The layer; holds still while it is read.
    begin : In(1)
        The next read is the first one of an output tile.
    valid : In(1), select : In, time_chunk : In
        A read, its batch and its time chunk.
    group_end : In(1)
        It is the last one of its position group, of all time chunks.
    window : Out(window_layout(config))
        Where it lies, in the same cycle.
    completes : Out(1)
        Whether it completes a window. Those of the first two rows are never complete in a strip that does not begin at
        the top of the map.
    position_group, bank : Out
        Where the pooled position of that window belongs: word (one per position group and time chunk), lane of it.
    """

    def __init__(self, config: HardwareConfig):
        self._config, layout = config, window_layout(config)
        super().__init__(
            {
                "descriptor": In(DESCRIPTOR),
                "begin": In(1),
                "valid": In(1),
                "select": In(layout["select"].shape),
                "time_chunk": In(layout["time_chunk"].shape),
                "group_end": In(1),
                "window": Out(layout),
                "completes": Out(1),
                "position_group": Out(DESCRIPTOR["groups"].shape),
                "bank": Out(range(max(2, config.positions))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, d, window = self._config, self.descriptor, self.window
        most, chunks = config.time_chunks, d.time_chunks if config.time_chunks > 1 else 1
        base = Signal.like(window.word)
        following = Signal(range(MAX_POOL_WORDS + 1))
        row_words = Signal.like(following)
        first_column = Signal(init=1)
        first_row = Signal(init=1)
        odd_row = Signal()
        cut = Signal()  # windows lack their upper row
        pair_end = Signal()
        last_column = Signal()
        m.d.sync += row_words.eq(multiple(m, d.width >> 1, d.time_chunks, most, name="pooled_row"))
        m.d.comb += [following.eq(base + chunks), last_column.eq(following == row_words)]
        alone = Const(0)  # the odd one of two columns that come one by one
        if config.positions == 1:
            alone = odd_column = Signal(name="odd_column")
            with m.If(self.group_end):
                m.d.sync += odd_column.eq(~odd_column)
            with m.If(self.begin):
                m.d.sync += odd_column.eq(0)
            m.d.comb += [window.odd_column.eq(odd_column), pair_end.eq(self.group_end & odd_column)]
        else:
            m.d.comb += [window.odd_column.eq(1), pair_end.eq(self.group_end)]
        with m.If(pair_end):
            m.d.sync += [base.eq(Mux(last_column, 0, following)), first_column.eq(last_column)]
            with m.If(last_column):
                m.d.sync += [first_row.eq(0), odd_row.eq(~odd_row)]
        bank = Signal.like(self.bank)
        group = Signal.like(self.position_group)
        with m.If(last_column & pair_end & odd_row):
            m.d.sync += cut.eq(0)
        with m.If(pair_end & odd_row):
            last_bank = bank == config.positions - 1
            m.d.sync += [bank.eq(Mux(last_bank, 0, bank + 1)), group.eq(Mux(last_bank, group + chunks, group))]
        with m.If(self.begin):
            m.d.sync += [base.eq(0), first_column.eq(1), first_row.eq(1), odd_row.eq(0), bank.eq(0), group.eq(0)]
            m.d.sync += cut.eq(d.first_row != 0)
        m.d.comb += [
            window.pooled.eq(d.pool_before),
            window.valid.eq(d.pool_before & self.valid),
            window.word.eq(base + self.time_chunk if most > 1 else base),
            window.time_chunk.eq(self.time_chunk),
            window.select.eq(self.select),
            window.first_column.eq(first_column & ~alone),
            window.first_row.eq(first_row),
            window.odd_row.eq(odd_row),
            self.completes.eq(odd_row & window.odd_column & ~cut),
            self.bank.eq(bank),
            self.position_group.eq(group + self.time_chunk if most > 1 else group),
        ]
        return m
