"""A block design as far as a script can get it wrong: cells, pins, nets, interfaces, addresses."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field

from tests.sw.ip.catalogue import AUTOMATION, Ip, matches

MASTER, SLAVE = "master", "slave"


class Refused(Exception):
    """What Vivado, or a review, would not let pass."""


def require(condition: object, message: str) -> None:
    """Refuse unless the condition holds."""
    if not condition:
        raise Refused(message)


def pin_kind(pin: str) -> str:
    """Clock, reset or interrupt, by the name of a pin."""
    name = pin.lower()
    for kind, marks in {"reset": ("reset", "rst"), "clock": ("clk",), "interrupt": ("irq", "interrupt")}.items():
        if any(mark in name for mark in marks):
            return kind
    return "other"


@dataclass
class BlockDesign:
    """Cells by name, and what connects them."""

    cells: dict[str, Ip] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    automated: set[str] = field(default_factory=set)
    nets: list[list[str]] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    """From master to slave interface."""
    assigned: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    """By address space: offset and range of each segment."""
    excluded: dict[str, set[str]] = field(default_factory=dict)
    valid: bool = False

    def add(self, name: str, kind: str, ip: Ip) -> None:
        require(name not in self.cells, f"there is a cell {name} already")
        self.cells[name], self.kinds[name], self.parameters[name] = ip, kind, {}
        self.valid = False

    def automate(self, cell: str, rule: str, options: dict[str, str]) -> None:
        kind = self.kinds[cell]
        require(rule == f"xilinx.com:bd_rule:{kind}" and kind in AUTOMATION, f"{cell} has no automation {rule}")
        require(options == AUTOMATION[kind], f"automation of {kind} is told {options}")
        require(not self.parameters[cell], f"automation of {cell} would overwrite its settings")
        self.automated.add(cell)

    def configure(self, cell: str, name: str, value: str) -> None:
        pattern = self.cells[cell].parameters.get(name)
        require(pattern is not None, f"{self.kinds[cell]} has no parameter {name}")
        require(matches(pattern, value), f"{name} cannot be {value!r}")
        self.parameters[cell][name] = value
        self.valid = False

    def find(self, path: str, what: str) -> str:
        """A pin (`pins`) or an interface (`interfaces`) that exists."""
        cell, name = path.split("/")
        require(cell in self.cells, f"there is no cell {cell}")
        require(name in getattr(self.cells[cell], what), f"{self.kinds[cell]} has no {name} among its {what}")
        return path

    def spaces(self) -> dict[str, str]:
        """Interface of each address space."""
        return {
            f"{cell}/{name}": f"{cell}/{interface}"
            for cell, ip in self.cells.items()
            for name, interface in ip.spaces.items()
        }

    def segments(self) -> dict[str, str]:
        """Interface of each address segment."""
        return {
            f"{cell}/{group}/{name}": f"{cell}/{interface}"
            for cell, ip in self.cells.items()
            for interface, (group, *names) in ip.segments.items()
            for name in names
        }

    def matching_segments(self, pattern: str) -> list[str]:
        found = [name for name in self.segments() if fnmatch.fnmatchcase(name, pattern)]
        require(found, f"no address segment is {pattern}")
        return found

    def connect(self, pins: list[str]) -> None:
        kinds = {pin_kind(pin.split("/")[1]) for pin in pins}
        require(len(kinds) == 1, f"{' and '.join(sorted(kinds))} on one net: {', '.join(pins)}")
        for pin in pins:
            require(all(pin not in net for net in self.nets), f"{pin} is connected twice")
        require(len(set(pins)) == len(pins), f"a pin twice on one net: {', '.join(pins)}")
        self.nets.append(pins)
        self.valid = False

    def link(self, one: str, other: str) -> None:
        modes = [self._mode(path) for path in (one, other)]
        require(sorted(modes) == [MASTER, SLAVE], f"{one} and {other} are {' and '.join(modes)}")
        master, slave = (one, other) if modes[0] == MASTER else (other, one)
        require(master not in self.links, f"{master} is connected twice")
        require(slave not in self.links.values(), f"{slave} is connected twice")
        self.links[master] = slave
        self.valid = False

    def assign(self, space: str, segment: str, offset: str, size: str) -> None:
        require(segment in self._reachable(space), f"{space} does not reach {segment}")
        require(segment not in self.excluded.get(space, ()), f"{segment} is excluded from {space}")
        self.assigned.setdefault(space, {})[segment] = (offset, size)
        self.valid = False

    def exclude(self, space: str, segment: str) -> None:
        require(segment in self._reachable(space), f"{space} does not reach {segment}")
        require(segment not in self.assigned.get(space, {}), f"{segment} is assigned in {space}")
        self.excluded.setdefault(space, set()).add(segment)
        self.valid = False

    def validate(self) -> None:
        """Everything is connected, once, and every address is settled."""
        for cell, ip in self.cells.items():
            require(self.kinds[cell] not in AUTOMATION or cell in self.automated, f"{cell} has no settings of a board")
            missing = ip.parameters.keys() - self.parameters[cell].keys()
            require(not missing, f"{cell} is not told {', '.join(sorted(missing))}")
            for pin, direction in ip.pins.items():
                path = f"{cell}/{pin}"
                require(direction != "in" or any(path in net for net in self.nets), f"{path} is not connected")
            for name in ip.interfaces:
                path = f"{cell}/{name}"
                require(path in self.links or path in self.links.values(), f"{path} is not connected")
        for net in self.nets:
            drivers = [pin for pin in net if self._direction(pin) == "out"]
            require(len(drivers) == 1, f"a net has {len(drivers)} drivers: {', '.join(net)}")
        for space in self.spaces():
            settled = self.assigned.get(space, {}).keys() | self.excluded.get(space, set())
            left = self._reachable(space) - settled
            require(not left, f"{space} has no address for {', '.join(sorted(left))}")
        self.valid = True

    def _mode(self, path: str) -> str:
        cell, name = path.split("/")
        return self.cells[cell].interfaces[name]

    def _direction(self, path: str) -> str:
        cell, name = path.split("/")
        return self.cells[cell].pins[name]

    def _reachable(self, space: str) -> set[str]:
        """Segments behind the interface of an address space, through interconnects."""
        front, slaves = [self.spaces()[space]], set()
        while front:
            slave = self.links.get(front.pop())
            if slave is not None and slave not in slaves:
                slaves.add(slave)
                cell = slave.split("/")[0]
                if self.kinds[cell] == "smartconnect":
                    front += [f"{cell}/{name}" for name, mode in self.cells[cell].interfaces.items() if mode == MASTER]
        return {segment for segment, interface in self.segments().items() if interface in slaves}
