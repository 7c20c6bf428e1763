"""The pipeline of a neuron, with and without leak, against integers: exact spikes, ties, worst-case currents."""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

import pytest
from amaranth.hdl import Const

from hw.neurons.lif import Lif
from tests.hw.pipelines import run_pipeline


def lif_spikes(currents: list[int], threshold: int) -> int:
    """Spikes as the hardware packs them, from the recurrence in its integer form."""
    membrane, spikes = 0, 0
    for t, current in enumerate(currents, start=1):
        membrane += 2 ** (t - 1) * current
        if membrane * 2 ** (len(currents) - t) >= threshold:
            spikes |= 1 << (t - 1)
            membrane = 0
    return spikes


def if_spikes(currents: list[int], theta: int) -> int:
    """Spikes of a neuron without leak, from its currents and its threshold in their unit."""
    membrane, spikes = 0, 0
    for t, current in enumerate(currents):
        membrane += current
        if membrane >= theta:
            spikes |= 1 << t
            membrane = 0
    return spikes


def halving_spikes(currents: list[int], theta: Fraction) -> int:
    """Spikes from the network's own neuron, ``h = v + (c - v) / 2``, in exact fractions."""
    membrane, spikes = Fraction(0), 0
    for t, current in enumerate(currents):
        membrane += (current - membrane) / 2
        if membrane >= theta:
            spikes |= 1 << t
            membrane = Fraction(0)
    return spikes


Set = tuple[list[int], int, int]
"""Sums, bias and threshold."""


def currents_of(one: Set, fraction_bits: int) -> list[int]:
    sums, bias, _ = one
    return [(total << fraction_bits) + bias for total in sums]


def run_lif(sum_bits: int, fraction_bits: int, sets: list[Set]) -> list[int]:
    dut = Lif(len(sets[0][0]), sum_bits, fraction_bits)
    members = [dict(zip(("sums", "bias", "threshold"), one, strict=True)) for one in sets]
    return run_pipeline(dut, members, lambda ctx: ctx.get(dut.spikes))


@pytest.mark.parametrize(
    ("timesteps", "sum_bits", "fraction_bits"), [(1, 4, 0), (2, 3, 1), (4, 5, 2), (4, 18, 4), (8, 5, 0)]
)
def test_spikes_match_the_recurrence(timesteps, sum_bits, fraction_bits):
    rng = random.Random(timesteps * 100 + sum_bits)
    low, high = -(1 << sum_bits - 1), (1 << sum_bits - 1) - 1
    limit = 1 << sum_bits + fraction_bits + timesteps
    sets = []
    for _ in range(300):
        span = rng.choice([1, 4, high])
        sums = [max(low, min(high, rng.randint(-span, span))) for _ in range(timesteps)]
        scale = span << fraction_bits
        bias = max(low << fraction_bits, min((high + 1 << fraction_bits) - 1, rng.randint(-scale, scale)))
        threshold = rng.choice([rng.randint(-limit, limit - 1), rng.randint(-8 * scale, 8 * scale), 0])
        sets.append((sums, bias, max(-limit, min(limit - 1, threshold))))
    expected = [lif_spikes(currents_of(one, fraction_bits), one[2]) for one in sets]
    assert run_lif(sum_bits, fraction_bits, sets) == expected


@pytest.mark.parametrize(("timesteps", "chunks"), [(1, 3), (2, 4), (4, 2), (4, 4)])
def test_time_chunks_that_carry_the_membrane_are_one_long_run(timesteps, chunks):
    """Chunk after chunk through the pipeline, all runs at a time: spikes of the recurrence over all steps."""
    rng = random.Random(timesteps * 10 + chunks)
    bits, total = 7, timesteps * chunks
    dut = Lif(timesteps, bits, 0, carried_fraction_bits=total - timesteps)
    runs = []
    for _ in range(200):
        span = rng.choice([1, 8, 63])
        runs.append(([rng.randint(-span, span) for _ in range(total)], rng.randint(1, span << total)))
    runs += [([-64] * total, 1), ([63] * total, (63 << total) - 63), ([63] * total, (64 << total) - 1)]
    carried, spikes = [0] * len(runs), [0] * len(runs)
    for chunk in range(chunks):
        steps = slice(chunk * timesteps, (chunk + 1) * timesteps)
        members = [
            {"sums": currents[steps], "bias": 0, "threshold": threshold, "carried": membrane}
            for (currents, threshold), membrane in zip(runs, carried, strict=True)
        ]
        seen = run_pipeline(dut, members, lambda ctx: (ctx.get(dut.spikes), ctx.get(dut.membrane)))
        carried = [membrane for _, membrane in seen]
        spikes = [all_ | now << steps.start for all_, (now, _) in zip(spikes, seen, strict=True)]
    assert spikes == [lif_spikes(*one) for one in runs]
    # What is carried matters: chunks that start from zero would fire otherwise.
    alone = [lif_spikes(currents[-timesteps:], threshold >> total - timesteps) for currents, threshold in runs]
    assert any(one >> total - timesteps != other for one, other in zip(spikes, alone, strict=True))


@dataclass(frozen=True)
class Shape:
    """Of a neuron of time chunks."""

    timesteps: int
    chunks: int
    sum_bits: int
    fraction_bits: int

    @property
    def steps(self) -> int:
        return self.timesteps * self.chunks

    @property
    def current_bits(self) -> int:
        return self.sum_bits + self.fraction_bits + 1

    def neuron(self) -> Lif:
        carried = self.steps - self.timesteps
        return Lif(self.timesteps, self.sum_bits, self.fraction_bits, carried_fraction_bits=carried, if_neurons=True)


@dataclass
class Run:
    """A neuron over all time steps, with its threshold as the machine holds it."""

    leaky: bool
    bias: int
    threshold: int
    sums: list[int]
    spikes: int
    widest: int = 0
    """Without leak the membrane farthest from zero, before a reset; of -1 - V where it is negative."""


def random_run(rng: random.Random, shape: Shape) -> Run:
    """Any currents and any threshold; without leak those that keep the membrane within the adder, often at its end."""
    fraction, half, end = shape.fraction_bits, 1 << shape.current_bits - 2, 1 << shape.current_bits
    bias = rng.choice([rng.randint(-half, half - 1), 0, half - 1, -half])
    low, high = -(half >> fraction), (half >> fraction) - 1
    sums = [rng.choice([rng.randint(low, high), low, high]) for _ in range(shape.steps)]
    if rng.random() < 0.3:
        threshold = rng.randint(1, (half << shape.steps + 1) - 1)
        spikes = lif_spikes([(total << fraction) + bias for total in sums], threshold)
        return Run(True, bias, threshold, sums, spikes)
    theta = rng.choice([1, rng.randint(1, end - 1), end - 2, end - 1, end, 5 * end])
    membrane, widest = 0, 0
    for t, total in enumerate(sums):
        least, most = -((end + membrane + bias) >> fraction), (end - 1 - membrane - bias) >> fraction
        sums[t] = max(least, min(total, most))
        if not low <= sums[t] <= high:
            return random_run(rng, shape)
        membrane += (sums[t] << fraction) + bias
        assert -end <= membrane < end
        widest = max(widest, membrane, -1 - membrane)
        membrane = 0 if membrane >= theta else membrane
    spikes = if_spikes([(total << fraction) + bias for total in sums], theta)
    # The largest number stands for thresholds that no membrane reaches.
    stored = min(theta << shape.steps - 1, (1 << shape.current_bits + shape.steps - 1) - 1)
    return Run(False, bias, stored, sums, spikes, widest)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(1, 1, 4, 0), Shape(2, 1, 3, 1), Shape(4, 1, 5, 2), Shape(8, 1, 4, 0),
        Shape(1, 3, 4, 0), Shape(2, 2, 4, 1), Shape(4, 4, 5, 0),
    ],
)  # fmt: skip
def test_sets_with_and_without_leak_follow_each_other(shape):
    """Each says for itself; without leak up to the widest membranes that there may be, over all time chunks."""
    rng = random.Random(repr(shape))
    runs = [random_run(rng, shape) for _ in range(400)]
    carried, spikes = [0] * len(runs), [0] * len(runs)
    for first in range(0, shape.steps, shape.timesteps):
        dut = shape.neuron()
        members = [
            {
                "sums": run.sums[first : first + shape.timesteps], "bias": run.bias, "threshold": run.threshold,
                "no_leak": not run.leaky, **({"carried": membrane} if shape.chunks > 1 else {}),
            }
            for run, membrane in zip(runs, carried, strict=True)
        ]  # fmt: skip
        outputs = (dut.spikes, dut.membrane) if shape.chunks > 1 else (dut.spikes, Const(0))
        seen = run_pipeline(dut, members, lambda ctx, outputs=outputs: [ctx.get(one) for one in outputs])
        carried = [membrane for _, membrane in seen]
        spikes = [all_ | now << first for all_, (now, _) in zip(spikes, seen, strict=True)]
    assert spikes == [run.spikes for run in runs]
    assert shape.steps < 4 or max(run.widest for run in runs) >> shape.fraction_bits == (
        (1 << shape.current_bits) - 1 >> shape.fraction_bits
    )


def test_the_largest_membrane_without_leak_reaches_its_own_threshold_only():
    """Membranes 11, 21, 31, 31 of 6 signed bits, all odd; the largest stored number stands for 32 and more."""
    dut = Lif(4, 4, 0, if_neurons=True)
    sets = [
        {"sums": [4, 3, 3, -7], "bias": 7, "threshold": threshold, "no_leak": 1}
        for threshold in (30 << 3, 31 << 3, 255)
    ]
    assert run_pipeline(dut, sets, lambda ctx: ctx.get(dut.spikes)) == [0b0100, 0b0100, 0]


@pytest.mark.parametrize("timesteps", [1, 2, 4])
def test_extreme_currents_and_thresholds(timesteps):
    sum_bits, fraction_bits = 4, 1
    low, high, limit = -8, 7, 1 << sum_bits + fraction_bits + timesteps
    sets = [
        ([total] * timesteps, bias, threshold)
        for total, bias in ((low, -16), (high, 15), (low, 15))
        for threshold in (-limit, -limit + 1, -1, 0, 1, limit - 2, limit - 1)
    ]
    expected = [lif_spikes(currents_of(one, fraction_bits), one[2]) for one in sets]
    assert run_lif(sum_bits, fraction_bits, sets) == expected


def test_tie_fires_and_one_below_does_not():
    timesteps = 4
    sets = []
    for step in range(timesteps):
        for short in (0, 1):
            sums = [0] * timesteps
            sums[step] = 16 - short
            sets.append((sums, 0, 16 << timesteps - 1))
    assert run_lif(8, 0, sets) == [spikes for step in range(timesteps) for spikes in (1 << step, 0)]


def test_is_the_neuron_of_the_network():
    rng = random.Random(5)
    timesteps, theta = 4, Fraction(5, 2)
    threshold = int(theta * 2**timesteps)
    sets = [([rng.randint(-4, 7) for _ in range(timesteps)], rng.randint(0, 2), threshold) for _ in range(200)]
    assert run_lif(6, 0, sets) == [halving_spikes(currents_of(one, 0), theta) for one in sets]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((0, 8, 4), "timesteps must be at least 1, not 0"),
        ((4, 1, 4), "sum_bits must be at least 2, not 1"),
        ((4, 8, -1), "fraction_bits must be at least 0, not -1"),
    ],
)
def test_wrong_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        Lif(*parameters)
