"""Which module of the design a cell of the flattened netlist belongs to.

Synthesis flattens the design, because that is what is built, and its counts are those of the flattened netlist. The
share of each module follows from the same netlist, without a second run:

1. Registers, carries and arithmetic carry the line of Verilog they came from, and each of Amaranth's modules is
   written once, for one place in the hierarchy. Memories carry the module in their name.
2. LUTs have lost both in technology mapping. A LUT belongs to the module that most of the pins it drives belong to,
   where those pins are LUTs again, to theirs. So the logic in front of a register counts with the register, even where
   it computes an output of the module before it; what drives only ports of the top counts with the top.
3. Block RAMs have no say in that: what computes their addresses and data is hardly ever part of the module that holds
   them. A LUT that drives nothing else belongs to the module that more than half of its inputs come from, and to
   the top if there is none: a multiplexer in front of a shared memory.

The shares add up to the total exactly. Where a boundary between modules is logic rather than a register, rule 2
decides, and small shares (tens of LUTs) should not be taken literally.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TOP_MODULE = "(top)"
"""Stands for the top module itself: what connects the others."""


@dataclass(frozen=True)
class VerilogModules:
    """Where each module of an emitted Verilog file is.

    Attributes
    ----------
    starts : tuple of int
        First line of each module.
    names : tuple of str
        Path of each module's instance below the top.
    lines : tuple of str
        The file.
    """

    starts: tuple[int, ...]
    names: tuple[str, ...]
    lines: tuple[str, ...]

    @classmethod
    def read(cls, verilog: str, top: str) -> VerilogModules:
        """Find the modules of a file as Amaranth writes it: each named by its path, instantiated once."""
        starts, names = [], []
        lines = verilog.splitlines()
        for line, text in enumerate(lines, 1):
            if match := re.match(r"module \\?([^\s(]+)", text):
                starts.append(line)
                names.append(clean(match[1].removeprefix(top).removeprefix(".")) or TOP_MODULE)
        return cls(tuple(starts), tuple(names), tuple(lines))

    def at(self, line: int) -> str:
        """Module of a line."""
        return self.names[bisect_right(self.starts, line) - 1]

    def expression(self, line: int) -> str:
        """What a line assigns, behind the path of its module."""
        text = self.lines[line - 1].partition("=")[2].strip(" ;") or self.lines[line - 1].strip()
        return f"{self.at(line)}: {text.replace(chr(92), '')}"

    def of_name(self, name: str) -> str | None:
        """Module of a hierarchical name; None if it starts with no module's path."""
        words = clean(name).split(".")
        known = set(self.names)
        for length in range(len(words) - 1, 0, -1):
            if (path := ".".join(words[:length])) in known:
                return path
        return None


def clean(name: str) -> str:
    """A hierarchical name without the numbers that keep Amaranth's module names apart."""
    return re.sub(r"\$\d+(?=\.|$)", "", name.replace("\\", ""))


def source_lines(attributes: Mapping[str, str], file: str) -> list[int]:
    """Lines of a Verilog file that a cell's ``src`` attribute names."""
    return [int(line) for line in re.findall(rf"(?:^|\|){re.escape(file)}:(\d+)\.", attributes.get("src", ""))]


def assign_modules(netlist: Mapping[str, Any], modules: VerilogModules, file: str) -> dict[str, str]:
    """Find the module of every cell.

    Parameters
    ----------
    netlist : mapping
        The flattened module, as Yosys writes it to JSON.
    modules : VerilogModules
        Of the Verilog that was read.
    file : str
        Its name, as in ``src`` attributes.

    Returns
    -------
    dict of str to str
        Name of the cell to path of its module.
    """
    cells: Mapping[str, Any] = netlist["cells"]
    found: dict[str, str] = {}
    for name, cell in cells.items():
        if lines := source_lines(cell["attributes"], file):
            found[name] = modules.at(lines[0])
        elif not cell["hide_name"] and (path := modules.of_name(name)) and not is_mapped_logic(cell["type"]):
            found[name] = path
    drivers = {bit: name for name, cell in cells.items() for bit in _bits(cell, "output")}
    readers: dict[str, list[str]] = defaultdict(list)
    for name, cell in cells.items():
        for bit in _bits(cell, "input"):
            if (driver := drivers.get(bit)) is not None and driver not in found:
                readers[driver].append(name)
    _spread(readers, found, drivers, cells)
    return found


def is_mapped_logic(cell: str) -> bool:
    """Whether technology mapping made the cell, and named it after any neighbour."""
    return re.fullmatch(r"LUT\d|INV|PFUMX|L6MUX21|MUXF\d", cell) is not None


def is_block_ram(cell: str) -> bool:
    """Whether the cell is a memory block of its own, not LUTs."""
    return re.fullmatch(r"RAMB\d+E\d|URAM288\w*|DP16KD|PDPW16KD", cell) is not None


def _bits(cell: Mapping[str, Any], direction: str) -> Iterator[int]:
    """Nets at the ports of one direction; constants are strings and no nets."""
    for port, bits in cell["connections"].items():
        if cell.get("port_directions", {}).get(port) == direction:
            yield from (bit for bit in bits if isinstance(bit, int))


def _spread(
    readers: Mapping[str, list[str]], found: dict[str, str], drivers: Mapping[int, str], cells: Mapping[str, Any]
) -> None:
    """Give every other cell the module of most of its readers, those nearest to the registers first."""
    for name in cells:
        if name not in found and name not in readers:  # drives ports of the top only
            found[name] = TOP_MODULE
    undecided: list[str] = []
    waiting = {name: sum(reader not in found for reader in readers[name]) for name in readers}
    ready = [name for name, count in waiting.items() if not count]
    while waiting:
        # Nothing is ready only in a loop through registers that a memory's reads left nameless: begin anywhere in it.
        name = ready.pop() if ready else min(waiting, key=lambda name: (waiting[name], name))
        del waiting[name]
        if module := _majority(
            found.get(reader) for reader in readers[name] if not is_block_ram(cells[reader]["type"])
        ):
            found[name] = module
        else:
            undecided.append(name)
        for bit in _bits(cells[name], "input"):
            if (driver := drivers.get(bit)) in waiting:
                waiting[driver] -= 1
                if not waiting[driver]:
                    ready.append(driver)
    for name in reversed(undecided):  # those nearest to their sources first
        sources = [drivers[bit] for bit in _bits(cells[name], "input") if bit in drivers]
        votes = [found[source] for source in sources if source in found and not is_block_ram(cells[source]["type"])]
        module = _majority(votes)
        found[name] = module if module and votes.count(module) * 2 > len(votes) else TOP_MODULE


def _majority(modules: Iterable[str | None]) -> str | None:
    """The module named most often, the first by name on a tie; None if none is named."""
    votes = Counter(module for module in modules if module is not None)
    return min(votes, key=lambda module: (-votes[module], module)) if votes else None


def cells_by_module(netlist: Mapping[str, Any], modules: VerilogModules, file: str) -> dict[str, dict[str, int]]:
    """Count the cells of every module by type.

    Parameters
    ----------
    netlist, modules, file
        See `assign_modules`.

    Returns
    -------
    dict of str to dict
        Path of the module to its own cells, without those of modules inside it; in order of the paths.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name, module in assign_modules(netlist, modules, file).items():
        counts[module][netlist["cells"][name]["type"]] += 1
    return {module: dict(sorted(counts[module].items())) for module in sorted(counts)}
