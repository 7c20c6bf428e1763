"""Which layer's counts a cycle goes to, against the counters of the hardware."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter as Bag
from typing import Any

import pytest

from golden.cycles.cycle_model import FILED
from golden.cycles.filing import counted_elsewhere, counted_layers
from hw.counters import FILING_CYCLES, Counters
from hw.host.registers import COUNTER_SLOTS, Counter
from hw.named_configs import TINY
from tests.hw.benches import simulate

LAYERS = 9
PARTS = ("layer", "neuron_layer", "attention_layer")


def random_labels(rng: random.Random, layers: list[int], cycles: int, longest: int) -> list[tuple[int, int]]:
    """Layers of a part, some of them for a few cycles only."""
    labels, cycle = [(0, layers[0])], 0
    while (cycle := cycle + rng.randint(1, longest)) < cycles:
        labels.append((cycle, rng.choice(layers)))
    return labels


def test_layers_that_stay_are_counted_for_themselves():
    parts = [[(1, 0), (100, 3), (140, 2)], [(1, 0), (90, 3)], [(1, 0)]]
    assert counted_layers(parts, FILED) == parts


def test_a_layer_that_is_through_too_soon_is_counted_for_the_one_before():
    walked = [(1, 0), (100, 1), (105, 2), (109, 3), (200, 4)]
    # Seven counts, one every second cycle, the first one in the cycle behind the change.
    assert counted_layers([walked], [7]) == [[(1, 0), (100, 1), (114, 3), (200, 4)]]


def test_cycles_that_are_counted_for_other_layers_are_told():
    walked = [(1, 0), (100, 1), (105, 2), (109, 3), (200, 4)]
    assert counted_elsewhere(walked, counted_layers([walked], [7])[0]) == {(2, 1), (3, 1)}
    assert counted_elsewhere(walked, walked) == set()


@pytest.mark.parametrize("longest", [6, 20, 60])
@pytest.mark.parametrize("seed", range(3))
def test_every_count_is_that_of_the_hardware(seed, longest):
    rng, cycles = random.Random(f"{seed} {longest}"), 600
    # No layer has work or spikes of two parts.
    chosen = ([0, 1, 2, 3, 4], [5, 6], [7, 8])
    labels = [random_labels(rng, layers, cycles, longest) for layers in chosen]
    dut = Counters(dataclasses.replace(TINY, max_layers=LAYERS))
    words: Bag[tuple[int, Counter]] = Bag()

    async def bench(ctx: Any) -> None:
        for name in ("busy", "working", "attention_working", "neuron_spikes", "attention_spikes"):
            ctx.set(getattr(dut.events, name), 1)
        for name, part in zip(PARTS, labels, strict=True):
            ctx.set(getattr(dut.events, name), part[0][1])
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        for cycle in range(cycles):
            for name, part in zip(PARTS, labels, strict=True):
                ctx.set(getattr(dut.events, name), next(layer for first, layer in reversed(part) if first <= cycle))
            ctx.set(dut.finish, cycle == cycles - 1)
            await ctx.tick()
        for name in ("busy", "working", "attention_working", "neuron_spikes", "attention_spikes"):
            ctx.set(getattr(dut.events, name), 0)
        ctx.set(dut.finish, 0)
        await ctx.tick().repeat(FILING_CYCLES)
        for layer in range(LAYERS):
            for counter in Counter:
                ctx.set(dut.host_address, layer * COUNTER_SLOTS + counter)
                await ctx.tick().repeat(2)
                words[layer, counter] = ctx.get(dut.host_data)

    simulate(dut, bench)
    expected: Bag[tuple[int, Counter]] = Bag()
    counters = [(Counter.CYCLES, Counter.BUSY), (Counter.SPIKES,), (Counter.BUSY, Counter.SPIKES)]
    for counted, kinds in zip(counted_layers(labels, FILED), counters, strict=True):
        ends = [first for first, _ in counted[1:]] + [cycles]
        for (first, layer), end in zip(counted, ends, strict=True):
            for kind in kinds:
                expected[layer, kind] += max(0, min(end, cycles) - first)
    assert words == expected
