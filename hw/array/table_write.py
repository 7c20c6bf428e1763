"""How subset sums come into the tables: one entry of every table at a time."""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from hw.config import TABLE_INPUTS, WEIGHT_BITS, HardwareConfig

TABLE_ENTRIES = 1 << TABLE_INPUTS
"""Subsets of a table's inputs."""

ENTRY_BITS = WEIGHT_BITS + 2

LARGEST_ENTRY = TABLE_INPUTS * ((1 << WEIGHT_BITS) - 1)
"""Of a table of unsigned weights; the tables of signed ones are shifted into the same range."""

ENTRY_OFFSET = TABLE_INPUTS << WEIGHT_BITS - 1
"""What is added to the entries of signed weights: the least sum becomes 0."""


def table_count(config: HardwareConfig) -> int:
    """Subset-sum tables of the array, ``[outputs][inputs / 4]``."""
    return config.weight_row_bits // WEIGHT_BITS


class TableWrite(wiring.Signature):
    """Write of the same entry of all tables of a bank.

    Entry s is the sum of the weights of the inputs whose bits are set in s; of signed weights plus 32 (`ENTRY_OFFSET`),
    which makes them as unsigned as those of unsigned weights.

    Members
    -------
    enable : Out(1)
        Write this cycle.
    address : Out(TABLE_INPUTS + 1)
        The entry, and above it the bank.
    entries : Out(ArrayLayout(ENTRY_BITS, tables))
        ``[outputs][inputs / 4]``.
    """

    def __init__(self, config: HardwareConfig):
        super().__init__(
            {
                "enable": Out(1),
                "address": Out(TABLE_INPUTS + 1),
                "entries": Out(data.ArrayLayout(unsigned(ENTRY_BITS), table_count(config))),
            }
        )
