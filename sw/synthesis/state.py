"""Counts the state that neurons keep from one set of currents to the next: where time steps are lanes, none.

A pipeline holds values too, but each leaves it a fixed number of cycles later. A membrane that is kept would be in a
memory, or in a register that its own value leads back to. Both can be seen in the emitted Verilog, so they are looked
for there instead of being taken from the description.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sw.claims import scratch
from sw.errors import UserError
from sw.synthesis.modules import VerilogModules
from sw.synthesis.yosys import run_yosys

NEURON = "lif"
"""What names of neurons' modules begin with."""

MEMBRANE = "membrane"
"""What a memory that keeps membranes has in its name, wherever it is."""

ARRAY = re.compile(r"^\s*reg(?: signed)? (?:\[(\d+):(\d+)\] )?\\?(\S+) +\[(\d+):(\d+)\];")


def membrane_bits(verilog: str, top: str, folder: Path) -> int:
    """On-chip bits that hold membranes between time steps.

    Parameters
    ----------
    verilog : str
        An emitted configuration.
    top : str
        Its top module.
    folder : Path
        Takes Yosys's log.

    Returns
    -------
    int
        Bits of memories named after membranes, anywhere, and of memories and feedback registers in neurons.

    Raises
    ------
    UserError
        If the design has no module that is a neuron.
    """
    modules = VerilogModules.read(verilog, top)
    ends = (*(start - 1 for start in modules.starts[1:]), len(modules.lines))
    neurons = [
        "\n".join(modules.lines[start - 1 : end])
        for name, start, end in zip(modules.names, modules.starts, ends, strict=True)
        if any(part.startswith(NEURON) for part in name.split("."))
    ]
    if not neurons:
        raise UserError(
            f"the emitted design has no module named {NEURON}*: say in sw/synthesis/state.py which are neurons"
        )
    with scratch(folder, ".state-") as work:
        source = work / "neurons.v"
        source.write_text("\n".join(neurons))
        # Enables become part of the register, so that a register that merely waits has no path to itself.
        script = "read_verilog design.v; proc; memory -nomap; opt -full; write_json state.json"
        netlist = json.loads(run_yosys(script, source, "neurons")["state.json"])
    kept = sum(kept_bits(module) for module in netlist["modules"].values())
    return kept + named_memory_bits(verilog)


def named_memory_bits(verilog: str) -> int:
    """Bits of the memories whose name says that they hold membranes."""
    bits = 0
    for line in verilog.splitlines():
        if (match := ARRAY.match(line)) and MEMBRANE in match[3]:
            width = abs(int(match[1]) - int(match[2])) + 1 if match[1] else 1
            bits += width * (abs(int(match[4]) - int(match[5])) + 1)
    return bits


def kept_bits(module: Mapping[str, Any]) -> int:
    """Bits of a module's memories, and of its registers whose value depends on their own earlier value.

    Parameters
    ----------
    module : mapping
        Word-level cells, as Yosys's ``write_json`` has them before mapping.
    """
    cells: Mapping[str, Any] = module["cells"]
    readers: dict[int, set[str]] = defaultdict(set)
    outputs: dict[str, set[int]] = {}
    for name, cell in cells.items():
        outputs[name] = set()
        for port, nets in cell["connections"].items():
            for net in nets:
                if not isinstance(net, int):
                    continue
                if cell["port_directions"][port] == "output":
                    outputs[name].add(net)
                else:
                    readers[net].add(name)

    def feeds_itself(register: str) -> bool:
        seen: set[str] = set()
        ready = [register]
        while ready:
            for net in outputs[ready.pop()]:
                if register in readers[net]:
                    return True
                ready += readers[net] - seen
                seen |= readers[net]
        return False

    bits = 0
    for name, cell in cells.items():
        if cell["type"].startswith("$mem"):
            bits += int(cell["parameters"]["SIZE"], 2) * int(cell["parameters"]["WIDTH"], 2)
        elif "Q" in cell["connections"] and feeds_itself(name):
            bits += len(cell["connections"]["Q"])
    return bits
