"""What every mapped cell of an FPGA family costs, and how Yosys synthesises for the family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sw.errors import UserError

RESOURCES = {
    "lut": "logic LUTs",
    "lutram": "LUTs as memory",
    "ff": "registers",
    "bram": "block RAMs",
    "uram": "UltraRAMs",
    "dsp": "DSP blocks",
}
"""Resource to its name in tables."""


@dataclass(frozen=True)
class Family:
    """An FPGA family.

    Attributes
    ----------
    title : str
        The family in words.
    library : str
        Yosys's simulation models of the primitives, so that a design may instantiate them.
    command : str
        Yosys command; the top module is appended.
    bram_kbit : int
        Size of the block RAM that ``bram`` counts.
    costs : mapping of str to (str, float)
        Cell type to the resource it takes and how much of it.
    free : frozenset of str
        Cell types that take none of `RESOURCES`: they are part of a slice, or hold no logic.
    """

    title: str
    library: str
    command: str
    bram_kbit: int
    costs: Mapping[str, tuple[str, float]]
    free: frozenset[str]


def _costs(table: dict[str, dict[float, str]]) -> dict[str, tuple[str, float]]:
    return {cell: (resource, cost) for resource, row in table.items() for cost, cells in row.items()
            for cell in cells.split()}  # fmt: skip


FAMILIES = {
    "xcup": Family(
        title="Xilinx UltraScale+",
        library="+/xilinx/cells_sim.v +/xilinx/cells_xtra.v",
        command="synth_xilinx -family xcup -flatten -noiopad",
        bram_kbit=36,
        costs=_costs({
            # LUT6_2 is one LUT with both of its outputs in use. An inverter that no LUT absorbed takes one.
            "lut": {1: "LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 LUT6_2 INV"},
            # A RAM32M16 is made of the eight LUTs of a slice; the others are parts of one.
            "lutram": {
                8: "RAM32M16 RAM64M8 RAM256X1D RAM512X1S", 4: "RAM32M RAM64M RAM128X1D RAM256X1S",
                2: "RAM32X1D RAM64X1D RAM128X1S", 1: "RAM32X1S RAM64X1S SRL16E SRLC16E SRLC32E",
            },
            "ff": {1: "FDRE FDSE FDCE FDPE"},
            "bram": {1: "RAMB36E2", 0.5: "RAMB18E2"},
            "uram": {1: "URAM288 URAM288_BASE"},
            "dsp": {1: "DSP48E2"},
        }),
        free=frozenset({
            "CARRY4", "CARRY8", "MUXF7", "MUXF8", "MUXF9", "BUFG", "BUFGCE", "IBUF", "OBUF", "VCC", "GND", "$scopeinfo",
        }),
    ),
    "ecp5": Family(
        title="Lattice ECP5",
        library="+/lattice/cells_sim_ecp5.v",
        command="synth_ecp5",
        bram_kbit=18,
        costs=_costs({
            # A carry cell occupies both LUTs of its slice.
            "lut": {1: "LUT4", 2: "CCU2C"},
            "lutram": {4: "TRELLIS_DPR16X4"},
            "ff": {1: "TRELLIS_FF"},
            "bram": {1: "DP16KD PDPW16KD"},
            "dsp": {1: "MULT18X18D"},
        }),
        free=frozenset({"PFUMX", "L6MUX21", "TRELLIS_IO", "DCCA", "GSR", "VLO", "VHI", "$scopeinfo"}),
    ),
}  # fmt: skip
"""The families by name."""


def cost(cell: str, family: str) -> tuple[str, float] | None:
    """What one cell takes.

    Parameters
    ----------
    cell : str
        Its type.
    family : str
        One of `FAMILIES`.

    Returns
    -------
    (str, float) or None
        Resource and amount; None if the cell takes nothing that is counted.

    Raises
    ------
    UserError
        If the type is unknown: leaving it out would make every figure wrong without a sign of it.
    """
    if cell in FAMILIES[family].free:
        return None
    try:
        return FAMILIES[family].costs[cell]
    except KeyError:
        raise UserError(
            f"{cell} is not a cell whose cost on {family} is known: add what it takes to sw/synthesis/cells.py"
        ) from None


def count_resources(cells: Mapping[str, int], family: str) -> dict[str, float]:
    """Sum mapped cells by resource.

    Parameters
    ----------
    cells : mapping of str to int
        Cells by type.
    family : str
        One of `FAMILIES`.

    Returns
    -------
    dict of str to float
        Every one of `RESOURCES`; whole numbers where they are whole.

    Raises
    ------
    UserError
        If a type is unknown.
    """
    counts: dict[str, float] = dict.fromkeys(RESOURCES, 0)
    for cell, number in cells.items():
        taken = cost(cell, family)
        if taken is not None:
            counts[taken[0]] += number * taken[1]
    return {name: int(count) if count == int(count) else count for name, count in counts.items()}


def luts(resources: Mapping[str, float]) -> float:
    """LUTs of all uses: a LUT that is memory is no less occupied than one that is logic."""
    return resources["lut"] + resources["lutram"]
