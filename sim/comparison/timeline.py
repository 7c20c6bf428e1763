"""What the engines do over an image's cycles, as the simulated RTL wrote it down.

The testbench writes a line for every change (`sim/testbench/activity.sv`). Here they become intervals, engine by
engine. Those of the array and of attention add up to the hardware's counters of the image, exactly.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sw.compiler.program import Program
from sw.files import write_atomically

TIMELINE_FILE = "timeline.json"
"""What a run of `compare` leaves in its folder."""

WORKS = "works"

ENGINES: dict[str, tuple[str, ...]] = {
    "memory": (),
    "load": ("memory", "neurons"),
    "tables": ("weights", "array"),
    "array": ("weights", "drain", "data", "attention", "load", "other"),
    "neurons": ("array",),
    "writeback": (),
    "attention": ("layers",),
}
"""Engines in the order of their words in a line, and what each may wait for in the order of its bits, the lowest above
that of working.

``memory`` delivers a beat; ``load`` takes one of the image, or waits for memory or for the neurons, whose writes go
first; ``tables`` fills a subset-sum table, or waits for a slice of weights or for the array to be done with a table;
``array`` takes a word of spikes, or waits as its counters say (``other``: a layer begins or ends); ``neurons`` read
sums, or wait for the array to complete them; ``writeback`` writes spikes, residual integers, K, V or logits of the
neurons; ``attention`` works on a head, or its job waits for layers with weights."""

GAPS = {"memory": 16, "writeback": 64}
"""Engines that no counter follows, and that work a cycle here and there: gaps of fewer cycles are left out. A position
tile has at most 63 groups, so many cycles are between the vectors of K and V."""

Interval = tuple[int, int, int, int]
"""First cycle, cycle behind the last, number of the layer, number of the state: 0 works, the others as in `ENGINES`."""


def read_activity(path: Path) -> dict[str, list[Interval]]:
    """Intervals of every engine, in their order, without those in which it neither works nor waits.

    Parameters
    ----------
    path : Path
        What the testbench wrote of an image.

    Raises
    ------
    ValueError
        If a line is not one, the job does not end, or an engine waits while it works; names the line.
    """
    begun = dict.fromkeys(ENGINES, (0, 0))  # cycle and word
    found: dict[str, list[Interval]] = {name: [] for name in ENGINES}
    running = "0"
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        try:
            at, running, *words = line.split()
            cycle = int(at, 16)
            for name, digits in zip(ENGINES, words, strict=True):
                begin, word = begun[name]
                if (new := int(digits, 16)) != word:
                    if state := word & 0xFF:
                        if state.bit_count() != 1 or state.bit_length() > 1 + len(ENGINES[name]):
                            raise ValueError(f"{name} is in the states {state:#b} at once")
                        found[name].append((begin, cycle, word >> 8, state.bit_length() - 1))
                    begun[name] = cycle, new
        except ValueError as error:
            raise ValueError(f"{path}: line {number} is no activity of {len(ENGINES)} engines: {error}") from error
    if running != "0":
        raise ValueError(f"{path}: the job does not end")
    return {name: joined(intervals, GAPS.get(name, 1)) for name, intervals in found.items()}


def joined(intervals: list[Interval], gap: int) -> list[Interval]:
    """Intervals of one layer and state as one, where fewer than so many cycles, and no other interval, are between."""
    found: list[Interval] = []
    for begin, end, layer, state in intervals:
        if found and found[-1][2:] == (layer, state) and begin - found[-1][1] < gap:
            begin = found.pop()[0]
        found.append((begin, end, layer, state))
    return found


def timeline(program: Program, path: Path, cycles: int) -> dict[str, Any]:
    """The content of ``timeline.json``.

    Parameters
    ----------
    program : Program
        What ran; gives the layers their names.
    path : Path
        What the testbench wrote of the image.
    cycles : int
        Of the job.
    """
    engines = {
        name: {"states": [WORKS, *ENGINES[name]], "gap": GAPS.get(name, 1), "intervals": intervals}
        for name, intervals in read_activity(path).items()
    }
    return {"config": program.config.name, "cycles": cycles, "layers": list(program.names), "engines": engines}


def write_timeline(folder: Path, content: Mapping[str, Any] | None) -> None:
    """Write ``timeline.json``, or delete the one of an earlier run if there is nothing to write."""
    path = folder / TIMELINE_FILE
    if content is None:
        path.unlink(missing_ok=True)
    else:
        write_atomically(path, json.dumps(content, separators=(",", ":")) + "\n")


def layer_sums(content: Mapping[str, Any], engine: str) -> dict[str, Counter[str]]:
    """Cycles that an engine spent in each state, by name of the layer.

    Parameters
    ----------
    content : mapping
        Of ``timeline.json``.
    engine : str
        One of `ENGINES`.
    """
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for begin, end, layer, state in content["engines"][engine]["intervals"]:
        sums[content["layers"][layer]][content["engines"][engine]["states"][state]] += end - begin
    return dict(sums)
