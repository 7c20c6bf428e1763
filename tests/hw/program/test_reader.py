"""Programs come apart as they were put together, at the predicted cycles."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from golden.cycles.external_memory import ExternalMemory
from golden.cycles.program_stream import ProgramStream
from hw.descriptor import DESCRIPTOR_BITS, Opcode
from hw.named_configs import BASE, LARGE, TINY
from hw.program.fetch import FETCH_BURST
from hw.program.header import HEADER_BEATS
from hw.program.reader import ProgramReader
from tests.hw.benches import simulate
from tests.hw.pairwise import pairwise
from tests.hw.program.reader_bench import ADDRESS, SMALL, Bench
from tests.hw.programs import Layer, assemble, enclosed, plain_layer, random_layers, sealed, weight_layer

CONFIGS = {
    "tiny": TINY,
    "base": BASE,
    "large": LARGE,
    "small": SMALL,
    "one_parameter_beat": dataclasses.replace(LARGE, outputs=2, inputs=16, positions=1, program_beats=256),
    "twelve_outputs": dataclasses.replace(TINY, outputs=12, program_beats=256),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("pause", "memory_rate"), [(0, 1.0), (3, 1.0), (0, 0.4), (12, 0.6)])
def test_reads_programs(name, pause, memory_rate):
    config = CONFIGS[name]
    layers = random_layers(config, random.Random(name), 8, most=40)
    bench = Bench(config, seed=1, pause=pause, chunk=3, memory_rate=memory_rate)
    bench.run(layers)
    bench.assert_complete(layers)


@pytest.mark.parametrize("most", [16, 192])
def test_programs_much_longer_than_the_ring(most):
    layers = random_layers(SMALL, random.Random(most), 320 // most + 10, most=most)
    assert len(assemble(SMALL, layers)) > 2 * SMALL.program_beats
    bench = Bench(SMALL, seed=1, memory_rate=0.8)
    bench.run(layers)
    bench.assert_complete(layers)


def predict(bench: Bench, layers: list[Layer], latency: int) -> dict[str, list[int]]:
    """Cycles of everything, given when the consumers were ready."""
    config = bench.config
    stream = ProgramStream(config, len(bench.stream), ExternalMemory(latency), start=0)
    stream.header()
    times: dict[str, list[int]] = {"offered": [], "written": [], "taken": []}
    ready_from = iter(bench.ready_from)
    tile = 0
    for number, layer in enumerate(layers):
        times["offered"].append(stream.descriptor(ready=bench.accepted[number - 1] + 1 if number else 0))
        for _ in layer.weights:
            times["written"].append(stream.parameters(ready=bench.drained[tile - 2] + 1 if tile >= 2 else 0))
            regions = {name: layer.fields[name] for name in ("tiles", "passes", "wide", "image")}
            stream.begin_weights(layer.fields["weight_beats"], **regions)
            for _ in range(len(layer.delivered()) // len(layer.weights) // bench.chunk):
                times["taken"].append(stream.weights(bench.chunk, ready=next(ready_from)))
            tile += 1
    return times


@pytest.mark.parametrize(("name", "latency", "pace"), pairwise([*CONFIGS], [1, 20, 150], [(0, 1), (2, 4), (30, 6)]))
def test_cycles_are_those_predicted(name, latency, pace):
    config, (pause, chunk) = CONFIGS[name], pace
    rng = random.Random(f"{name} {latency} {pause} {chunk}")
    layers = random_layers(config, rng, 5, most=60 // chunk)
    for layer in layers:
        if layer.weights:
            layer.fields["weight_beats"] *= chunk
            layer.weights = [[rng.getrandbits(config.memory_bits) for _ in tile * chunk] for tile in layer.weights]
    bench = Bench(config, seed=latency, pause=pause, chunk=chunk, latency=latency)
    bench.run(layers)
    bench.assert_complete(layers)
    times = predict(bench, layers, latency)
    assert times["offered"] == bench.offered
    assert times["written"] == bench.written[config.parameter_beats - 1 :: config.parameter_beats]
    assert times["taken"] == bench.taken[chunk - 1 :: chunk]


@pytest.mark.parametrize("name", ["tiny", "large"])
def test_latencies_in_words(name):
    """First descriptor, gap behind it, none in front of the next one."""
    config = CONFIGS[name]
    rng, beats = random.Random(0), DESCRIPTOR_BITS // config.memory_bits
    layers = [weight_layer(config, rng, output_tiles=2, weight_beats=8, tiles=2), plain_layer(rng, Opcode.END)]
    bench = Bench(config)
    bench.run(layers)
    # `start`, request, latency of the memory, further beats.
    assert bench.offered[0] == 1 + 1 + HEADER_BEATS + (beats - 1) + ProgramReader.latency
    assert bench.written[0] == bench.offered[0] + ProgramReader.DESCRIPTOR_GAP
    assert [*bench.written, *bench.taken] != sorted([*bench.written, *bench.taken])
    assert sorted([*bench.written, *bench.taken]) == list(range(bench.written[0], bench.taken[-1] + 1))
    assert bench.offered[1] == bench.taken[-1] + beats + 1


def test_third_parameters_wait_until_the_first_are_drained():
    """Across layers as within one."""
    rng = random.Random(1)
    layers = [weight_layer(TINY, rng, output_tiles=1, weight_beats=4) for _ in range(4)]
    bench = Bench(TINY)
    bench.drain = False
    bench.run(layers, limit=200)
    assert bench.parameters == bench.expected_parameters(layers)[: 2 * TINY.parameter_beats]
    assert bench.weights == [beat for layer in layers[:2] for beat in layer.delivered()]
    assert len(bench.descriptors) == 3


def test_only_the_next_descriptor_waits_for_the_acceptance_of_one():
    rng = random.Random(1)
    layers = [weight_layer(TINY, rng, output_tiles=2, weight_beats=4), plain_layer(rng, Opcode.END)]
    bench = Bench(TINY)
    bench.accept = False
    bench.run(layers, limit=200)
    assert bench.parameters == bench.expected_parameters(layers)
    assert bench.weights == layers[0].delivered()
    assert (len(bench.offered), bench.descriptors) == (1, [])


@pytest.mark.parametrize("config", [SMALL, LARGE], ids=lambda config: config.name)
@pytest.mark.parametrize("behind", [0, 1, 100, pytest.param("a ring", marks=pytest.mark.long)])
@pytest.mark.parametrize("latency", [1, 200])
def test_all_of_a_program_is_read_and_whether_it_was_intact_is_known_then(config, behind, latency):
    """However much lies behind the END, even more than the ring has place for."""
    behind = config.program_beats + 100 if behind == "a ring" else behind
    rng = random.Random(behind)
    layers = random_layers(config, rng, 2, most=8)
    good = enclosed(config, assemble(config, layers), behind=behind)
    # Not in a descriptor, which would stop it.
    wrong = [(len(good) - 1, config.memory_bits - 1)]
    if behind:
        wrong += [(len(good) - 2, 0), (len(good) - 1 - behind, 17)]
    programs = [good, *([*good[:beat], good[beat] ^ 1 << bit, *good[beat + 1 :]] for beat, bit in wrong), good]
    bench = Bench(config, latency=latency)
    found = []

    async def process(ctx: Any) -> None:
        for program in programs:
            bench.memory.requests.clear()
            await bench.job(ctx, layers, program=program, limit=300)
            bench.assert_complete(layers)
            for _ in range(2 * len(good) + 3 * latency):
                if ctx.get(bench.dut.idle):
                    break
                await ctx.tick()
            found.append((bool(ctx.get(bench.dut.idle)), bool(ctx.get(bench.dut.intact))))
            assert sum(beats for _, beats in bench.memory.requests) == len(good)

    simulate(bench.dut, process, bench.memory.process)
    assert bench.memory.requests[0] == (ADDRESS, min(FETCH_BURST, len(good)))
    assert found == [(True, program == sealed(config, program)) for program in programs]
    assert [intact for _, intact in found] == [True, *[False] * len(wrong), True]


@pytest.mark.parametrize("with_stop", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_restarts_in_the_middle(seed, with_stop):
    rng = random.Random(seed)
    config = rng.choice([SMALL, LARGE])
    bench = Bench(
        config, seed=seed, pause=4, chunk=2, memory_rate=rng.choice([0.3, 1.0]), latency=rng.choice([1, 30, 100])
    )

    bench.interrupted = True

    async def process(ctx: Any) -> None:
        for _ in range(5):
            layers = random_layers(config, rng, 6, most=50)
            bench.stream = enclosed(config, assemble(config, layers), behind=rng.randint(0, 1000))
            ctx.set(bench.dut.address, ADDRESS)
            ctx.set(bench.dut.length, len(bench.stream))
            for signal in (bench.dut.weights.ready, bench.dut.descriptor.ready):
                ctx.set(signal, rng.randint(0, 1))
            ctx.set(bench.dut.start, 1)
            await ctx.tick()
            ctx.set(bench.dut.start, 0)
            await ctx.tick().repeat(rng.randint(1, 300))
            if with_stop:
                ctx.set(bench.dut.stop, 1)
                await ctx.tick()
                ctx.set(bench.dut.stop, 0)
                for _ in range(rng.choice([1, 2, 60])):
                    *_, offered, weights, write, failed = await ctx.tick().sample(
                        bench.dut.descriptor.valid,
                        bench.dut.weights.valid,
                        bench.dut.parameters.valid,
                        bench.dut.failed,
                    )
                    assert not (offered or weights or write or failed)
            layers = random_layers(config, rng, 4, most=50)
            await bench.job(ctx, layers, limit=1000)
            bench.assert_complete(layers)

    simulate(bench.dut, process, bench.memory.process)
