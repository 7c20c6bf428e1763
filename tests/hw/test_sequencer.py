"""Programs run descriptor by descriptor; what is not a program stops with its cause, and the next job runs."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
from benches import MemoryModel, simulate

from hw.config import MEMORY_BEAT_BITS, TINY
from hw.isa import DESCRIPTOR_BEATS, DESCRIPTOR_BITS, DESCRIPTOR_CHECK, Opcode, encode
from hw.registers import ErrorCause
from hw.sequencer import Sequencer

BASE, MAX_LAYERS = 40, 4
ENGINES = {"load": Opcode.LOAD, "weights": Opcode.WEIGHTS, "attention": Opcode.ATTENTION}


def program(*opcodes: Opcode) -> list[int]:
    """Descriptors that number themselves by their height."""
    return [
        encode(opcode=opcode, height=layer, memory_address=0xFFFF_FFFF - layer) for layer, opcode in enumerate(opcodes)
    ]


class Bench:
    """Engines that are done a random number of cycles after their start."""

    def __init__(self, *, seed: int = 0, rate: float = 1.0, engine_cycles: int = 0):
        self.dut = Sequencer(dataclasses.replace(TINY, max_layers=MAX_LAYERS))
        self.rng, self.engine_cycles = random.Random(seed), engine_cycles
        self.descriptors: list[int] = []
        self.memory = MemoryModel(self.dut.memory, self.read, seed=seed, request_rate=rate, response_rate=rate)
        self.started: list[tuple[str, int, Opcode, int]] = []
        """Engine, layer, opcode and height at every start."""
        self.ends: list[int] = []
        """Layer at every `layer_end`."""
        self.cycles: list[int] = []
        """Of every job, from its start to `done`."""
        self.errors: list[ErrorCause] = []

    def read(self, address: int) -> int:
        descriptor, beat = divmod(address - BASE, DESCRIPTOR_BEATS)
        return self.descriptors[descriptor] >> MEMORY_BEAT_BITS * beat & (1 << MEMORY_BEAT_BITS) - 1

    async def job(self, ctx: Any, descriptors: list[int]) -> None:
        dut, left = self.dut, dict.fromkeys(ENGINES, 0)
        self.descriptors = descriptors
        ctx.set(dut.program, BASE)
        ctx.set(dut.start, 1)
        for cycle in range(2000):
            for engine in ENGINES:
                ctx.set(getattr(dut, f"{engine}_done"), left[engine] == 0)
                left[engine] -= left[engine] > 0
            *starts, descriptor, layer, layer_end, done, busy, fetching = (
                await ctx.tick().sample(
                    dut.load, dut.weights, dut.attention,
                    dut.descriptor, dut.layer, dut.layer_end, dut.done, dut.busy, dut.fetching,
                )
            )[2:]  # fmt: skip
            ctx.set(dut.start, 0)
            if cycle:
                assert busy != done
            for engine, pulse in zip(ENGINES, starts, strict=True):
                if pulse:
                    assert not fetching
                    self.started.append((engine, layer, descriptor.opcode, descriptor.height))
                    left[engine] = self.rng.randint(0, self.engine_cycles)
            if layer_end:
                self.ends.append(layer)
            if done and cycle:
                self.cycles.append(cycle)
                self.errors.append(ErrorCause(ctx.get(dut.error)))
                return
        raise AssertionError("the job hangs")

    def run(self, *jobs: list[int]) -> None:
        async def process(ctx: Any) -> None:
            for descriptors in jobs:
                await self.job(ctx, descriptors)

        simulate(self.dut, process, self.memory.process)


def starts_of(*opcodes: Opcode) -> list[tuple[str, int, Opcode, int]]:
    names = {opcode: name for name, opcode in ENGINES.items()}
    return [(names[opcode], layer, opcode, layer) for layer, opcode in enumerate(opcodes)]


LAYERS = (Opcode.LOAD, Opcode.WEIGHTS, Opcode.ATTENTION)


@pytest.mark.parametrize(("rate", "engine_cycles"), [(1.0, 0), (1.0, 20), (0.3, 20)])
def test_runs_programs(rate, engine_cycles):
    bench = Bench(seed=1, rate=rate, engine_cycles=engine_cycles)
    jobs = [LAYERS, (Opcode.WEIGHTS,), ()]
    bench.run(*(program(*opcodes, Opcode.END) for opcodes in jobs))
    assert bench.errors == [ErrorCause.NONE] * 3
    assert bench.started == [start for opcodes in jobs for start in starts_of(*opcodes)]
    assert bench.ends == [layer for opcodes in jobs for layer in range(len(opcodes))]
    assert bench.memory.requests == [
        (BASE + DESCRIPTOR_BEATS * layer, DESCRIPTOR_BEATS) for opcodes in jobs for layer in range(len(opcodes) + 1)
    ]


def test_costs_its_overhead_per_layer():
    bench = Bench()
    bench.run(program(*LAYERS, Opcode.END), program(Opcode.END))
    with_layers, without = bench.cycles
    assert with_layers - without == len(LAYERS) * Sequencer.overhead


@pytest.mark.parametrize("bit", [0, 7, 8, 100, DESCRIPTOR_BITS - 1])
def test_flipped_bit_stops_the_job(bit):
    bench = Bench()
    descriptors = program(Opcode.LOAD, Opcode.WEIGHTS, Opcode.END)
    descriptors[1] ^= 1 << bit
    bench.run(descriptors)
    assert bench.errors == [ErrorCause.BAD_CHECK]
    assert bench.started == starts_of(Opcode.LOAD)


@pytest.mark.parametrize("bits", [0, (1 << DESCRIPTOR_BITS) - 1])
def test_empty_memory_is_no_program(bits):
    assert DESCRIPTOR_CHECK != 0
    bench = Bench()
    bench.run([bits])
    assert bench.errors == [ErrorCause.BAD_CHECK]
    assert bench.started == []


@pytest.mark.parametrize("code", [4, 5, 6, 7])
def test_unknown_opcode_stops_the_job(code):
    bench = Bench()
    bench.run([*program(Opcode.LOAD), encode(opcode=code)])
    assert bench.errors == [ErrorCause.BAD_OPCODE]
    assert bench.started == starts_of(Opcode.LOAD)


def test_as_many_layers_as_are_counted():
    bench = Bench()
    opcodes = [Opcode.WEIGHTS] * MAX_LAYERS
    bench.run(program(*opcodes, Opcode.END))
    assert bench.errors == [ErrorCause.NONE]
    assert bench.ends == list(range(MAX_LAYERS))


def test_one_layer_more_stops_the_job():
    bench = Bench()
    opcodes = [Opcode.WEIGHTS] * MAX_LAYERS
    bench.run(program(*opcodes, Opcode.WEIGHTS, Opcode.END))
    assert bench.errors == [ErrorCause.TOO_MANY_LAYERS]
    assert bench.started == starts_of(*opcodes)


@pytest.mark.parametrize("bad", [[0], [encode(opcode=7)], program(*[Opcode.LOAD] * (MAX_LAYERS + 1))])
def test_next_job_runs_after_an_error(bad):
    bench = Bench(rate=0.5)
    bench.run(bad, program(*LAYERS, Opcode.END))
    assert bench.errors[0] != ErrorCause.NONE
    assert bench.errors[1] == ErrorCause.NONE
    assert bench.started[-3:] == starts_of(*LAYERS)
