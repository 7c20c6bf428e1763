"""Slowest register-to-register paths of a routed design, from the delays that nextpnr writes (SDF).

nextpnr reports the one slowest path. Where to put the next register is a question about the next ones too, so this
adds the same delays up over the whole design: arrival at every pin in topological order, then a walk back.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

WIRE = re.compile(r"\s*\(INTERCONNECT (\S+) (\S+) \(([\d.:-]*)\)")
ARC = re.compile(r"\s*\(IOPATH (\S+) (\S+) \(([\d.:-]*)\)")
CHECK = re.compile(r"\s*\(SETUPHOLD \((?:posedge|negedge) (\S+)\) \((?:posedge|negedge) (\S+)\) \(([\d.:-]*)\)")
INSTANCE = re.compile(r"\s*\(INSTANCE (\S+)\)")

Pin = tuple[str, str]
"""Cell and port."""


@dataclass(frozen=True)
class PathStep:
    """One cell on a path.

    Attributes
    ----------
    cell : str
    entered, left : str
        Ports through which the path enters and leaves it; ``""`` where it starts or ends.
    logic, routing : float
        Nanoseconds through the cell, and from the cell before it.
    """

    cell: str
    entered: str
    left: str
    logic: float
    routing: float


@dataclass(frozen=True)
class TimingPath:
    """A path from a clocked cell to a clocked cell.

    Attributes
    ----------
    steps : tuple of PathStep
        The first launches, the last captures; its `PathStep.logic` is the set-up time.
    """

    steps: tuple[PathStep, ...]

    @property
    def logic(self) -> float:
        """Nanoseconds in cells, set-up time included."""
        return sum(step.logic for step in self.steps)

    @property
    def routing(self) -> float:
        """Nanoseconds in wires."""
        return sum(step.routing for step in self.steps)

    @property
    def delay(self) -> float:
        """Nanoseconds in all: the shortest clock period that the path allows."""
        return self.logic + self.routing


@dataclass(frozen=True)
class Delays:
    """What an SDF file holds, in nanoseconds, slowest corner.

    Attributes
    ----------
    wires : dict
        Pin to the pins it drives, with delays.
    arcs : dict
        Input pin to output ports of the same cell, with delays; clock pins launch.
    setups : dict
        Pin that is captured by a clock to its set-up time.
    clocks : set of Pin
        Pins that are clocks.
    """

    wires: dict[Pin, list[tuple[Pin, float]]]
    arcs: dict[Pin, list[tuple[str, float]]]
    setups: dict[Pin, float]
    clocks: set[Pin]

    @classmethod
    def read(cls, text: str) -> Delays:
        """Parse what ``nextpnr --sdf`` writes."""
        wires: dict[Pin, list[tuple[Pin, float]]] = defaultdict(list)
        arcs: dict[Pin, list[tuple[str, float]]] = defaultdict(list)
        setups: dict[Pin, float] = {}
        clocks: set[Pin] = set()
        cell = ""
        for line in text.splitlines():
            if match := WIRE.match(line):
                wires[_pin(match[1])].append((_pin(match[2]), _slowest(match[3])))
            elif match := ARC.match(line):
                arcs[cell, match[1]].append((match[2], _slowest(match[3])))
            elif match := CHECK.match(line):
                setups[cell, match[1]] = _slowest(match[3])
                clocks.add((cell, match[2]))
            elif match := INSTANCE.match(line):
                cell = _name(match[1])
        return cls(dict(wires), dict(arcs), setups, clocks)


def _name(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _pin(text: str) -> Pin:
    cell, _, port = text.rpartition("/")
    return _name(cell), port


def _slowest(triple: str) -> float:
    """Last value of ``min:typical:max`` picoseconds, as nanoseconds."""
    return float(triple.rpartition(":")[2] or 0) / 1000


def slowest_paths(delays: Delays, count: int, *, shared: float = 0.5) -> list[TimingPath]:
    """Find the slowest paths that differ from each other.

    Parameters
    ----------
    delays : Delays
    count : int
        Most paths to return.
    shared : float
        A path is left out if at least this part of its cells lies on one path that is slower, or if it captures in
        the same register (other bits included) as one.

    Returns
    -------
    list of TimingPath
        Slowest first.
    """
    arrival, before = _arrivals(delays)
    ends = sorted(
        ((time + delays.setups[pin], pin) for pin, time in arrival.items() if pin in delays.setups), reverse=True
    )
    chosen: list[TimingPath] = []
    taken: list[set[str]] = []
    registers: set[str] = set()
    for _, end in ends:
        if len(chosen) == count:
            break
        if register_name(end[0]) in registers:
            continue
        path = _walk_back(delays, end, arrival, before)
        cells = {step.cell for step in path.steps}
        if any(len(cells & other) >= shared * len(cells) for other in taken):
            continue
        chosen.append(path)
        taken.append(cells)
        registers.add(register_name(end[0]))
    return chosen


def _arrivals(delays: Delays) -> tuple[dict[Pin, float], dict[Pin, Pin]]:
    """Latest arrival at every pin that a clocked cell reaches, and the pin it came from."""
    following: dict[Pin, list[tuple[Pin, float]]] = defaultdict(list)
    arrival: dict[Pin, float] = {}
    before: dict[Pin, Pin] = {}
    for (cell, port), outputs in delays.arcs.items():
        for output, delay in outputs:
            if (cell, port) in delays.clocks:
                arrival[cell, output] = max(delay, arrival.get((cell, output), 0.0))
            else:
                following[cell, port].append(((cell, output), delay))
    for driver, sinks in delays.wires.items():
        following[driver].extend((pin, delay) for pin, delay in sinks if pin not in delays.clocks)
    waiting: dict[Pin, int] = defaultdict(int)
    for reached in following.values():
        for pin, _ in reached:
            waiting[pin] += 1
    ready = [pin for pin in {*following, *arrival} if not waiting[pin]]
    while ready:
        pin = ready.pop()
        for reached_pin, delay in following.get(pin, ()):
            if pin in arrival and arrival[pin] + delay > arrival.get(reached_pin, -1.0):
                arrival[reached_pin], before[reached_pin] = arrival[pin] + delay, pin
            waiting[reached_pin] -= 1
            if not waiting[reached_pin]:
                ready.append(reached_pin)
    return arrival, before


def _walk_back(delays: Delays, end: Pin, arrival: dict[Pin, float], before: dict[Pin, Pin]) -> TimingPath:
    pins = [end]
    while pins[-1] in before:
        pins.append(before[pins[-1]])
    pins.reverse()  # launching output, then input and output of each cell, then the captured input
    steps = [PathStep(pins[0][0], "", pins[0][1], arrival[pins[0]], 0.0)]
    for i in range(1, len(pins) - 1, 2):
        logic = arrival[pins[i + 1]] - arrival[pins[i]]
        steps.append(
            PathStep(pins[i][0], pins[i][1], pins[i + 1][1], logic, arrival[pins[i]] - arrival[pins[i - 1]])
        )  # fmt: skip
    steps.append(PathStep(end[0], end[1], "", delays.setups[end], arrival[end] - arrival[pins[-2]]))
    return TimingPath(tuple(steps))


def register_name(cell: str) -> str:
    """Name in the design of a register or a memory: without what mapping appended, and without the bit."""
    name = re.sub(r"_TRELLIS_FF_Q.*|_(LUT4|CCU2C|PFUMX|L6MUX21)_.*", "", cell)
    name = re.sub(r"\$DPRAM_(COMB|RAMW)\d*$|\$CCU2_COMB\d$", "", name)
    return re.sub(r"(\.\d+)+$", "", re.sub(r"\$\d+(?=[.\[_]|$)", "", name))
