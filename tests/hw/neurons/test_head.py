"""The classification head against integer sums: logits in order, the first largest one wins."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from hw.config import HardwareConfig
from hw.descriptor import Destination
from hw.named_configs import TINY
from hw.neurons.head import Head
from tests.hw.batches import layer_batches
from tests.hw.benches import simulate, tile_fields

NEVER = -(1 << 31)

Sums = list[list[list[list[int]]]]
"""``[tiles][groups][channels][lanes]``."""


def layer(config: HardwareConfig, classes: int, *, positions: int, tile_groups: int, wide: int = 0) -> dict[str, Any]:
    pieces = -(-classes // config.piece)
    output_tiles = -(-pieces // config.tile_pieces)
    return {
        "destination": Destination.LOGITS,
        "output_tiles": output_tiles,
        "timesteps": config.timesteps,
        "wide": wide,
        "tile_pieces": config.tile_pieces,
        "last_tile_pieces": pieces - (output_tiles - 1) * config.tile_pieces,
        **tile_fields(config, positions, tile_groups),
    }


def random_sums(config: HardwareConfig, fields: dict[str, Any], classes: int, rng: random.Random, top: int) -> Sums:
    """Sums of every class; those of padding channels are zero, like their weights."""
    channels = fields["output_tiles"] * config.outputs
    return [
        [
            [[rng.randint(-top, top) if c < classes else 0 for _ in range(config.lanes)] for c in range(channels)]
            for _ in range(fields["tile_groups"])
        ]
        for _ in range(fields["tiles"])
    ]


def run_head(
    config: HardwareConfig, layers: list[tuple[dict[str, Any], Sums, list[int]]], *, deaf: bool = False
) -> tuple[list[list[tuple[int, int]]], list[int], list[list[int]], list[int]]:
    """Heads one after the other: their valid logits, predictions, the logits read by the host, latencies."""
    dut = Head(config)
    seen: list[list[tuple[int, int]]] = []
    predictions, reads = [], []
    last_groups: list[int] = []
    first_logits: list[int] = []

    async def bench(ctx: Any) -> None:
        cycle = 0

        async def tick() -> None:
            nonlocal cycle
            _, _, valid, index, logit = await ctx.tick().sample(dut.valid, dut.index, dut.logit)
            if valid:
                if index % config.neurons == 0:
                    first_logits.append(cycle)
                seen[-1].append((index, logit))
            cycle += 1

        for fields, sums, biases in layers:
            seen.append([])
            start = cycle
            for at, batch in layer_batches(config, fields):
                while cycle < start + at:
                    ctx.set(dut.batch, {})
                    await tick()
                ctx.set(dut.batch, batch.members)
                for neuron in range(config.neurons):
                    channel = batch.first_channel + neuron
                    ctx.set(dut.biases[neuron], biases[channel])
                    for lane in range(config.lanes):
                        value = sums[batch.tile][batch.group][channel][lane]
                        ctx.set(dut.sums[neuron * config.lanes + lane], value)
                kept = not deaf and batch.first_channel < config.max_classes
                if kept and batch.members["last"] and batch.tile == fields["tiles"] - 1:
                    last_groups.append(cycle)
                await tick()
            ctx.set(dut.batch, {})
            for _ in range(dut.latency + config.neurons + 1):
                await tick()
            predictions.append(ctx.get(dut.prediction))
            reads.append([])
            for index in range(config.max_classes):
                ctx.set(dut.host_index, index)
                await ctx.tick()
                reads[-1].append(ctx.get(dut.host_logit))

    simulate(dut, bench)
    return seen, predictions, reads, [a - b for a, b in zip(first_logits, last_groups, strict=True)]


def logits_of(config: HardwareConfig, fields: dict[str, Any], sums: Sums, biases: list[int]) -> list[int]:
    """Every channel's logit, padding included."""
    totals = [0] * len(biases)
    for _, batch in layer_batches(config, fields):
        for neuron in range(config.neurons):
            channel = batch.first_channel + neuron
            totals[channel] += sum(sums[batch.tile][batch.group][channel])
    return [(total << config.bias_fraction_bits) + bias for total, bias in zip(totals, biases, strict=True)]


def written(config: HardwareConfig, fields: dict[str, Any]) -> int:
    """Channels whose logits are kept."""
    pieces = (fields["output_tiles"] - 1) * fields["tile_pieces"] + fields["last_tile_pieces"]
    return min(config.max_classes, pieces * config.piece)


def padded(fields: dict[str, Any], config: HardwareConfig, biases: list[int]) -> list[int]:
    return biases + [NEVER] * (fields["output_tiles"] * config.outputs - len(biases))


CASES = {
    "one_tile": (TINY, 10, {"positions": 7, "tile_groups": 4}),
    "many_tiles": (TINY, 7, {"positions": 25, "tile_groups": 4}),
    "more_channels_than_classes": (dataclasses.replace(TINY, max_classes=10), 10, {"positions": 6, "tile_groups": 2}),
    "one_group": (dataclasses.replace(TINY, neurons=1), 3, {"positions": 2, "tile_groups": 1}),
    "wide": (dataclasses.replace(TINY, weight_bits=8), 10, {"positions": 9, "tile_groups": 4, "wide": 1}),
    "pieces": (dataclasses.replace(TINY, inputs=16), 20, {"positions": 7, "tile_groups": 1}),
    "four_neurons": (dataclasses.replace(TINY, neurons=4, positions=1), 10, {"positions": 2, "tile_groups": 1}),
    "one_lane": (dataclasses.replace(TINY, positions=1, timesteps=1), 9, {"positions": 5, "tile_groups": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_logits_and_prediction(name):
    config, classes, shape = CASES[name]
    rng = random.Random(2)
    fields = layer(config, classes, **shape)
    layers, expected = [], []
    for top in (3, 500):
        sums = random_sums(config, fields, classes, rng, top)
        biases = padded(fields, config, [rng.randint(-1000, 1000) for _ in range(classes)])
        layers.append((fields, sums, biases))
        expected.append(logits_of(config, fields, sums, biases)[: written(config, fields)])
    seen, predictions, reads, latencies = run_head(config, layers)
    assert seen == [list(enumerate(logits)) for logits in expected]
    assert predictions == [logits.index(max(logits)) for logits in expected]
    assert [read[: len(logits)] for read, logits in zip(reads, expected, strict=True)] == expected
    assert set(latencies) == {Head(config).latency}


@pytest.mark.parametrize(
    ("biases", "prediction"),
    [
        ([5, 5, 5], 0),
        ([-7, -3, -3], 1),
        ([-9, -8, -7], 2),
        ([NEVER, NEVER, NEVER + 1], 2),
        ([NEVER + 1] * 3, 0),
        ([0, 2**31 - 1, 2**31 - 1], 1),
    ],
)
def test_first_largest_logit_wins(biases, prediction):
    """Ties, negative logits only, and padding classes that must never win; a second job forgets the first."""
    fields = layer(TINY, len(biases), positions=4, tile_groups=2)
    sums = random_sums(TINY, fields, 0, random.Random(0), 0)
    _, predictions, _, _ = run_head(
        TINY, [(fields, sums, padded(fields, TINY, [0, 0, 100])), (fields, sums, padded(fields, TINY, biases))]
    )
    assert predictions == [2, prediction]


def test_is_deaf_in_other_layers():
    fields = {**layer(TINY, 4, positions=4, tile_groups=2), "destination": Destination.KEYS}
    sums = random_sums(TINY, fields, 4, random.Random(1), 50)
    layers = [(fields, sums, padded(fields, TINY, [9] * 4))]
    seen, predictions, reads, latencies = run_head(TINY, layers, deaf=True)
    assert (seen, predictions, latencies) == ([[]], [0], [])
    assert reads == [[0] * TINY.max_classes]


def test_largest_sums_do_not_wrap():
    """Every lane at the accumulator's limit over as many tokens as 32-bit logits hold."""
    config = dataclasses.replace(TINY, accumulator_bits=18, timesteps=8)
    fields = layer(config, 2, positions=128, tile_groups=16)
    limit = (1 << config.accumulator_bits - 1) - 1
    sums = random_sums(config, fields, 0, random.Random(0), 0)
    for tile in sums:
        for group in tile:
            group[0], group[1] = [limit] * config.lanes, [-limit] * config.lanes
    biases = padded(fields, config, [-5, 5])
    expected = logits_of(config, fields, sums, biases)
    assert max(expected).bit_length() in (29, 30, 31)
    seen, predictions, _, _ = run_head(config, [(fields, sums, biases)])
    assert seen == [list(enumerate(expected[: written(config, fields)]))]
    assert predictions == [0]
