"""Weights between external memory and the tables: the slice in use and the one that waits."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.array.table_write import table_count
from hw.config import TABLE_INPUTS, WEIGHT_BITS, HardwareConfig
from hw.parts.dual_port import dual_port_memory

BLOCK_ROW_BITS = 256
"""Rows of weights that are so wide are kept in block RAM: as LUT RAM they would take a LUT for two bits."""


class SliceStaging(wiring.Component):
    """Keeps two slices of weights: one that is staged, beat by beat, and the one loaded last, read row by row.

    A weight slice is ``outputs x inputs`` weights in ``config.slice_beats`` beats, in the order in which the tables are
    filled: four rows, row k with the k-th weight of every table, output-major. A row is ``config.row_beats`` beats; if
    it is shorter than one, a beat has ``config.beat_rows`` equal parts with a row each. They wait in a memory whose
    address chooses the row, so that no multiplexer does.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.

    Members
    -------
    weights : In(stream of memory_bits)
        Weight slices, one beat per cycle until a slice is staged.
    unsigned_weights : In(1)
        With a beat: its weights are 0 to 15 instead of -8 to 7; the same for all beats of a slice.
    staged : Out(1)
        A slice is complete and waits.
    staged_unsigned : Out(1)
        It has unsigned weights.
    load : In(1)
        While `staged`: it becomes the one that is read, in this cycle already.
    read : In(1), select : In(range(TABLE_INPUTS))
        Whether a row is read, and which one; from `load` on.
    row : Out(ArrayLayout(WEIGHT_BITS, tables))
        That row, `latency` cycles later.
    """

    latency = 1
    """Cycles from `select` to `row`."""

    def __init__(self, config: HardwareConfig):
        self._config = config
        super().__init__(
            {
                "weights": In(stream.Signature(unsigned(config.memory_bits))),
                "unsigned_weights": In(1),
                "staged": Out(1),
                "staged_unsigned": Out(1),
                "load": In(1),
                "read": In(1),
                "select": In(range(TABLE_INPUTS)),
                "row": Out(data.ArrayLayout(unsigned(WEIGHT_BITS), table_count(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        rows = TABLE_INPUTS // config.beat_rows
        row = Signal(range(max(2, rows)))
        beat = Signal(range(max(2, config.row_beats)))
        bank = Signal()
        is_unsigned = Signal(reset_less=True)
        taken = Signal()
        m.d.comb += [
            self.weights.ready.eq(~self.staged | self.load),
            taken.eq(self.weights.valid & self.weights.ready),
            self.staged_unsigned.eq(is_unsigned),
        ]
        with m.If(self.load):
            m.d.sync += [bank.eq(~bank), self.staged.eq(0)]
        with m.If(taken):
            m.d.sync += [beat.eq(beat + 1), is_unsigned.eq(self.unsigned_weights)]
            with m.If(beat == config.row_beats - 1):
                m.d.sync += [beat.eq(0), row.eq(row + 1)]
                with m.If(row == rows - 1):
                    m.d.sync += [row.eq(0), self.staged.eq(1)]
        self._keep(m, row[: exact_log2(rows)], Mux(taken, 1 << beat, 0), bank)
        return m

    def _keep(self, m: Module, row, enable, bank: Signal) -> None:
        """The memory of both slices: write a beat to `row`, read the selected one.

        The slice that is staged lies in `bank`, the one that is loaded in the other one. What is written and what is
        read are never in one bank: in the cycle of a load both change places already.
        """
        config = self._config
        word_bits = config.memory_bits * config.row_beats
        read, write = dual_port_memory(
            m, name="slices", width=word_bits, depth=2 * TABLE_INPUTS // config.beat_rows,
            granularity=config.memory_bits, block=word_bits >= BLOCK_ROW_BITS,
        )  # fmt: skip
        written_bank = bank ^ self.load
        part_bits = exact_log2(config.beat_rows)
        m.d.comb += [
            write.addr.eq(Cat(row, written_bank)),
            write.data.eq(self.weights.payload.replicate(config.row_beats)),
            write.en.eq(enable),
            read.addr.eq(Cat(self.select[part_bits:], ~written_bank)),
            read.en.eq(self.read),
        ]
        word = read.data
        if part_bits:
            part = Signal(part_bits)
            m.d.sync += part.eq(self.select[:part_bits])
            word = word.word_select(part, word_bits // config.beat_rows)
        m.d.comb += self.row.eq(word[: config.weight_row_bits])
