"""The dispatcher against a model that knows when every job ended, cycle by cycle, beside engines of any speed."""

from __future__ import annotations

import dataclasses
import itertools
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from hw.config import BASE, TINY, HardwareConfig
from hw.descriptor import DESCRIPTOR, Opcode, Wait, encode
from hw.program.dispatcher import Dispatcher
from hw.program.tickets import TICKET_BITS
from tests.hw.benches import simulate

CYCLE_LIMIT = 4000
MOST_UNDER_WAY = 1 << TICKET_BITS - 1
TABLE_CYCLES = 16
"""Cycles between two layers' last reads: each has filled a table."""

NARROW_TILE = dataclasses.replace(TINY, name="narrow_tile", outputs=4, inputs=16)

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


class Bench:
    """Program, engines, and the dispatcher's outputs as its docstring states them."""

    def __init__(self, config: HardwareConfig, latency: int, speed: Speed, seed: int):
        self.dut = Dispatcher(config, latency)
        self.config, self.latency, self.speed, self.rng = config, latency, speed, random.Random(seed)
        self.cycle = 0
        self.last_read = -TABLE_CYCLES
        self.started: list[tuple[str, Fields, int]] = []
        """Engine, descriptor and cycle of every start."""
        self.counts = dict.fromkeys(("waits_load", "waits_attention", "waits_neurons"), 0)
        self.most_under_way = 0
        self.reset()

    def reset(self) -> None:
        self.jobs: dict[str, list[Job]] = {kind: [] for kind in KINDS.values()}
        self.load, self.walker, self.neurons, self.attention = Engine(), Engine(), Engine(), Engine()
        self.place: Job | None = None  # in front of the walker
        self.in_walker: Job | None = None
        self.entered: Job | None = None  # the walker starts on it in this cycle
        self.attention_place: Job | None = None
        self.attention_entered: Job | None = None  # the engine starts on it in this cycle
        self.unread: list[Job] = []  # entered the walker, not yet the neurons
        self.handed: Job | None = None  # the neurons start on it in this cycle
        self.walked: list[Job] = []
        self.waits = dict.fromkeys(self.counts, 0)
        self.last_layer, self.taken = 0, 0
        self.looked = False  # what a load or the END on offer waits for was over a cycle ago
        self.in_neurons: Job | None = None
        self.neurons_idle_from = 0
        self.tiles_left = 0
        self.attention_idle_from = 0
        self.attention_done_at = -1

    def duration(self, longest: int, shortest: int = 1) -> int:
        return longest if self.speed.fixed else self.rng.randint(shortest, max(longest, shortest))

    def job(self, fields: Fields) -> Job:
        awaited = {}
        for kind, jobs in self.jobs.items():
            wait = Wait(fields[f"wait_{kind}"])
            newest = len(jobs) - (wait == Wait.ALL_BUT_NEWEST)
            awaited[kind] = [] if wait == Wait.NONE else jobs[: max(0, newest)]
        return Job(fields, awaited, list(self.jobs["weights"]), self.cycle)

    async def run(self, ctx: Any, program: list[Fields], *, reset_at: int | None = None) -> None:
        """From `reset_job` to END, or until a reset comes."""
        dut, rng = self.dut, self.rng
        left, offered, begin = list(program), False, self.cycle
        self.reset()
        ctx.set(dut.reset_job, 1)
        ctx.set(dut.descriptor.valid, rng.getrandbits(1))
        ctx.set(dut.descriptor.payload.as_value(), encode(**left[0]))
        self.drive(ctx)
        _, _, *outputs = await ctx.tick().sample(dut.descriptor.ready, dut.load.start, dut.attention.start, dut.ended)
        assert not any(outputs)
        ctx.set(dut.reset_job, 0)
        self.cycle += 1
        while self.cycle != reset_at:
            offered = offered or (bool(left) and rng.random() < self.speed.offer)
            ctx.set(dut.descriptor.valid, offered)
            if offered:
                ctx.set(dut.descriptor.payload.as_value(), encode(**left[0]))
            else:
                ctx.set(dut.descriptor.payload.as_value(), rng.getrandbits(DESCRIPTOR.size))
            signals = self.drive(ctx)
            watched = {
                "load_start": dut.load.start, "walker_start": dut.walker.start, "neurons_start": dut.neurons.start,
                "attention_start": dut.attention.start, "ended": dut.ended, "descriptors": dut.descriptors,
                "layer": dut.layer, "waits_load": dut.waits_load, "waits_attention": dut.waits_attention,
                "waits_neurons": dut.waits_neurons, "slices_written": dut.walker.slices_written,
                "all_written": dut.walker.all_written,
            }  # fmt: skip
            _, _, ready, walker, neurons, attention, *outputs = await ctx.tick().sample(
                dut.descriptor.ready, dut.walker.descriptor.as_value(), dut.neurons.descriptor.as_value(),
                dut.attention_job.as_value(), *watched.values(),
            )  # fmt: skip
            seen = dict(zip(watched, outputs, strict=True))
            expected, job = self.expect(left[0] if offered else None, signals)
            assert {name: seen[name] for name in expected} == expected, self.cycle
            if offered:
                assert ready == (job is not None), self.cycle
            # Descriptors hold still as long as an engine needs them.
            for value, holder in (
                (walker, self.in_walker), (neurons, self.in_neurons or self.handed),
                (attention, self.attention_entered or self.attention_place),
            ):  # fmt: skip
                assert holder is None or value == encode(**holder.fields), self.cycle
            self.advance(job, signals)
            for kind, jobs in self.jobs.items():
                under_way = sum(not one.over(self.cycle) for one in jobs)
                assert under_way <= MOST_UNDER_WAY, kind
                self.most_under_way = max(self.most_under_way, under_way)
            if job:
                left.pop(0)
                offered = False
            if seen["ended"]:
                assert not left
                return
            assert self.cycle - begin < CYCLE_LIMIT, "the program hangs"

    def drive(self, ctx: Any) -> dict[str, bool]:
        """Set the engines' outputs of this cycle."""
        rng = self.rng
        may_read = self.in_neurons in self.walked and self.neurons.left == 0
        if self.tiles_left == 1:
            reading = may_read and self.cycle - self.last_read >= TABLE_CYCLES
        else:
            reading = may_read and rng.random() < 0.3
        layer_read = reading and self.tiles_left == 1
        signals = {
            "load_done": self.load.left == 0,
            "walker_done": self.walker.left == 0,
            # The neurons may be done with the last read or a cycle later.
            "neurons_done": (self.in_neurons is None and self.cycle >= self.neurons_idle_from)
            or (layer_read and bool(rng.getrandbits(1))),
            "output_tile_read": reading,
            "layer_read": layer_read,
            "attention_busy": self.attention.left > 0,
            "attention_done": self.cycle == self.attention_done_at,
        }
        dut = self.dut
        for name, port in {
            "load_done": dut.load.done, "walker_done": dut.walker.done, "neurons_done": dut.reads.done,
            "output_tile_read": dut.reads.output_tile_drained, "layer_read": dut.reads.layer_done,
            "attention_busy": dut.attention.busy, "attention_done": dut.attention.done,
        }.items():  # fmt: skip
            ctx.set(port, signals[name])
        return signals

    def expect(self, head: Fields | None, signals: dict[str, bool]) -> tuple[dict[str, int], Job | None]:
        """Outputs of this cycle, and the descriptor taken in it."""
        cycle = self.cycle
        job = self.job(head) if head is not None else None
        if job is not None:
            opcode = job.fields["opcode"]
            free = {
                Opcode.LOAD: self.load.job is None and signals["load_done"] and job.may_start(cycle),
                Opcode.WEIGHTS: self.place is None,
                Opcode.ATTENTION: self.attention_place is None,
                Opcode.END: all(one.over(cycle) for jobs in self.jobs.values() for one in jobs),
            }[opcode]
            if opcode in (Opcode.LOAD, Opcode.END):
                # Taken when that was so in the cycle before.
                free, self.looked = self.looked, free and not self.looked
            job = job if free else None
        opcode = job.fields["opcode"] if job else None
        expected = {
            "load_start": opcode is Opcode.LOAD,
            "walker_start": self.entered is not None,
            "neurons_start": self.handed is not None,
            "attention_start": self.attention_entered is not None,
            "ended": opcode is Opcode.END,
            "descriptors": self.taken,
            "layer": (self.in_walker or self.place).fields["layer"]
            if self.in_walker or self.place
            else self.last_layer,
            **self.waits,
        }
        if self.in_walker:
            before = self.in_walker.before
            expected["all_written"] = all(one.over(cycle) for one in before)
            if not expected["all_written"]:
                tiles = sum(written <= cycle for written in before[-1].tiles_written)
                expected["slices_written"] = tiles * self.config.tile_pieces // self.config.word_pieces
        return {name: int(value) for name, value in expected.items()}, job

    def advance(self, job: Job | None, signals: dict[str, bool]) -> None:
        """Go to the next cycle."""
        cycle = self.cycle
        # Load.
        if self.load.job and signals["load_done"]:
            self.load.job.ended, self.load.job = cycle + 1, None
        self.load.left -= self.load.left > 0
        # Attention.
        if signals["attention_done"]:
            self.attention.job.ended = cycle + 1
        self.attention.left -= self.attention.left > 0
        if self.attention_entered:
            self.begin("attention", self.attention_entered)
            self.attention.job, self.attention.left = self.attention_entered, self.duration(self.speed.attention)
            # `done` comes with the last busy cycle or behind it.
            self.attention_done_at = cycle + self.attention.left + self.rng.getrandbits(1)
            self.attention_entered = None
        place = self.attention_place
        if place and not signals["attention_busy"] and place.may_start(cycle):
            self.attention_entered, self.attention_place = place, None
        # Neurons.
        if self.in_neurons and signals["output_tile_read"]:
            self.in_neurons.tiles_written.append(cycle + self.latency + 1)
            self.tiles_left -= 1
        self.neurons.left -= self.neurons.left > 0
        if signals["layer_read"]:
            self.in_neurons.ended = cycle + self.latency + 1
            self.in_neurons, self.last_read, self.neurons_idle_from = None, cycle, cycle + 1
        if self.handed:
            self.begin("neurons", self.handed)
            self.in_neurons, self.tiles_left = self.handed, self.handed.fields["output_tiles"]
            self.neurons.left = self.duration(self.speed.neurons)
            self.handed = None
        # From the walker to the neurons.
        oldest = self.unread[0] if self.unread else None
        self.walker_free = oldest is None
        if (
            oldest
            and signals["neurons_done"]
            and (oldest.fields["overlaps"] or all(one.over(cycle) for one in oldest.before))
        ):
            self.handed = oldest
            self.unread.pop(0)
        # Walker.
        left_now = self.in_walker is not None and self.entered is None and signals["walker_done"]
        self.walker.left -= self.walker.left > 0
        if self.entered:
            self.begin("walker", self.entered)
            self.walker.left = self.duration(self.speed.walker, self.speed.shortest_walk) - 1
            self.entered = None
        if left_now:
            self.walked.append(self.in_walker)
            self.in_walker = None
        place = self.place
        self.waits = dict.fromkeys(self.waits, 0)
        if place and self.in_walker is None:
            if not self.walker_free:
                self.waits["waits_neurons"] = 1
            elif place.may_start(cycle):
                self.in_walker = self.entered = place
                self.unread.append(place)
                self.place = None
            elif place.waits_for("attention", cycle):
                self.waits["waits_attention"] = 1
            elif place.waits_for("load", cycle):
                self.waits["waits_load"] = 1
        for name, value in self.waits.items():
            self.counts[name] += value
        # Program.
        if job:
            self.taken += 1
            opcode = job.fields["opcode"]
            if opcode is not Opcode.END:
                self.jobs[KINDS[opcode]].append(job)
            if opcode in (Opcode.LOAD, Opcode.WEIGHTS):
                self.last_layer = job.fields["layer"]
            if opcode is Opcode.LOAD:
                self.begin("load", job)
                self.load.job, self.load.left = job, self.duration(self.speed.load)
            elif opcode is Opcode.WEIGHTS:
                self.place = job
            elif opcode is Opcode.ATTENTION:
                self.attention_place = job
        self.cycle += 1

    def begin(self, engine: str, job: Job) -> None:
        self.started.append((engine, job.fields, self.cycle))

    def run_programs(self, *programs: list[Fields]) -> None:
        async def process(ctx: Any) -> None:
            for program in programs:
                await self.run(ctx, program)

        simulate(self.dut, process)


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


SPEEDS = {
    "alike": Speed(),
    "slow_load": Speed(load=150),
    "slow_walker": Speed(walker=80, neurons=5),
    "slow_neurons": Speed(neurons=80, walker=5),
    "slow_attention": Speed(attention=150),
    "slow_program": Speed(offer=0.03),
}


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize(("config", "latency"), [(TINY, 1), (NARROW_TILE, 9), (BASE, 40)], ids=["1", "9", "40"])
def test_runs_random_programs(config, latency, speed):
    rng = random.Random(latency)
    bench = Bench(config, latency, SPEEDS[speed], seed=latency)
    programs = [random_program(rng, 20, wait=wait) for wait in (0.0, 0.2, 0.7)]
    bench.run_programs(*programs)
    engines = {Opcode.LOAD: ["load"], Opcode.WEIGHTS: ["walker", "neurons"], Opcode.ATTENTION: ["attention"]}
    for opcode, names in engines.items():
        for name in names:
            started = [fields for engine, fields, _ in bench.started if engine == name]
            assert started == [fields for program in programs for fields in program if fields["opcode"] is opcode]


def test_attributes_every_wait():
    bench = Bench(TINY, 5, Speed(load=60, neurons=60, attention=60), 1)
    bench.run_programs(random_program(random.Random(1), 60, wait=0.4))
    assert all(bench.counts.values())


def test_starts_engines_at_once():
    bench = Bench(TINY, 5, Speed(), 0)
    taken: dict[int, int] = {}
    job_of = bench.job

    def remember(fields: Fields) -> Job:
        taken[fields["memory_address"]] = bench.cycle
        return job_of(fields)

    bench.job = remember  # type: ignore[method-assign]
    order = (Opcode.LOAD, Opcode.WEIGHTS, Opcode.ATTENTION)
    bench.run_programs([*(descriptor(opcode, number) for number, opcode in enumerate((*order, Opcode.END)))])
    delay = {engine: cycle - taken[fields["memory_address"]] for engine, fields, cycle in bench.started}
    assert delay == {"load": 0, "walker": 2, "neurons": 3, "attention": 2}


def test_next_layer_enters_the_walker_at_once():
    bench = Bench(TINY, 5, Speed(walker=20, neurons=1, fixed=True), 0)
    bench.run_programs([descriptor(Opcode.WEIGHTS, number) for number in range(5)] + [descriptor(Opcode.END, 5)])
    starts = [cycle for engine, _, cycle in bench.started if engine == "walker"]
    # A walk of 20 cycles is done in the 20th cycle after its start.
    assert {later - earlier for earlier, later in itertools.pairwise(starts)} == {21}


@pytest.mark.parametrize("wait", [Wait.ALL, Wait.ALL_BUT_NEWEST])
@pytest.mark.parametrize("kind", ["load", "weights", "attention"])
def test_jobs_that_end_later_do_not_bring_a_wait_back(kind, wait):
    """Something waits in its place for its engine while more jobs end than a ticket's sign can bear."""
    opcode = {name: opcode for opcode, name in KINDS.items()}[kind]
    waiting = Opcode.ATTENTION if kind != "attention" else Opcode.WEIGHTS
    many, number = MOST_UNDER_WAY + 4, 3
    program = [descriptor(opcode, 0), descriptor(waiting, 1), descriptor(waiting, 2, **{f"wait_{kind}": wait})]
    program += [descriptor(opcode, number + n) for n in range(many)] + [descriptor(Opcode.END, number + many)]
    slow = {"attention": 500, "walker": 5} if waiting is Opcode.ATTENTION else {"walker": 200, "attention": 2}
    bench = Bench(TINY, 3, Speed(**{"load": 3, "neurons": 2, "fixed": True, **slow}), 0)
    bench.run_programs(program)


def test_counts_as_many_layers_as_can_be_under_way():
    """Short layers behind a long way to the last write."""
    bench = Bench(BASE, 75, Speed(walker=4, neurons=1, fixed=True), 0)
    bench.run_programs([descriptor(Opcode.WEIGHTS, number) for number in range(40)] + [descriptor(Opcode.END, 40)])
    assert bench.most_under_way == MOST_UNDER_WAY


@pytest.mark.parametrize("seed", range(4))
def test_begins_a_job_from_any_state(seed):
    rng = random.Random(seed)
    bench = Bench(NARROW_TILE, 20, Speed(attention=60, load=40), seed)

    async def process(ctx: Any) -> None:
        for _ in range(15):
            program = random_program(rng, 20, wait=0.2)
            await bench.run(ctx, program, reset_at=bench.cycle + rng.randint(1, 150))
        await bench.run(ctx, random_program(rng, 20, wait=0.2))

    simulate(bench.dut, process)
