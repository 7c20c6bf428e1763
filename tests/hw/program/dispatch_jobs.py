"""Programs for the dispatcher, and jobs that know what they wait for."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from hw.descriptor import Opcode, Wait

KINDS = {Opcode.LOAD: "load", Opcode.WEIGHTS: "weights", Opcode.ATTENTION: "attention"}
Fields = dict[str, Any]


@dataclass(eq=False)
class Job:
    """A descriptor that was taken.

    Attributes
    ----------
    fields : dict
        The descriptor.
    awaited : list of Job
        What must have ended before it starts, by engine.
    before : list of Job
        Layers with weights dispatched before.
    taken : int
        Cycle.
    ended : int, optional
        First cycle in which it counts as ended.
    tiles_written : list of int
        First cycles in which its output tiles count as written.
    """

    fields: Fields
    awaited: dict[str, list[Job]]
    before: list[Job]
    taken: int
    ended: int | None = None
    tiles_written: list[int] = field(default_factory=list)

    def over(self, cycle: int) -> bool:
        return self.ended is not None and self.ended <= cycle

    def waits_for(self, kind: str, cycle: int) -> bool:
        return not all(job.over(cycle) for job in self.awaited[kind])

    def may_start(self, cycle: int) -> bool:
        return not any(self.waits_for(kind, cycle) for kind in self.awaited)


@dataclass
class Engine:
    """An engine that is busy for as long as it is told."""

    job: Job | None = None
    left: int = 0


@dataclass(frozen=True)
class Speed:
    """Longest times of the engines, from their start; the chance of a descriptor in a cycle."""

    load: int = 20
    walker: int = 20
    neurons: int = 20
    attention: int = 20
    offer: float = 1.0
    shortest_walk: int = 3
    fixed: bool = False
    """Always the longest time."""


def descriptor(opcode: Opcode, number: int, **fields: Any) -> Fields:
    waits = {f"wait_{kind}": Wait.NONE for kind in KINDS.values()}
    return {"opcode": opcode, "layer": 0, "memory_address": number, "output_tiles": 1, "overlaps": 1, **waits, **fields}


def random_program(rng: random.Random, length: int, *, wait: float) -> list[Fields]:
    """Descriptors that number themselves by their memory address."""
    program = []
    for number in range(length):
        opcode = rng.choices([Opcode.LOAD, Opcode.WEIGHTS, Opcode.ATTENTION], [1, 4, 2])[0]
        waits = {
            f"wait_{kind}": rng.choice([Wait.ALL, Wait.ALL_BUT_NEWEST]) if rng.random() < wait else Wait.NONE
            for kind in KINDS.values()
        }
        program.append(
            descriptor(
                opcode, number, layer=rng.randrange(256), output_tiles=rng.randint(1, 5), overlaps=rng.getrandbits(1),
                follows=rng.getrandbits(1), **waits,
            )
        )  # fmt: skip
    return [*program, descriptor(Opcode.END, length)]
