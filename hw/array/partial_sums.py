"""Looks spikes up in the subset-sum tables and accumulates what they say, group by group."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.array.step import step_layout
from hw.array.table_write import ENTRY_OFFSET, LARGEST_ENTRY, TABLE_ENTRIES, TableWrite, table_count
from hw.config import TABLE_INPUTS, HardwareConfig
from hw.parts.delay import delayed
from hw.parts.lut_ram import LutRam
from hw.parts.technology import Technology
from hw.parts.ternary_tree import ternary_tree, ternary_tree_latency


class PartialSums(wiring.Component):
    """Tables, adder trees and accumulators of every output and lane.

    Four spikes of a lane address the table of their weights, in one of two banks. The entries of an output are added in
    a tree, whose last node takes the offsets of signed weights off again, into the sum of the step's group. That one is
    read, added to and written in one cycle (LUT RAM), so consecutive steps may hit the same group. A final step writes
    nothing back: its sums leave.

    One word of spikes per cycle; its sums leave `latency` cycles later.

    Parameters
    ----------
    config : HardwareConfig
        Sizes; sums have ``accumulator_bits`` and wrap around.
    technology : Technology
        What tables, trees and sums are made of.

    Members
    -------
    write : In(TableWrite)
        Fills the tables.
    read_bank : In(1)
        The bank that `spikes` look up.
    step : In(step_layout(config)), spikes : In(group_bits)
        One word of spikes, ``[positions][timesteps][inputs]``.
    sums_step : Out(step_layout(config)), sums : Out(ArrayLayout(signed(accumulator_bits), outputs * lanes))
        The step of `latency` cycles ago and its group's new sums, ``[outputs][positions][timesteps]``.
    """

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        layout = step_layout(config)
        super().__init__(
            {
                "write": In(TableWrite(config)),
                "read_bank": In(1),
                "step": In(layout),
                "spikes": In(unsigned(config.group_bits)),
                "sums_step": Out(layout),
                "sums": Out(data.ArrayLayout(signed(config.accumulator_bits), config.outputs * config.lanes)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from `step` and `spikes` to `sums`: the lookup, the adder tree's levels, the sums' register."""
        return 1 + ternary_tree_latency(self._tables_per_output) + 1

    @property
    def _tables_per_output(self) -> int:
        return self._config.inputs // TABLE_INPUTS

    def elaborate(self, platform):
        m = Module()
        before = delayed(m, self.step.as_value(), self.latency - 2, name="step", reset=True)
        step = Signal(self.step.shape(), name="adding_step")
        m.d.sync += [step.eq(before), self.sums_step.eq(step)]
        # The offsets are taken off in the cycle before the sums, in the lookup itself if there is no tree behind it.
        has_offsets = ~data.View(self.step.shape(), before).unsigned
        tables = self._tables(m)
        totals = [
            self._total(m, tables, output, lane, has_offsets)
            for output in range(self._config.outputs)
            for lane in range(self._config.lanes)
        ]
        tables.pack()
        self._accumulate(m, totals, step)
        return m

    def _tables(self, m: Module) -> LutRam:
        """Both banks of every table."""
        tables = LutRam(
            m,
            name="table",
            depth=2 * TABLE_ENTRIES,
            write_address=self.write.address,
            write_enable=self.write.enable,
            technology=self._technology,
        )
        for number in range(table_count(self._config)):
            tables.add(self.write.entries[number])
        return tables

    def _total(self, m: Module, tables: LutRam, output: int, lane: int, has_offsets: Value) -> Value:
        """Signed sum of what an output's tables hold for a lane's spikes, a cycle before `sums`."""
        name, count = f"{output}_{lane}", self._tables_per_output
        entries = []
        for i in range(count):
            spikes = self.spikes.word_select(lane * count + i, TABLE_INPUTS)
            entry = tables.read(output * count + i, Cat(spikes, self.read_bank))
            if count == 1:
                # Less an offset that is the entry's top bit: that bit inverted, and again as the sign.
                top = entry[-1]
                entry = Cat(entry[:-1], top ^ has_offsets, ~top & has_offsets).as_signed()
            entries.append(delayed(m, entry, 1, name=f"looked_up_{name}_{i}"))
        if count == 1:
            return entries[0]
        return ternary_tree(
            m,
            entries,
            largest=LARGEST_ENTRY,
            offset=count * ENTRY_OFFSET,
            subtract=has_offsets,
            name=f"sum_{name}",
            technology=self._technology,
        )

    def _accumulate(self, m: Module, totals: list[Value], step) -> None:
        """Add the totals to the partial sums, or to nothing in a first step."""
        keep = Signal()
        m.d.comb += keep.eq(step.valid & ~step.final)
        partial = LutRam(
            m,
            name="partial",
            depth=self._config.tile_groups,
            write_address=step.group,
            write_enable=keep,
            single_port=True,
            technology=self._technology,
        )
        sums = []
        for number, total in enumerate(totals):
            new, old = (Signal(self._config.accumulator_bits, name=f"{kind}_{number}") for kind in ("new", "old"))
            kept = partial.read(partial.add(new))
            m.d.comb += [
                old.eq(Mux(step.first, 0, Mux(step.double, kept << 1, kept))),
                # The register comes first: it feeds the carry chain, and `old` is part of the LUT in front of it.
                new.eq(total + old),
            ]
            sums.append(new)
        partial.pack()
        # Into a register at once: simulators follow a word of thousands of bits once a cycle, not sum by sum.
        registered = Signal(self.sums.shape(), name="registered_sums", reset_less=True)
        m.d.sync += registered.as_value().eq(Cat(*sums))
        m.d.comb += self.sums.eq(registered)
