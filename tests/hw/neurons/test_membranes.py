"""Membranes come back unchanged, or as zero, at the stated latency."""

from __future__ import annotations

import dataclasses
import random

import pytest

from hw.named_configs import BASE, TINY
from hw.neurons.lif import Lif
from hw.neurons.membranes import Membranes, carry_cycles, membrane_words
from tests.hw.benches import simulate

CHUNKED = dataclasses.replace(TINY, time_chunks=4)


@pytest.mark.parametrize("config", [CHUNKED, dataclasses.replace(BASE, time_chunks=2)])
def test_reads_what_was_written(config):
    dut, rng = Membranes(config), random.Random(1)
    words, bits = membrane_words(config), config.neurons * config.positions * config.carried_bits
    kept = [0] * words
    expected: list[int] = []

    async def bench(ctx):
        for _ in range(300):
            index, fresh = rng.randrange(words), rng.random() < 0.2
            write, at, value = rng.random() < 0.5, rng.randrange(words), rng.getrandbits(bits)
            ctx.set(dut.read_index, index)
            ctx.set(dut.fresh, fresh)
            ctx.set(dut.write, write)
            ctx.set(dut.write_index, at)
            ctx.set(dut.membranes, value)
            # What is written in this cycle can be read from the next one on.
            expected.append(0 if fresh else kept[index])
            if write:
                kept[at] = value
            await ctx.tick()
            if len(expected) >= dut.latency:
                assert ctx.get(dut.carried) == expected[-dut.latency]

    simulate(dut, bench)


def test_a_membrane_is_back_after_the_neuron_and_both_ends_of_the_memory():
    neuron = Lif(CHUNKED.timesteps, CHUNKED.sum_bits, CHUNKED.bias_fraction_bits)
    assert carry_cycles(CHUNKED) == Membranes(CHUNKED).latency + neuron.latency + 1
