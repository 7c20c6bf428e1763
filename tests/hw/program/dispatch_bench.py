"""A model of the dispatcher that knows when every job ended, cycle by cycle, beside engines of any speed."""

from __future__ import annotations

import random
from typing import Any

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR, Opcode, Wait, encode
from hw.program.dispatcher import Dispatcher
from hw.program.tickets import TICKET_BITS
from tests.hw.benches import simulate
from tests.hw.program.dispatch_jobs import KINDS, Engine, Fields, Job, Speed

CYCLE_LIMIT = 4000
MOST_UNDER_WAY = 1 << TICKET_BITS - 1
TABLE_CYCLES = 16
"""Cycles between two layers' last reads: each has filled a table."""


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
        watched = {
            "load_start": dut.load.start, "walker_start": dut.walker.start, "neurons_start": dut.neurons.start,
            "attention_start": dut.attention.start, "ended": dut.ended, "descriptors": dut.descriptors,
            "layer": dut.layer, "waits_load": dut.waits_load, "waits_attention": dut.waits_attention,
            "waits_neurons": dut.waits_neurons, "slices_written": dut.walker.slices_written,
            "all_written": dut.walker.all_written,
        }  # fmt: skip
        ticks = aiter(
            ctx.tick().sample(
                dut.descriptor.ready, dut.walker.descriptor.as_value(), dut.neurons.descriptor.as_value(),
                dut.attention_job.as_value(), *watched.values(),
            )
        )  # fmt: skip
        while self.cycle != reset_at:
            offered = offered or (bool(left) and rng.random() < self.speed.offer)
            ctx.set(dut.descriptor.valid, offered)
            if offered:
                ctx.set(dut.descriptor.payload.as_value(), encode(**left[0]))
            else:
                ctx.set(dut.descriptor.payload.as_value(), rng.getrandbits(DESCRIPTOR.size))
            signals = self.drive(ctx)
            _, _, ready, walker, neurons, attention, *outputs = await anext(ticks)
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
