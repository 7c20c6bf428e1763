"""The attention neuron against the integer neuron, token after token, with ties, extremes and membranes of any size."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass

import pytest

from hw.attention.geometry import AttentionGeometry
from hw.attention.neuron import AttentionNeuron
from hw.config import HardwareConfig
from hw.named_configs import TINY
from tests.hw.benches import simulate

FOUR_TABLES = dataclasses.replace(TINY, attention_tables=4, attention_columns=1)
CHUNKED = dataclasses.replace(TINY, timesteps=2, time_chunks=3)
ONE_STEP = dataclasses.replace(TINY, timesteps=1)
IF = dataclasses.replace(TINY, if_neurons=True)
IF_CHUNKED = dataclasses.replace(CHUNKED, if_neurons=True, attention_tables=4)


@dataclass
class Token:
    """The entries of its cycles, and the membrane that it meets."""

    entries: list[list[int]]
    membrane: int

    @property
    def total(self) -> int:
        return sum(map(sum, self.entries))


def random_tokens(config: HardwareConfig, step: int, leaky: bool, rng: random.Random) -> list[Token]:
    """Tokens of two cycles and more, among them the least and the most that a neuron can meet."""
    geometry = AttentionGeometry(config)
    most = (1 << config.attention_planes) - 1
    most_entry, most_sum = 4 * most, config.head_channels * most
    before = config.max_timesteps - config.timesteps + step
    # A membrane is the sum of what came before, halved with every step; without leak all that the accumulator has room
    # for, in units that are twice as large for the next step.
    unit, most_membrane = 1, ((1 << before) - 1) * most_sum
    if not leaky and before:
        unit = 1 << before - 1
        most_membrane = (2 << geometry.sum_bits) - 1 - most_sum

    def entries(cycles: int, largest: int) -> list[list[int]]:
        return [[rng.randint(0, largest) for _ in range(config.attention_tables)] for _ in range(cycles)]

    tokens = [
        Token(entries(rng.randint(2, geometry.steps), most_entry), rng.randint(0, most_membrane) * unit)
        for _ in range(40)
    ]
    full = [[most_entry] * config.attention_tables] * geometry.steps
    tokens += [Token(full, most_membrane * unit), Token(entries(2, 0), 0), Token(entries(2, 0), most_membrane * unit)]
    rng.shuffle(tokens)
    return tokens


@pytest.mark.parametrize("limit", ["least", "tie", "above_tie", "most"])
@pytest.mark.parametrize(
    ("config", "step", "leaky"),
    [
        (TINY, 0, True), (TINY, 1, True), (TINY, 3, True), (FOUR_TABLES, 2, True), (CHUNKED, 0, True),
        (CHUNKED, 1, True), (ONE_STEP, 0, True), (IF, 1, True), (IF_CHUNKED, 0, True),
        (IF, 0, False), (IF, 1, False), (IF, 3, False), (IF_CHUNKED, 0, False), (IF_CHUNKED, 1, False),
    ],
)  # fmt: skip
def test_fires_like_the_integer_neuron(config, step, leaky, limit):
    rng = random.Random(step)
    tokens = random_tokens(config, step, leaky, rng)
    below, low_bits = config.timesteps - 1 - step, config.max_timesteps - config.timesteps + step
    charged = [token.membrane * (1 if leaky else 2) + (token.total << low_bits) for token in tokens]
    tie = sorted(charged)[len(charged) // 2] << below
    most = (1 << AttentionGeometry(config).threshold_bits) - 1
    threshold = {"least": 0, "tie": tie, "above_tie": tie + 1, "most": most}[limit]
    expected = [
        (int(membrane << below >= threshold), 0 if membrane << below >= threshold else membrane) for membrane in charged
    ]
    assert limit in ("least", "most") or 0 < sum(spike for spike, _ in expected) < len(expected)
    dut = AttentionNeuron(config, step)
    seen: list[tuple[int, int]] = []
    """Spike and membrane of every cycle."""
    ends: list[int] = []
    """Cycles of the tokens' last entries."""

    async def bench(ctx):
        ctx.set(dut.threshold, threshold)
        if config.if_neurons:
            ctx.set(dut.no_leak, not leaky)
        for token in [*tokens, Token([[0] * config.attention_tables] * 4, 0)]:
            for cycle, entries in enumerate(token.entries):
                ctx.set(dut.entries, entries)
                ctx.set(dut.last, cycle == 0)
                # Any other time it is not looked at.
                ctx.set(dut.membrane, token.membrane if cycle == 0 else rng.getrandbits(len(dut.membrane)))
                seen.append((ctx.get(dut.spike), ctx.get(dut.left)))
                await ctx.tick()
            ends.append(len(seen) - 1)

    simulate(dut, bench)
    for token_end, next_end, result in zip(ends, ends[1:], expected, strict=False):
        assert set(seen[token_end + dut.latency : next_end + dut.latency]) == {result}
