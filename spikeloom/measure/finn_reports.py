"""Reports with FINN's names and keys, for scripts and habits that expect them; only of quantities that exist here.

FINN (github.com/Xilinx/finn) writes them into ``report/`` of a build. Its accelerators have an engine for every layer;
here one machine runs all layers, so cycles are by layer and resources by part of the machine. docs/formats.md says what
each key is here, and which of FINN's are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from golden.cycles.cycle_model import predict_cycles
from hw.verilog.description import TOP
from sw.compiler.image_pack import WORD_BITS
from sw.compiler.program import Program
from sw.synthesis.cells import FAMILIES, count_resources, luts
from sw.synthesis.modules import TOP_MODULE

OWN = f"({TOP})"
"""What the top module holds beside its submodules. FINN's "(top)" is everything, as in Vivado's reports."""

SMALL_BLOCK_KBIT = 18
"""Unit of FINN's ``BRAM_18K``."""

POST_SYNTH_CELLS = {
    "SRL": frozenset({"SRL16E", "SRLC16E", "SRLC32E"}),
    "BRAM_36K": frozenset({"RAMB36E2"}),
    "BRAM_18K": frozenset({"RAMB18E2", "DP16KD", "PDPW16KD"}),
}
"""Cells that these keys of ``post_synth_resources.json`` count."""


def estimate_layer_cycles(program: Program, memory_latency: int) -> dict[str, int]:
    """Cycles of every layer by the cycle model.

    Layers run one after another: an image takes their sum. ``load`` is the image's way onto the chip.

    Parameters
    ----------
    program : Program
        The model, compiled for the configuration.
    memory_latency : int
        Cycles from a request to its first beat.
    """
    return predict_cycles(program, memory_latency).layers


def estimate_layer_resources(entry: Mapping[str, Any], family: str) -> dict[str, dict[str, float]]:
    """Resources of every part of the machine, and their total.

    Parameters
    ----------
    entry : mapping
        The configuration's in ``build/synth.json``, see `sw.synthesis.report.entry`.
    family : str
        One of `sw.synthesis.cells.FAMILIES`.
    """
    parts = {_part(name): _estimate(counts, family) for name, counts in entry["parts"].items()}
    return {**parts, "total": _estimate(entry["resources"], family)}


def post_synth_resources(entry: Mapping[str, Any], family: str) -> dict[str, dict[str, float]]:
    """Mapped cells of the whole, "(top)", and of every part of the machine.

    Parameters
    ----------
    entry, family
        As for `estimate_layer_resources`.
    """
    parts = {_part(name): _mapped(cells, family) for name, cells in entry["part_cells"].items()}
    return {"(top)": _mapped(entry["cells"], family), **parts}


def rtlsim_performance(figures: Mapping[str, Any], program: Program, clock_mhz: float | None) -> dict[str, float]:
    """Cycles counted by the hardware in simulated RTL, and times at a clock.

    Parameters
    ----------
    figures : mapping
        Of a comparison without mismatches, the content of ``compare.json``.
    program : Program
        What was compared.
    clock_mhz : float, optional
        Clock of the accelerator; without it there are no times.
    """
    images, cycles = figures["images"]["rtl"], figures["cycles"]
    total = round(cycles["rtl_mean"] * images)
    counted: dict[str, float] = {"N": images, "cycles": total, "latency_cycles": cycles["rtl_max"]}
    if clock_mhz is None:
        return counted
    per_second = images * clock_mhz * 1e6 / total
    bytes_read = program.memory.nbytes + program.image_words * WORD_BITS // 8
    return {
        **counted,
        "fclk[mhz]": clock_mhz,
        "runtime[ms]": total / (clock_mhz * 1e3),
        "throughput[images/s]": per_second,
        "stable_throughput[images/s]": per_second,
        "DRAM_in_bandwidth[MB/s]": per_second * bytes_read / 1e6,
    }


def _part(name: str) -> str:
    return OWN if name == TOP_MODULE else name


def _estimate(counts: Mapping[str, float], family: str) -> dict[str, float]:
    """FINN's keys of an estimate, of those that the family has."""
    blocks = counts["bram"] * FAMILIES[family].bram_kbit / SMALL_BLOCK_KBIT
    return {"BRAM_18K": int(blocks), "LUT": luts(counts), **_large_blocks(counts, family)}


def _mapped(cells: Mapping[str, int], family: str) -> dict[str, float]:
    """FINN's keys of a synthesis report, of those that the family has."""
    known = FAMILIES[family].costs.keys()
    kinds = {key: sum(cells.get(cell, 0) for cell in kind) for key, kind in POST_SYNTH_CELLS.items() if kind & known}
    counts = count_resources(Counter(cells), family)
    return {"LUT": luts(counts), "FF": counts["ff"], **kinds, **_large_blocks(counts, family)}


def _large_blocks(counts: Mapping[str, float], family: str) -> dict[str, float]:
    """UltraRAMs and DSP blocks, of those that the family has."""
    had = {resource for resource, _ in FAMILIES[family].costs.values()}
    return {name: counts[key] for name, key in (("URAM", "uram"), ("DSP", "dsp")) if key in had}
