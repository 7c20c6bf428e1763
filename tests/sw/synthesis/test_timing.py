"""Slowest paths from delays in the form nextpnr writes."""

from __future__ import annotations

import pytest

from sw.synthesis.timing import Delays, register_name, slowest_paths

# The form is that of nextpnr-ecp5 0.11; names and figures are cut down. Two registers, a LUT, a carry cell, a memory.
SDF = r"""(DELAYFILE
  (SDFVERSION "3.0")
  (CELL
    (CELLTYPE "top")
    (INSTANCE )
    (DELAY
      (ABSOLUTE
        (INTERCONNECT \$gbuf\$clk/CLKO walker.now_TRELLIS_FF_Q_15/CLK (0:0:0) (0:0:0))
        (INTERCONNECT walker.now_TRELLIS_FF_Q_15/Q walker\$2.sum_LUT4_Z/A (767:897:1000) (767:897:1000))
        (INTERCONNECT walker\$2.sum_LUT4_Z/F walker.sum\$CCU2_COMB0/B (10:20:300) (10:20:300))
        (INTERCONNECT walker.sum\$CCU2_COMB0/F counters.filed_TRELLIS_FF_Q_125/DI (110:120:130) (110:120:130))
        (INTERCONNECT walker\$2.sum_LUT4_Z/F counters.seen_TRELLIS_FF_Q/CE (110:120:130) (110:120:130))
        (INTERCONNECT spikes\$262.bank0.0.1/DOB9 spikes\$262.bank0.0.0/DIA3 (400:500:600) (400:500:600))
      )
    )
  )
  (CELL
    (CELLTYPE "TRELLIS_FF")
    (INSTANCE walker.now_TRELLIS_FF_Q_15)
    (DELAY
      (ABSOLUTE
        (IOPATH CLK Q (430:477:525) (430:477:525))
      )
    )
    (TIMINGCHECK
      (SETUPHOLD (posedge M) (posedge CLK) (0:0:0) (233:268:303))
      (SETUPHOLD (negedge M) (posedge CLK) (0:0:0) (233:268:303))
    )
    )
  (CELL
    (CELLTYPE "TRELLIS_COMB")
    (INSTANCE walker\$2.sum_LUT4_Z)
    (DELAY
      (ABSOLUTE
        (IOPATH A F (200:218:236) (200:218:236))
      )
    )
    )
  (CELL
    (CELLTYPE "TRELLIS_COMB")
    (INSTANCE walker.sum\$CCU2_COMB0)
    (DELAY
      (ABSOLUTE
        (IOPATH B FCO (175:311:447) (175:311:447))
        (IOPATH B F (200:218:236) (200:218:236))
      )
    )
    )
  (CELL
    (CELLTYPE "TRELLIS_FF")
    (INSTANCE counters.filed_TRELLIS_FF_Q_125)
    (TIMINGCHECK
      (SETUPHOLD (posedge DI) (posedge CLK) (0:0:50) (267:285:303))
    )
    )
  (CELL
    (CELLTYPE "TRELLIS_FF")
    (INSTANCE counters.seen_TRELLIS_FF_Q)
    (TIMINGCHECK
      (SETUPHOLD (posedge CE) (posedge CLK) (0:0:0) (144:147:151))
    )
    )
  (CELL
    (CELLTYPE "DP16KD")
    (INSTANCE spikes\$262.bank0.0.1)
    (DELAY
      (ABSOLUTE
        (IOPATH CLKB DOB9 (5795:5812:5830) (5795:5812:5830))
      )
    )
    (TIMINGCHECK
      (SETUPHOLD (posedge ADB3) (posedge CLKB) (0:0:0) (144:147:151))
    )
    )
  (CELL
    (CELLTYPE "DP16KD")
    (INSTANCE spikes\$262.bank0.0.0)
    (TIMINGCHECK
      (SETUPHOLD (posedge DIA3) (posedge CLKA) (200:210:218) (0:0:0))
    )
    )
)
"""


def test_delays_are_read_in_the_slowest_corner():
    delays = Delays.read(SDF)
    sink = ("walker$2.sum_LUT4_Z", "A")
    assert delays.wires["walker.now_TRELLIS_FF_Q_15", "Q"] == [(sink, 1.0)]
    assert delays.arcs[sink] == [("F", 0.236)]
    assert delays.setups["spikes$262.bank0.0.0", "DIA3"] == 0.218
    assert ("walker.now_TRELLIS_FF_Q_15", "CLK") in delays.clocks


def test_slowest_paths_come_first_with_logic_and_routing_apart():
    memory, chain, *_ = slowest_paths(Delays.read(SDF), 5)
    assert [step.cell for step in memory.steps] == ["spikes$262.bank0.0.1", "spikes$262.bank0.0.0"]
    assert memory.delay == pytest.approx(5.830 + 0.600 + 0.218)
    assert memory.routing == pytest.approx(0.600)
    assert [step.entered for step in chain.steps] == ["", "A", "B", "DI"]
    assert chain.logic == pytest.approx(0.525 + 0.236 + 0.236 + 0.050)
    assert chain.routing == pytest.approx(1.000 + 0.300 + 0.130)


def test_paths_that_share_most_of_their_cells_are_one():
    assert len(slowest_paths(Delays.read(SDF), 5)) == 2
    shown = slowest_paths(Delays.read(SDF), 5, shared=0.9)
    assert [path.steps[-1].cell for path in shown][2] == "counters.seen_TRELLIS_FF_Q"
    assert len(slowest_paths(Delays.read(SDF), 1)) == 1


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("neurons.descriptor_TRELLIS_FF_Q_76", "neurons.descriptor"),
        ("head.$signal$16_TRELLIS_FF_Q", "head.$signal"),
        ("spikes$262.bank0.0.1", "spikes.bank0"),
        ("weight_array.sums_0_3.0.6$DPRAM_COMB0", "weight_array.sums_0_3"),
        ("attention$261.output.stride$11_TRELLIS_FF_Q_1_DI_LUT4_Z", "attention.output.stride"),
    ],
)
def test_registers_are_named_as_in_the_design(cell, expected):
    assert register_name(cell) == expected
