"""The attention engine against numpy, spike for spike, and its cycle model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hw.attention.geometry import AttentionGeometry
from hw.named_configs import BASE, LARGE, TINY
from tests.hw.attention.attention_bench import (
    CHUNKED,
    CHUNKED_ONE_STEP,
    FOUR_STEPS,
    FOUR_TABLES,
    IF_CHUNKED,
    IF_FOUR_STEPS,
    IF_PAIRS,
    ONE_STEP,
    PAIRS,
    SMALL,
    WHOLE_SLICE,
    AttentionBench,
    Job,
    attention_spikes,
    check,
    random_job,
    time_chunks,
)


@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize(
    ("config", "tokens", "channels"),
    [
        (SMALL, 16, 8),        # channels of one step: the shortest token
        (SMALL, 5, 16),        # tokens fill no chunk
        (SMALL, 49, 8),        # several chunks, the last one partly filled
        (SMALL, 7, 4),         # channels of half a step
        (SMALL, 20, 12),       # the last step is half full
        (SMALL, 1, 16),        # one token: sets wait for tables
        (PAIRS, 33, 8),        # two positions, the last group half full
        (PAIRS, 6, 16),
        (FOUR_STEPS, 18, 8),   # one column: rows wait for the table
        (FOUR_STEPS, 2, 16),
        (ONE_STEP, 9, 16),
        (WHOLE_SLICE, 9, 32),  # a set is a slice: nothing waits for other sets
        (WHOLE_SLICE, 16, 4),
        (WHOLE_SLICE, 16, 20),
        (FOUR_TABLES, 16, 32),  # half as many steps
        (FOUR_TABLES, 9, 20),
    ],
)  # fmt: skip
def test_random_spikes(config, tokens, channels, stall):
    check(config, [random_job(config.timesteps, tokens, channels, seed=tokens)], stall)


@pytest.mark.parametrize(
    ("config", "timesteps", "tokens", "channels"),
    [
        (CHUNKED, 10, 12, 16),  # all chunks full, several position tiles
        (CHUNKED, 5, 11, 8),  # the last chunk half full, the last group too
        (CHUNKED, 2, 33, 8),  # a single chunk, with room for more
        (CHUNKED_ONE_STEP, 3, 9, 16),  # a lane hands on to itself
    ],
)
def test_time_chunks_carry_the_membranes(config, timesteps, tokens, channels):
    """Twice, so that nothing of a job's last chunk reaches the next job's first."""
    jobs = [random_job(timesteps, tokens, channels, seed=tokens + n, buffer=n, density=0.5) for n in range(2)]
    bench = check(config, jobs, stall=0.3)
    rounds = time_chunks(config, timesteps)
    if rounds > 1:
        # Membranes that are forgotten between chunks would show.
        part = dataclasses.replace(jobs[0], **{name: getattr(jobs[0], name)[config.timesteps :] for name in "qkv"})
        part.threshold >>= config.timesteps
        assert (attention_spikes(part) != attention_spikes(jobs[0])[config.timesteps :]).any()
    assert bench.cycles[0] % rounds == 0


@pytest.mark.parametrize(
    ("config", "timesteps", "tokens", "channels"),
    [(IF_PAIRS, 2, 9, 8), (IF_FOUR_STEPS, 3, 6, 8), (IF_CHUNKED, 5, 7, 8)],
)
def test_jobs_with_and_without_leak_follow_one_another(config, timesteps, tokens, channels):
    jobs = [
        random_job(timesteps, tokens, channels, seed=tokens + n, buffer=n % 2, density=0.5, no_leak=no_leak)
        for n, no_leak in enumerate((False, True, False))
    ]
    check(config, jobs, stall=0.3)
    for job in jobs:
        other = dataclasses.replace(job, no_leak=not job.no_leak)
        assert (attention_spikes(other) != attention_spikes(job)).any()


@pytest.mark.parametrize("threshold", ["reached", "never"])
def test_widest_membranes_without_leak(threshold):
    """All ones in every step: two of the largest sums, more than which the accumulator does not hold."""
    config = dataclasses.replace(IF_FOUR_STEPS, timesteps=2, attention_planes=5, head_channels=16)
    ones = np.ones((2, 31, config.head_channels), bool)
    most = 31 * config.head_channels
    job = Job(ones, ones, ones, threshold={"reached": 2 * most, "never": 2 * most + 1}[threshold], no_leak=True)
    spikes = attention_spikes(job)
    assert not spikes[0].any() and spikes[1].all() == (threshold == "reached")
    check(config, [job])


@pytest.mark.parametrize(
    ("config", "tokens", "channels"),
    [
        (TINY, 10, 32), (TINY, 50, 16), (BASE, 49, 16), (LARGE, 70, 32),
        pytest.param(LARGE, 10, 64, marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_named_configurations(config, tokens, channels):
    """The one after the other from alternating buffers, tokens of the second written while the first one runs."""
    jobs = [random_job(config.timesteps, tokens, channels, seed=seed, buffer=seed) for seed in range(2)]
    check(config, jobs, stall=0.3)


@pytest.mark.parametrize("config", [PAIRS, FOUR_STEPS])
def test_jobs_follow_one_another_in_any_shape(config):
    shapes = [(20, 16, 0), (6, 4, 1), (3, 8, 0), (17, 16, 0), (1, 12, 1), (32, 16, 0), (32, 16, 1)]
    jobs = [random_job(config.timesteps, *shape[:2], seed=seed, buffer=shape[2]) for seed, shape in enumerate(shapes)]
    check(config, jobs, stall=0.3)


def test_starts_again_in_the_cycle_of_done_with_the_same_keys_and_values():
    job = random_job(SMALL.timesteps, 11, 8, seed=4, buffer=1)
    other = dataclasses.replace(job, q=~job.q)
    bench, outputs = AttentionBench(SMALL), []

    async def process(ctx):
        await bench.write_tokens(ctx, job)
        outputs.append(await bench.run_job(ctx, job))
        outputs.append(await bench.run_job(ctx, other))

    bench.simulate(process)
    for one, output in zip((job, other), outputs, strict=True):
        np.testing.assert_array_equal(output, attention_spikes(one))
    assert bench.cycles[0] == bench.cycles[1]


@pytest.mark.parametrize("short", [0, 1])
def test_largest_sums_tie_with_the_threshold(short):
    """All ones, as many tokens as the planes hold: the first step's sum is the threshold, or one less."""
    config = dataclasses.replace(SMALL, attention_planes=6)
    tokens, channels = 63, config.head_channels
    ones = np.ones((config.timesteps, tokens, channels), bool)
    job = Job(ones, ones, ones, threshold=2 ** (config.timesteps - 1) * tokens * channels + short)
    spikes = attention_spikes(job)
    assert spikes[0].all() != short and spikes[1].all()
    check(config, [job])


@pytest.mark.parametrize("threshold", ["least", "most"])
def test_extreme_thresholds(threshold):
    """Every neuron always fires, or never: the membrane's range."""
    config = dataclasses.replace(FOUR_STEPS, attention_planes=5)
    ones = np.ones((config.timesteps, 31, config.head_channels), bool)
    most = (1 << AttentionGeometry(config).threshold_bits) - 1
    job = Job(ones, ones, ones, threshold={"least": 0, "most": most}[threshold])
    assert attention_spikes(job).all() == attention_spikes(job).any() == (threshold == "least")
    check(config, [job])


@pytest.mark.parametrize("threshold", [4, 7, 8, 16, 24])
def test_small_thresholds_tie_often(threshold):
    """A few spikes only, so that sums are near the threshold."""
    job = dataclasses.replace(random_job(SMALL.timesteps, 9, 8, seed=threshold), threshold=threshold)
    first = job.q[0].astype(int) @ (job.k[0].swapaxes(-1, -2).astype(int) @ job.v[0])
    assert (first * 2 ** (SMALL.timesteps - 1) == threshold).any() or threshold % 2
    check(SMALL, [job])
