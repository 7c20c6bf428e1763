"""What cells cost, and that one nobody has priced is no zero."""

from __future__ import annotations

import pytest

from sw.errors import UserError
from sw.synthesis.cells import FAMILIES, RESOURCES, cost, count_resources, luts

# Cells of the configuration tiny, as Yosys 0.70 maps it.
TINY_XCUP = {
    "$scopeinfo": 31, "BUFG": 1, "CARRY4": 1168, "FDRE": 8657, "INV": 431, "LUT1": 6, "LUT2": 2085, "LUT3": 1604,
    "LUT4": 969, "LUT5": 2112, "LUT6": 840, "MUXF7": 4, "MUXF8": 2, "RAM32M16": 207, "RAMB18E2": 2, "RAMB36E2": 12,
    "SRL16E": 387,
}  # fmt: skip
MINI_ECP5 = {
    "$scopeinfo": 27, "CCU2C": 1209, "DP16KD": 9, "L6MUX21": 44, "LUT4": 4531, "PFUMX": 325, "TRELLIS_DPR16X4": 355,
    "TRELLIS_FF": 5396,
}  # fmt: skip


def test_ultrascale_cells_are_summed_by_resource():
    assert count_resources(TINY_XCUP, "xcup") == {
        "lut": 431 + 6 + 2085 + 1604 + 969 + 2112 + 840, "lutram": 207 * 8 + 387, "ff": 8657, "bram": 13, "uram": 0,
        "dsp": 0,
    }  # fmt: skip


def test_ecp5_cells_are_summed_by_resource():
    assert count_resources(MINI_ECP5, "ecp5") == {
        "lut": 4531 + 2 * 1209, "lutram": 4 * 355, "ff": 5396, "bram": 9, "uram": 0, "dsp": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("LUT6_2", ("lut", 1)), ("RAM32M16", ("lutram", 8)), ("RAM64M8", ("lutram", 8)), ("RAM32M", ("lutram", 4)),
        ("RAM64X1D", ("lutram", 2)), ("SRLC32E", ("lutram", 1)), ("RAMB18E2", ("bram", 0.5)), ("URAM288", ("uram", 1)),
        ("DSP48E2", ("dsp", 1)), ("CARRY8", None), ("MUXF9", None),
    ],
)  # fmt: skip
def test_instantiated_primitives_have_a_price(cell, expected):
    assert cost(cell, "xcup") == expected


def test_half_a_block_ram_stays_half():
    assert count_resources({"RAMB36E2": 2, "RAMB18E2": 1}, "xcup")["bram"] == 2.5


@pytest.mark.parametrize("cell", ["FROBNICATOR", "LUT", "$add", "LDCE"])
def test_unknown_cell_is_an_error_that_says_where_to_add_it(cell):
    with pytest.raises(UserError) as error:
        count_resources({"LUT6": 3, cell: 1}, "xcup")
    assert str(error.value) == (
        f"{cell} is not a cell whose cost on xcup is known: add what it takes to sw/synthesis/cells.py"
    )


def test_luts_count_memory_in_full():
    assert luts({"lut": 10, "lutram": 8, "ff": 99}) == 18


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_every_price_is_of_a_known_resource(family):
    assert {resource for resource, _ in family.costs.values()} <= set(RESOURCES)
    assert not family.free & set(family.costs)
