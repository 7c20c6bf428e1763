"""The dispatcher against a model that knows when every job ended, cycle by cycle, beside engines of any speed."""

from __future__ import annotations

import dataclasses
import itertools
import random
from typing import Any

import pytest

from hw.descriptor import Opcode, Wait
from hw.named_configs import BASE, TINY
from tests.hw.benches import simulate
from tests.hw.program.dispatch_bench import MOST_UNDER_WAY, Bench
from tests.hw.program.dispatch_jobs import KINDS, Fields, Job, Speed, descriptor, random_program

NARROW_TILE = dataclasses.replace(TINY, name="narrow_tile", outputs=4, inputs=16)

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
