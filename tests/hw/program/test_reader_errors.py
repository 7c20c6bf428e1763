"""What is no program stops with its cause, and the next one is read as if nothing had been."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hw.config import HardwareConfig
from hw.descriptor import DESCRIPTOR_BITS, Opcode, encode
from hw.host.registers import ErrorCause
from hw.named_configs import LARGE, TINY
from hw.program.header import encode_header
from hw.program.ring import region_limit
from tests.hw.benches import simulate
from tests.hw.program.reader_bench import SMALL, Bench
from tests.hw.programs import (
    Layer,
    assemble,
    descriptor_beats,
    enclosed,
    plain_layer,
    random_layers,
    sealed,
    weight_layer,
)


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
    program = [encode_header((cut + 1) * TINY.memory_bits // 8), *stream]
    bench = run_bad(stream, layers, program=program, length=rng.choice([cut + 1, 0]) if cut == 0 else cut + 1)
    assert bench.errors == [ErrorCause.PROGRAM_LENGTH]


@pytest.mark.parametrize("config", [TINY, LARGE], ids=lambda config: config.name)
@pytest.mark.parametrize("bit", [0, 23, 24, 31, 32, 36, 40, 63])
def test_a_header_with_a_wrong_bit_stops_the_program_before_its_first_descriptor(config, bit):
    layers = random_layers(config, random.Random(bit), 3, most=20)
    program = enclosed(config, assemble(config, layers))
    bench = run_bad([], layers, config, program=sealed(config, [program[0] ^ 1 << bit, *program[1:]]))
    assert (bench.errors, bench.descriptors) == ([ErrorCause.PROGRAM_HEADER], [])


@pytest.mark.parametrize("difference", [-1, 1, 1 << 20])
def test_a_length_that_is_not_the_headers_stops_the_program(difference):
    layers = random_layers(TINY, random.Random(1), 3, most=20)
    program = enclosed(TINY, assemble(TINY, layers))
    bench = run_bad([], layers, program=program, length=len(program) + difference)
    assert (bench.errors, bench.descriptors) == ([ErrorCause.PROGRAM_HEADER], [])
