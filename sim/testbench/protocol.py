"""What passes between the process that asks for a simulation and the one inside the simulator."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw.config import HardwareConfig

JOB_VARIABLE = "SPIKELOOM_JOB"
"""Environment variable with the path of the job file."""

CHANNELS = ("ar", "r", "aw", "w", "b")
"""Channels of the external memory; those of the testbench are the host's three, then these."""

SERVER_VARIABLE = "SPIKELOOM_SERVER"
"""Environment variable of `sim.testbench.server` with JSON: ``socket`` (number of the file), ``config``,
``memory_bytes``, ``transfer``."""

_EVENT_MARK = "@spikeloom "


@dataclass(frozen=True, kw_only=True)
class Disturbance:
    """What goes wrong with one image, on purpose.

    Attributes
    ----------
    image : int
        Its index in the job.
    program_address, program_bytes : int, optional
        Byte address and length of the program it is run with instead.
    read_error_beat : int, optional
        Number of the beat, counted from the start of the image, that memory delivers with SLVERR.
    write_error : bool
        Whether memory answers writes with SLVERR.
    dead : tuple of str
        Channels of memory, of `CHANNELS`, that stand still for ever: until the next image.
    dead_cycle : int
        Cycle from which on they do.
    reset_cycle : int, optional
        Cycle after which the host resets the accelerator.
    device_reset : bool
        Whether that is `aresetn`, for three cycles, instead of the host's RESET.
    overwrite : bool
        Whether the host writes something else to all registers of the job as soon as it has started.
    """

    image: int
    program_address: int | None = None
    program_bytes: int | None = None
    read_error_beat: int | None = None
    write_error: bool = False
    dead: tuple[str, ...] = ()
    dead_cycle: int = 0
    reset_cycle: int | None = None
    device_reset: bool = False
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class SimulatorJob:
    """One run of the simulator over some images.

    Attributes
    ----------
    config : HardwareConfig
        What the accelerator was built from.
    memory : Path
        Content of the external memory, whole beats: program, weights and images.
    program_address, program_bytes : int
        Byte address and length of the program.
    image_addresses : tuple of int
        Byte address of every packed image, in the order they are run.
    record_address : int, optional
        Byte address of the result record; none is written without it.
    classes, layers : int
        Logits and layers' counters to read.
    cycle_limit : int
        Cycles after which an image is given up; the next one starts after a reset.
    latency : int
        Cycles from the acceptance of a burst to its first beat, at least 2.
    stall_percent : int
        Share of cycles in which, independently, each channel of memory and of the register bus waits; 0 to 99.
    stall_seed : int
        Makes another pattern of stalls.
    start_seed : int, optional
        Fill memories and registers without an initial value at random, by this seed; otherwise with zeros.
    watchdog : int, optional
        What the host writes to WATCHDOG; nothing by default.
    traced : tuple of int
        Indices of the images whose events are written down.
    disturbances : tuple of Disturbance
        At most one per image.
    folder : Path
        Where results, traces and logs go; made if missing.

    Raises
    ------
    ValueError
        Naming the field, its value and the limit.
    """

    config: HardwareConfig
    memory: Path
    program_address: int = 0
    program_bytes: int
    image_addresses: tuple[int, ...]
    record_address: int | None = None
    classes: int
    layers: int
    cycle_limit: int = 10_000_000
    latency: int = 20
    stall_percent: int = 0
    stall_seed: int = 1
    start_seed: int | None = None
    watchdog: int | None = None
    traced: tuple[int, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()
    folder: Path

    def __post_init__(self) -> None:
        def require(condition: bool, field: str, rule: str) -> None:
            if not condition:
                raise ValueError(f"{field} must {rule}, not {getattr(self, field)}")

        # The simulator runs in another folder.
        object.__setattr__(self, "memory", self.memory.absolute())
        object.__setattr__(self, "folder", self.folder.absolute())
        require(len(self.image_addresses) > 0, "image_addresses", "name at least one image")
        require(0 < self.cycle_limit < 1 << 32, "cycle_limit", "be 1 to 2^32 - 1")
        require(2 <= self.latency < 1 << 30, "latency", "be at least 2")
        require(0 <= self.stall_percent <= 99, "stall_percent", "be 0 to 99")
        require(0 <= self.stall_seed < 1 << 32, "stall_seed", "be 0 to 2^32 - 1")
        require(self.start_seed is None or 0 < self.start_seed < 1 << 31, "start_seed", "be 1 to 2^31 - 1")
        images = range(len(self.image_addresses))
        require(all(index in images for index in self.traced), "traced", f"hold indices below {len(images)}")

    def disturbance(self, image: int) -> Disturbance:
        """What goes wrong with an image."""
        return next((one for one in self.disturbances if one.image == image), Disturbance(image=image))

    @property
    def results(self) -> Path:
        """The results file."""
        return self.folder / "results.json"

    @property
    def transfer(self) -> Path:
        """The file by which beats of the memory are passed."""
        return self.folder / "transfer"

    def trace(self, image: int) -> Path:
        """The trace file of an image."""
        return self.folder / f"trace_{image}.txt"

    @property
    def activity(self) -> Path:
        """What the engines did over the first image, if it is traced."""
        return self.folder / "activity.txt"

    def plusargs(self) -> list[str]:
        """Arguments of the testbench."""
        return [
            f"+memory={self.memory}", f"+latency={self.latency}", f"+stall={self.stall_percent}",
            f"+stall_seed={self.stall_seed}", f"+traces={self.folder}", f"+transfer={self.transfer}",
            *(() if self.start_seed is None else ("+verilator+rand+reset+2", f"+verilator+seed+{self.start_seed}")),
        ]  # fmt: skip

    def to_json(self) -> str:
        """The job file."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @classmethod
    def load(cls, path: Path) -> SimulatorJob:
        """Read a job file."""
        fields: dict[str, Any] = json.loads(path.read_text())
        for name in ("memory", "folder"):
            fields[name] = Path(fields[name])
        for name in ("image_addresses", "traced"):
            fields[name] = tuple(fields[name])
        fields["config"] = HardwareConfig(**fields["config"])
        fields["disturbances"] = tuple(Disturbance(**one) for one in fields["disturbances"])
        return cls(**fields)


@dataclass(frozen=True)
class Event:
    """Progress of a running simulation.

    Attributes
    ----------
    kind : str
        ``running`` (every 50,000 cycles) or ``finished``.
    image : int
        Index of the image.
    cycles : int
        Its cycles so far.
    """

    kind: str
    image: int
    cycles: int

    def send(self) -> None:
        """Write the event to standard output, which the caller's process reads."""
        sys.stdout.write(_EVENT_MARK + json.dumps(dataclasses.asdict(self)) + "\n")
        sys.stdout.flush()

    @classmethod
    def parse(cls, line: str) -> Event | None:
        """The event on a line of the simulation's output, if it is one."""
        return cls(**json.loads(line[len(_EVENT_MARK) :])) if line.startswith(_EVENT_MARK) else None
