"""Paths from an input of a netlist to an output without a register: an interface with registers has none."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sw.synthesis.cells import FAMILIES

RTL_REGISTERS = frozenset({"$dff", "$dffe", "$sdff", "$sdffe", "$sdffce"})
"""Cells of an unmapped netlist whose output changes with the clock alone; memories are read by others."""


def mapped_registers(family: str) -> frozenset[str]:
    """Cells of a family whose output changes with the clock alone: registers, and the memories that are read with it.

    Parameters
    ----------
    family : str
        One of `sw.synthesis.cells.FAMILIES`.
    """
    costs = FAMILIES[family].costs
    return frozenset(cell for cell, (resource, _) in costs.items() if resource in ("ff", "bram", "uram"))


def port_paths(netlist: Mapping[str, Any], registers: Collection[str], clock: str) -> list[list[str]]:
    """Paths from input ports to output ports that pass no register.

    Every cell that is none is taken to lead from each of its inputs to each of its outputs. So no path is overlooked;
    what is found may be one that no signal takes.

    Parameters
    ----------
    netlist : mapping
        A flattened module in the form of Yosys's ``write_json``.
    registers : collection of str
        Types of the cells that end a path: `RTL_REGISTERS` or `mapped_registers`.
    clock : str
        Port that counts as no input.

    Returns
    -------
    list of list of str
        For each input bit that has any, a shortest one: names of its nets, from input to output.

    Raises
    ------
    ValueError
        If nothing drives a net on the way to an output: anything may be behind it.
    """
    sources: dict[int, set[int]] = {}
    for cell in netlist["cells"].values():
        pins: dict[str, set[int]] = {"input": set(), "output": set()}
        for pin, bits in cell["connections"].items():
            pins[cell["port_directions"][pin]].update(bit for bit in bits if isinstance(bit, int))
        sources.update(dict.fromkeys(pins["output"], set() if cell["type"] in registers else pins["input"]))
    ports = {
        direction: [
            bit
            for name, port in netlist["ports"].items()
            if port["direction"] == direction and name != clock
            for bit in port["bits"]
            if isinstance(bit, int)
        ]
        for direction in ("input", "output")
    }
    sources.update((bit, set()) for bit in netlist["ports"][clock]["bits"])
    names, inputs = _names(netlist), set(ports["input"])
    # Backwards from all outputs at once: each net seen, with the one behind it on the way to an output.
    behind: dict[int, int | None] = dict.fromkeys(ports["output"])
    waiting = deque(behind)
    found = []
    while waiting:
        net = waiting.popleft()
        if net in inputs:
            found.append([names[step] for step in _way(net, behind)])
        elif net not in sources:
            raise ValueError(f"nothing drives {' -> '.join(names[step] for step in _way(net, behind))}")
        for source in sources.get(net, set()) - behind.keys():
            behind[source] = net
            waiting.append(source)
    return sorted(found)


def _way(net: int, behind: Mapping[int, int | None]) -> Iterator[int]:
    """From a net to the output that it was found by."""
    step: int | None = net
    while step is not None:
        yield step
        step = behind[step]


def _names(netlist: Mapping[str, Any]) -> dict[int | str, str]:
    """Name of every net: that of a port if it is one, else the shortest, of those that Yosys did not make up if any."""
    best_last = sorted(netlist["netnames"].items(), key=lambda net: (not net[1]["hide_name"], -len(net[0])))
    names: dict[int | str, str] = {}
    for name, net in [*best_last, *netlist["ports"].items()]:
        for index, bit in enumerate(net["bits"]):
            names[bit] = f"{name}[{index}]" if len(net["bits"]) > 1 else name
    return names
