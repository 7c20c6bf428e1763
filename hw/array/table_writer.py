"""Fills the subset-sum tables from slices of weights, one addition per entry."""

from __future__ import annotations

from typing import TypeVar

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.array.slice_staging import SliceStaging
from hw.array.table_banks import TableBanks
from hw.array.table_write import ENTRY_BITS, ENTRY_OFFSET, TableWrite, table_count
from hw.config import TABLE_INPUTS, WEIGHT_BITS, HardwareConfig
from hw.parts.carry_chain import add_or_subtract
from hw.parts.technology import Technology

Number = TypeVar("Number", int, Value)


def gray(index: Number) -> Number:
    """Number `index` of the reflected Gray code: from one to the next a single bit changes.

    From ``gray(index)`` to ``gray(index + 1)`` it is the lowest bit set in ``index + 1``, and it becomes 0 if the bit
    above is set there too.
    """
    return index ^ index >> 1


class TableWriter(wiring.Component):
    """Writes the 16 subset sums of every table, in Gray-code order: an entry differs from the one before by one weight.

    A slice is loaded the cycle after its last beat, if a bank is free, and its table is available `latency` cycles
    later. Throughput is a slice every 16 cycles. All tables are written at once: what chooses entry and weight exists
    once, and a table costs one adder.

    Parameters
    ----------
    config : HardwareConfig
        Sizes.
    technology : Technology
        What the adders are made of.

    Members
    -------
    weights, unsigned_weights : In
        Weight slices in the order of use, as `SliceStaging` takes them.
    table_available : Out(1), claim : In(1), release : In(1), read_bank : Out(1)
        Filled tables and which one is read, see `TableBanks`.
    write : Out(TableWrite)
        To the tables.
    """

    latency = TableBanks.latency
    """Cycles from a slice's load to `table_available`."""

    def __init__(self, config: HardwareConfig, *, technology: Technology = Technology.PORTABLE):
        self._config, self._technology = config, technology
        super().__init__(
            {
                "weights": In(stream.Signature(unsigned(config.memory_bits))),
                "unsigned_weights": In(1),
                "table_available": Out(1),
                "claim": In(1),
                "release": In(1),
                "read_bank": Out(1),
                "write": Out(TableWrite(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.staging = staging = SliceStaging(self._config)
        m.submodules.banks = banks = TableBanks()
        connect(m, flipped(self.weights), staging.weights)
        m.d.comb += [
            staging.unsigned_weights.eq(self.unsigned_weights),
            staging.load.eq(banks.load),
            staging.read.eq(banks.load | banks.filling),
            banks.staged.eq(staging.staged),
            banks.claim.eq(self.claim),
            banks.release.eq(self.release),
            self.table_available.eq(banks.table_available),
            self.read_bank.eq(banks.read_bank),
            self.write.enable.eq(banks.filling),
        ]
        m.d.sync += self.write.address.eq(Cat(gray(banks.next_entry), banks.next_bank))
        # While an entry is written the one after it is computed, from the row that was selected a cycle before.
        subtract = Signal()
        self._change(m, banks.next_entry, staging.select, subtract)
        self._sum(m, staging, subtract)
        return m

    def _change(self, m: Module, entry: Value, changed: Value, leaves: Signal) -> None:
        """From number `entry` to the one after it: which input changes and, a cycle later, whether it leaves."""
        after = Signal(TABLE_INPUTS)
        m.d.comb += [after.eq(entry + 1), changed.eq(TABLE_INPUTS - 1)]
        m.d.sync += leaves.eq(0)
        for bit in reversed(range(TABLE_INPUTS - 1)):
            with m.If(after[bit]):
                m.d.comb += changed.eq(bit)
                m.d.sync += leaves.eq(after[bit + 1])

    def _sum(self, m: Module, staging: SliceStaging, subtract: Signal) -> None:
        """Run through the entries of every table: the first one is that of no input."""
        are_unsigned = Signal(reset_less=True)
        with m.If(staging.load):
            m.d.sync += are_unsigned.eq(staging.staged_unsigned)
        # One register: simulators follow a word of hundreds of bits once a cycle, not entry by entry.
        running = Signal(self.write.entries.shape(), name="running", reset_less=True)
        following = []
        for number in range(table_count(self._config)):
            weight = staging.row[number]
            sign = weight[-1] & ~are_unsigned
            changed = Cat(weight, sign.replicate(ENTRY_BITS - WEIGHT_BITS))
            name = f"entry_{number}"
            entry = add_or_subtract(m, running[number], changed, subtract, name=name, technology=self._technology)
            following.append(entry[:ENTRY_BITS])
        empty = Mux(staging.staged_unsigned, 0, ENTRY_OFFSET)[:ENTRY_BITS]
        m.d.sync += running.as_value().eq(Mux(staging.load, empty.replicate(len(following)), Cat(*following)))
        m.d.comb += self.write.entries.eq(running)
