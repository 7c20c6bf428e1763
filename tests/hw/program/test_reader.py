"""Programs come apart as they were put together, at the predicted cycles; what is no program stops with its cause."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from golden.cycles.program_stream import ExternalMemory, ProgramStream
from hw.config import BASE, LARGE, TINY, HardwareConfig
from hw.descriptor import DESCRIPTOR, DESCRIPTOR_BITS, Opcode, encode
from hw.host.registers import ErrorCause
from hw.program.fetch import FETCH_BURST
from hw.program.reader import ProgramReader
from hw.program.ring import READ_LATENCY, region_limit
from tests.hw.benches import MemoryModel, simulate
from tests.hw.programs import Layer, assemble, descriptor_beats, plain_layer, random_layers, weight_layer

ADDRESS = 3000
SMALL = dataclasses.replace(TINY, name="small", program_beats=256)
CONFIGS = {
    "tiny": TINY,
    "base": BASE,
    "large": LARGE,
    "small": SMALL,
    "one_parameter_beat": dataclasses.replace(LARGE, outputs=2, inputs=16, positions=1, program_beats=256),
    "twelve_outputs": dataclasses.replace(TINY, outputs=12, program_beats=256),
}


def descriptors_of(layers: list[Layer]) -> list[int]:
    """Their bits, less those behind the last field."""
    return [layer.descriptor & (1 << DESCRIPTOR.size) - 1 for layer in layers]


class Bench:
    """Consumers of one reader.

    Weights are taken in runs of `chunk` beats with pauses of up to `pause` cycles between them; a descriptor after up
    to `pause` cycles; an output tile is drained up to `pause` cycles after its last weight.
    """

    def __init__(
        self,
        config: HardwareConfig,
        *,
        seed: int = 0,
        pause: int = 0,
        chunk: int = 1,
        memory_rate: float = 1.0,
        **memory,
    ):
        self.config, self.pause, self.chunk, self.rng = config, pause, chunk, random.Random(seed)
        self.dut = ProgramReader(config)
        self.stream: list[int] = []
        self.memory = MemoryModel(
            self.dut.memory, self.read, seed=seed, request_rate=memory_rate, response_rate=memory_rate, **memory
        )
        self.drain = self.accept = True
        """Whether output tiles are drained, and descriptors accepted, at all."""
        self.tiles_before = 0
        """Output tiles of earlier jobs whose parameters were written: buffers alternate across jobs."""
        self.interrupted = False
        """Jobs were interrupted: any buffer may be the first one."""
        self.parameters: list[tuple[int, int]] = []
        self.clear()

    def clear(self) -> None:
        self.tiles_before += len(self.parameters) // self.config.parameter_beats
        self.descriptors: list[int] = []
        self.parameters = []
        self.weights: list[tuple[int, int]] = []
        self.errors: list[ErrorCause] = []
        # Cycles from `start`.
        self.offered: list[int] = []
        self.accepted: list[int] = []
        self.written: list[int] = []
        self.taken: list[int] = []
        self.drained: list[int] = []
        self.failed: list[int] = []
        self.ready_from: list[int] = []
        """Of every run of weights."""

    def read(self, address: int) -> int:
        """Beats behind the program are none of it."""
        place = address - ADDRESS
        return self.stream[place] if place < len(self.stream) else 0

    async def job(
        self, ctx: Any, layers: list[Layer], *, stream: list[int] | None = None, length: int | None = None, limit: int
    ) -> None:
        """Start and run until all of the program came, or for `limit` cycles after the last thing that came."""
        dut, rng = self.dut, self.rng
        self.clear()
        self.stream = assemble(self.config, layers) if stream is None else stream
        per_tile = [len(layer.delivered()) // len(layer.weights) for layer in layers for _ in layer.weights]
        ends = [sum(per_tile[: tile + 1]) for tile in range(len(per_tile))]
        expected = (len(layers), sum(len(p) for layer in layers for p in layer.parameters), ends[-1] if ends else 0)
        self.ready_from = [1 + rng.randint(0, self.pause)]
        left, is_offered, pause, quiet = self.chunk, False, 0, 0
        ctx.set(dut.address, ADDRESS)
        ctx.set(dut.length, len(self.stream) if length is None else length)
        ctx.set(dut.start, 1)
        cycle = 0
        while quiet < limit:
            weights_ready = cycle >= self.ready_from[-1]
            tile = len(self.drained)
            drain = (
                self.drain and tile < len(ends) and len(self.taken) >= ends[tile] and rng.randint(0, self.pause) == 0
            )
            # Without pauses a descriptor is accepted in the first cycle of its offer.
            accept = self.accept and (self.pause == 0 or (is_offered and pause == 0))
            pause -= is_offered
            ctx.set(dut.descriptor.ready, accept)
            ctx.set(dut.weights.ready, weights_ready)
            ctx.set(dut.output_tile_drained, drain)
            (
                _, _, offered, descriptor, write, index, data, valid, payload, low, failed, error
            ) = await ctx.tick().sample(
                dut.descriptor.valid, dut.descriptor.payload.as_value(),
                dut.parameters.valid, dut.parameters.index, dut.parameters.data,
                dut.weights.valid, dut.weights.payload, dut.unsigned_weights, dut.failed, dut.error,
            )  # fmt: skip
            ctx.set(dut.start, 0)
            quiet += 1
            if cycle:  # what was running before ends with `start`
                if offered and not is_offered:
                    self.offered.append(cycle)
                    pause = rng.randint(0, self.pause)
                is_offered = bool(offered)
                if offered and accept:
                    self.descriptors.append(descriptor)
                    self.accepted.append(cycle)
                    is_offered, quiet = False, 0
                if write:
                    self.parameters.append((index, data))
                    self.written.append(cycle)
                    quiet = 0
                if valid and weights_ready:
                    self.weights.append((payload, low))
                    self.taken.append(cycle)
                    left, quiet = left - 1, 0
                    if left == 0:
                        left = self.chunk
                        self.ready_from.append(cycle + 1 + rng.randint(0, self.pause))
                if drain:
                    self.drained.append(cycle)
                if failed:
                    self.errors.append(ErrorCause(error))
                    self.failed.append(cycle)
            cycle += 1
            if layers and (len(self.descriptors), len(self.parameters), len(self.weights)) == expected:
                break
        for signal in (dut.descriptor.ready, dut.weights.ready, dut.output_tile_drained):
            ctx.set(signal, 0)

    def run(self, layers: list[Layer], limit: int = 1500, **options: Any) -> None:
        async def process(ctx: Any) -> None:
            await self.job(ctx, layers, limit=limit, **options)

        simulate(self.dut, process, self.memory.process)

    def expected_parameters(self, layers: list[Layer]) -> list[tuple[int, int]]:
        buffer = 1 << (self.config.parameter_beats - 1).bit_length()
        tiles = [tile for layer in layers for tile in layer.parameters]
        if self.interrupted and self.parameters:
            self.tiles_before = self.parameters[0][0] // buffer
        return [
            (number % 2 * buffer + n, beat)
            for number, tile in enumerate(tiles, self.tiles_before)
            for n, beat in enumerate(tile)
        ]

    def assert_complete(self, layers: list[Layer]) -> None:
        assert self.errors == []
        assert self.descriptors == descriptors_of(layers)
        assert self.parameters == self.expected_parameters(layers)
        assert self.weights == [beat for layer in layers for beat in layer.delivered()]

    def assert_prefix(self, layers: list[Layer]) -> None:
        """What came is a beginning of the program."""
        assert self.descriptors == descriptors_of(layers)[: len(self.descriptors)]
        assert self.parameters == self.expected_parameters(layers)[: len(self.parameters)]
        weights = [beat for layer in layers for beat in layer.delivered()]
        assert self.weights == weights[: len(self.weights)]


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


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("latency", [1, 20, 150])
@pytest.mark.parametrize(("pause", "chunk"), [(0, 1), (2, 4), (30, 6)])
def test_cycles_are_those_predicted(name, latency, pause, chunk):
    config = CONFIGS[name]
    rng = random.Random(f"{name} {latency} {pause} {chunk}")
    layers = random_layers(config, rng, 7, most=60 // chunk)
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
    # `start`, request, latency of the memory and of the buffer, further beats, check.
    assert bench.offered[0] == 1 + 1 + READ_LATENCY + (beats - 1) + 1
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


def run_bad(stream: list[int], layers: list[Layer], config: HardwareConfig = TINY, **options: Any) -> Bench:
    """Run something that fails, then a program on the same reader."""
    good = random_layers(config, random.Random(9), 3, most=20)
    bench = Bench(config, seed=2, memory_rate=0.7, pause=2)
    seen = []

    async def process(ctx: Any) -> None:
        await bench.job(ctx, layers, stream=stream, limit=300, **options)
        bench.assert_prefix(layers)
        seen.append((bench.errors, bench.descriptors, len(bench.weights)))
        await bench.job(ctx, good, limit=300)
        bench.assert_complete(good)

    simulate(bench.dut, process, bench.memory.process)
    bench.errors, bench.descriptors, _ = seen[0]
    return bench


@pytest.mark.parametrize("config", [TINY, LARGE], ids=lambda config: config.name)
@pytest.mark.parametrize("bit", [0, 7, 8, 100, 511])
def test_flipped_bit(config, bit):
    rng = random.Random(bit)
    first = weight_layer(config, rng, output_tiles=1, weight_beats=4)
    stream = [
        *assemble(config, [first]),
        *descriptor_beats(config, plain_layer(rng, Opcode.LOAD).descriptor ^ 1 << bit),
    ]
    bench = run_bad(stream, [first, first], config)
    assert (bench.errors, len(bench.descriptors)) == ([ErrorCause.BAD_CHECK], 1)


@pytest.mark.parametrize("bits", [0, (1 << DESCRIPTOR_BITS) - 1])
def test_empty_memory_is_no_program(bits):
    bench = run_bad(descriptor_beats(TINY, bits) * 20, [])
    assert (bench.errors, bench.descriptors) == ([ErrorCause.BAD_CHECK], [])


@pytest.mark.parametrize("code", [4, 5, 6, 7])
def test_unknown_opcode(code):
    load = plain_layer(random.Random(1), Opcode.LOAD)
    stream = [*assemble(TINY, [load]), *descriptor_beats(TINY, encode(opcode=code))]
    bench = run_bad(stream, [load, load])
    assert (bench.errors, len(bench.descriptors)) == ([ErrorCause.BAD_OPCODE], 1)


@pytest.mark.parametrize("config", [SMALL, LARGE], ids=lambda config: config.name)
@pytest.mark.parametrize(("wide", "image"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_largest_weights(config, wide, image):
    """Those of an output tile just fit, and one beat per segment more is refused, as is a tile without weights."""
    rng = random.Random(3)
    most = region_limit(config) // (1 + wide) // (1 + image)
    options = {"output_tiles": 1, "wide": wide, "image": image, "passes": 1 + image}
    fits = [weight_layer(config, rng, weight_beats=most, **options), plain_layer(rng, Opcode.END)]
    bench = Bench(config)
    bench.run(fits)
    bench.assert_complete(fits)
    for beats in (most + 1, (1 << 20) - 1, 0):
        layer = Layer({"opcode": Opcode.WEIGHTS, "tiles": 1, "weight_beats": beats} | options)
        bench = run_bad(assemble(config, [layer]), [layer], config)
        assert (bench.errors, bench.descriptors) == ([ErrorCause.PROGRAM_TOO_LARGE], [])


def test_size_matters_in_layers_with_weights_only():
    layers = [Layer({"opcode": Opcode.LOAD, "weight_beats": (1 << 20) - 1}), Layer({"opcode": Opcode.END})]
    bench = Bench(TINY)
    bench.run(layers)
    bench.assert_complete(layers)


@pytest.mark.parametrize("seed", range(8))
def test_program_too_short(seed):
    rng = random.Random(seed)
    layers = random_layers(TINY, rng, 4, most=30)
    stream = assemble(TINY, layers)
    cut = rng.choice([0, 1, 8, len(stream) - 1, rng.randrange(len(stream)), rng.randrange(len(stream))])
    bench = run_bad(stream, layers, length=cut)
    assert bench.errors == [ErrorCause.PROGRAM_LENGTH]


def test_nothing_is_requested_behind_the_end():
    rng = random.Random(1)
    layers = random_layers(TINY, rng, 2, most=8)
    bench = Bench(TINY, latency=200)

    async def process(ctx: Any) -> None:
        await bench.job(ctx, layers, length=1 << 20, limit=300)
        # One that was on offer in that moment is the last.
        requests = len(bench.memory.requests)
        await ctx.tick().repeat(2000)
        assert len(bench.memory.requests) <= requests + 1

    simulate(bench.dut, process, bench.memory.process)
    bench.assert_complete(layers)
    assert bench.memory.requests[0] == (ADDRESS, FETCH_BURST)


@pytest.mark.parametrize("with_stop", [False, True])
@pytest.mark.parametrize("seed", range(4))
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
            bench.stream = assemble(config, layers)
            ctx.set(bench.dut.address, ADDRESS)
            ctx.set(bench.dut.length, len(bench.stream) + rng.randint(0, 1000))
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
