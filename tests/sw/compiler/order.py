"""What the dispatcher's rules say about the order in which a program runs."""

from __future__ import annotations

from collections import defaultdict

from hw.descriptor import Descriptor, Opcode, Wait
from sw.compiler.program import Step


class Order:
    """What surely happens before what, by the rules of the dispatcher; everything else may happen in any order.

    Events of a step: ``taken``; ``start`` and ``read`` (its engine, or the walker, begins and has read its last word);
    ``fire`` (the neurons begin: nothing is written before), ``end`` (everything is written).
    """

    EVENTS = ("taken", "start", "read", "fire", "end")
    WITHIN = (("taken", "start"), ("start", "read"), ("start", "fire"), ("read", "end"), ("fire", "end"))

    def __init__(self, steps: tuple[Step, ...]):
        self.index = {(i, event): 5 * i + k for i in range(len(steps)) for k, event in enumerate(self.EVENTS)}
        self.edges: dict[int, set[int]] = defaultdict(set)
        engines: dict[str, list[int]] = {"load": [], "weights": [], "attention": []}
        kinds = {Opcode.LOAD: "load", Opcode.WEIGHTS: "weights", Opcode.ATTENTION: "attention"}
        for i, step in enumerate(steps):
            descriptor = step.descriptor
            if i:
                self._add((i - 1, "taken"), (i, "taken"))
            for before, after in self.WITHIN:
                self._add((i, before), (i, after))
            if descriptor.opcode is Opcode.END:
                for jobs in engines.values():
                    for job in jobs:
                        self._add((job, "end"), (i, "taken"))
                continue
            for engine, jobs in engines.items():
                wait = getattr(descriptor, f"wait_{engine}")
                awaited = {Wait.NONE: [], Wait.ALL: jobs, Wait.ALL_BUT_NEWEST: jobs[:-1]}[wait]
                for job in awaited:
                    self._add((job, "end"), (i, "taken" if kinds[descriptor.opcode] == "load" else "start"))
            jobs = engines[kinds[descriptor.opcode]]
            if jobs:
                self._engine(kinds[descriptor.opcode], descriptor, jobs[-1], i)
            jobs.append(i)
        self._close(len(steps))

    def _engine(self, kind: str, descriptor: Descriptor, before: int, i: int) -> None:
        if kind == "load":
            self._add((before, "end"), (i, "taken"))
            return
        self._add((before, "start"), (i, "taken"))  # one place in front of the engine
        if kind == "attention":
            self._add((before, "end"), (i, "start"))
            return
        self._add((before, "read"), (i, "start"))
        self._add((before, "fire"), (i, "start"))  # handed over to the neurons
        self._add((before, "end"), (i, "end"))  # written in order
        if not descriptor.overlaps:
            self._add((before, "end"), (i, "fire"))
        if descriptor.follows:
            self._add((before, "end"), (i, "read"))

    def _add(self, before: tuple[int, str], after: tuple[int, str]) -> None:
        self.edges[self.index[before]].add(self.index[after])

    def _close(self, steps: int) -> None:
        """Sets of everything before each event, as bits of an integer."""
        self.past = [0] * (5 * steps)
        incoming: dict[int, set[int]] = defaultdict(set)
        for before, afters in self.edges.items():
            for after in afters:
                incoming[after].add(before)
        done: set[int] = set()

        def visit(event: int) -> None:
            stack = [event]
            while stack:
                top = stack[-1]
                missing = [before for before in incoming[top] if before not in done]
                if missing:
                    assert len(stack) <= len(self.past), "the waits go round in a circle"
                    stack += missing[:1]
                    continue
                for before in incoming[top]:
                    self.past[top] |= self.past[before] | 1 << before
                done.add(stack.pop())

        for event in range(5 * steps):
            visit(event)

    def before(self, first: tuple[int, str], second: tuple[int, str]) -> bool:
        return bool(self.past[self.index[second]] >> self.index[first] & 1)
