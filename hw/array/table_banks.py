"""The two banks of subset-sum tables: which one is filled, which one is read."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.array.table_write import TABLE_ENTRIES
from hw.config import TABLE_INPUTS


class TableBanks(wiring.Component):
    """Two banks in turn: one is read while the other one is filled, an entry per cycle.

    A slice of weights is loaded as soon as the fill before it ends and the bank after that one's is free: `release`
    frees the bank that is read. A filled bank is announced `latency` cycles after the load and claimed before it is
    read. Banks are filled, claimed and released in the same order. Throughput is a table every `TABLE_ENTRIES` cycles.

    Members
    -------
    staged : In(1)
        A slice of weights waits for a bank.
    load : Out(1)
        It is loaded: the first entry is written in the next cycle.
    filling : Out(1)
        An entry is written.
    next_entry : Out(range(TABLE_ENTRIES)), next_bank : Out(1)
        Number, in the order of filling, and bank of the entry that the next cycle writes if it does.
    table_available : Out(1), claim : In(1)
        A filled table waits to be claimed; claims it.
    release : In(1)
        The last step that reads the claimed table.
    read_bank : Out(1)
        The bank that is read.
    """

    latency = 1 + TABLE_ENTRIES
    """Cycles from `load` to `table_available`."""

    def __init__(self):
        super().__init__(
            {
                "staged": In(1),
                "load": Out(1),
                "filling": Out(1),
                "next_entry": Out(range(TABLE_ENTRIES)),
                "next_bank": Out(1),
                "table_available": Out(1),
                "claim": In(1),
                "release": In(1),
                "read_bank": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        filled = Signal()
        full = Signal(2)
        self._fill(m, full, filled)
        with m.If(self.release):
            m.d.sync += [self.read_bank.eq(~self.read_bank), full.bit_select(self.read_bank, 1).eq(0)]
        unclaimed = Signal(2)
        m.d.sync += [
            unclaimed.eq(unclaimed + filled - self.claim),
            self.table_available.eq(filled | Mux(self.claim, unclaimed == 2, unclaimed != 0)),
        ]
        return m

    def _fill(self, m: Module, full: Signal, filled: Signal) -> None:
        """Go through the entries, bank after bank; `filled` says that a bank becomes one of the `full` ones."""
        entry = Signal(TABLE_INPUTS)
        bank = Signal()
        free = Signal(init=1)
        still_full = Signal(2)
        m.d.comb += [
            filled.eq(self.filling & entry.all()),
            self.load.eq(self.staged & free),
            self.next_entry.eq(Mux(self.filling, entry + 1, 0)),
            self.next_bank.eq(bank ^ filled),
            still_full.eq(full & ~Mux(self.release, Cat(~self.read_bank, self.read_bank), 0)),
        ]
        # Whether a fill may begin in the next cycle: it is a fill's last one or behind it, and the table filled next,
        # during a fill the other one, is free.
        m.d.sync += free.eq(
            ~self.load & (~self.filling | entry[1:].all()) & ~still_full.bit_select(bank ^ self.filling, 1)
        )
        with m.If(self.filling):
            m.d.sync += entry.eq(entry + 1)
        with m.If(filled):
            m.d.sync += [self.filling.eq(0), bank.eq(~bank), full.bit_select(bank, 1).eq(1)]
        with m.If(self.load):
            m.d.sync += self.filling.eq(1)
