"""What the tests of the weight array share: small arrays, weight slices with their steps, and the sums of both."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass

from hw.array.step import DRAIN_BUFFERS
from hw.config import TABLE_INPUTS, WEIGHT_BITS, HardwareConfig
from hw.named_configs import TINY

CONFIGS = {
    "one_lane": dataclasses.replace(TINY, outputs=4, positions=1, timesteps=1),
    "padded_rows": dataclasses.replace(TINY, outputs=12, positions=1, timesteps=1),
    "one_table": dataclasses.replace(TINY, positions=1, timesteps=2),
    "two_tables": dataclasses.replace(TINY, inputs=8, timesteps=2, accumulator_bits=13),
    "four_tables": dataclasses.replace(
        TINY, outputs=4, inputs=16, positions=1, timesteps=2, memory_bits=128, weight_bits=8
    ),
    "eight_tables": dataclasses.replace(
        TINY, outputs=4, inputs=32, positions=1, timesteps=1, tile_groups=32, accumulator_bits=18
    ),
}

Weights = list[list[int]]
Sums = dict[int, list[list[int]]]
"""Sums ``[outputs][lanes]`` by group."""


@dataclass(frozen=True)
class Slice:
    """Weights ``[outputs][inputs]`` and the steps that use them, in order."""

    weights: Weights
    unsigned: int
    steps: list[dict[str, int]]


def pack(config: HardwareConfig, weights: Weights) -> list[int]:
    """Beats of a slice: the first weights of all tables, output-major, lowest bits first, then the second ones ..."""
    mask, bits = (1 << WEIGHT_BITS) - 1, 0
    place = config.slice_beats * config.memory_bits // TABLE_INPUTS
    for k in range(TABLE_INPUTS):
        for index, weight in enumerate(weight for row in weights for weight in row[k::TABLE_INPUTS]):
            bits |= (weight & mask) << k * place + index * WEIGHT_BITS
    beat = (1 << config.memory_bits) - 1
    return [bits >> config.memory_bits * i & beat for i in range(config.slice_beats)]


def random_weights(config: HardwareConfig, rng: random.Random, unsigned: int = 0) -> Weights:
    """Mostly any value, sometimes the same extreme in a whole row."""
    low, high = (0, 15) if unsigned else (-8, 7)
    rows = [[rng.randint(low, high) for _ in range(config.inputs)] for _ in range(config.outputs)]
    rows[rng.randrange(config.outputs)] = [low] * config.inputs
    rows[rng.randrange(config.outputs)] = [high] * config.inputs
    return rows


def random_slices(config: HardwareConfig, rng: random.Random, tiles: list[tuple[int, int]]) -> list[Slice]:
    """Tiles of (slices, groups) in drain buffers taken in turn, some of them unsigned, some slices doubled."""
    made = []
    for tile, (slices, groups) in enumerate(tiles):
        unsigned = rng.getrandbits(1)
        for number in range(slices):
            double = rng.random() < 0.4
            steps = [
                {
                    "group": group,
                    "buffer": tile % DRAIN_BUFFERS,
                    "first": int(number == 0),
                    "double": int(double),
                    "final": int(number == slices - 1),
                    "unsigned": unsigned,
                    "last_group": int(group == groups - 1),
                    "last_of_tile": int(group == groups - 1 and number == slices - 1),
                    "spikes": rng.choice([rng.getrandbits(config.group_bits), (1 << config.group_bits) - 1]),
                }
                for group in range(groups)
            ]
            made.append(Slice(random_weights(config, rng, unsigned), unsigned, steps))
    return made


def wrap(value: int, bits: int) -> int:
    return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def tiles_of_sums(config: HardwareConfig, slices: list[Slice]) -> list[Sums]:
    """Completed sums of every tile, in order of completion."""
    tiles: list[Sums] = []
    partial: Sums = {}
    final: Sums = {}
    for one in slices:
        for step in one.steps:
            old = partial.get(step["group"], [])
            rows = []
            for output in range(config.outputs):
                row = []
                for lane in range(config.lanes):
                    spikes = step["spikes"] >> lane * config.inputs
                    total = sum(weight for i, weight in enumerate(one.weights[output]) if spikes >> i & 1)
                    before = 0 if step["first"] else old[output][lane] << step["double"]
                    row.append(wrap(before + total, config.accumulator_bits))
                rows.append(row)
            (final if step["final"] else partial)[step["group"]] = rows
            if step["last_of_tile"]:
                tiles.append(final)
                final = {}
    return tiles
