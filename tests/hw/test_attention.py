"""The attention engine against numpy, spike for spike, and its cycle model."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.sim import Simulator
from collisions import guard_memories

from golden.attention_cycles import attention_cycles
from hw import attention_memory
from hw.attention import Attention
from hw.config import TINY, HardwareConfig

SMALL = dataclasses.replace(
    TINY, name="small", positions=1, tile_groups=16, timesteps=2, attention_columns=2, attention_segment=8,
    spike_words=1024, token_channels=32, token_chunks=4, head_channels=16,
)  # fmt: skip
PAIRS = dataclasses.replace(SMALL, name="pairs", positions=2, outputs=8, token_chunks=2)
FOUR_STEPS = dataclasses.replace(SMALL, name="four_steps", timesteps=4, attention_columns=1, attention_segment=4)
WIDE_SEGMENT = dataclasses.replace(
    SMALL, name="wide_segment", attention_columns=4, attention_segment=16, head_channels=32, token_chunks=1,
    attention_planes=5,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _guarded_memories(monkeypatch):
    guard_memories(monkeypatch, attention_memory)


@dataclass
class Job:
    """One layer's attention: spikes as [T, heads, N, d] and where they lie."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    threshold: int
    query_base: int = 5
    output_base: int = 400

    @property
    def tokens(self) -> int:
        return self.q.shape[2]


def random_job(timesteps: int, heads: int, tokens: int, channels: int, *, seed: int, density: float = 0.4) -> Job:
    rng = np.random.default_rng(seed)
    q, k, v = (rng.random((timesteps, heads, tokens, channels)) < density for _ in range(3))
    typical = int(density**3 * tokens * channels)
    return Job(q, k, v, threshold=2 ** (timesteps - 1) * max(1, typical))


def attention_spikes(job: Job) -> np.ndarray:
    """Spikes [T, heads, N, d] from the formula, in integers."""
    q, k, v = (spikes.astype(np.int64) for spikes in (job.q, job.k, job.v))
    sums = q @ (k.swapaxes(-1, -2) @ v)
    timesteps = len(sums)
    membrane, spikes = np.zeros_like(sums[0]), np.zeros_like(job.q)
    for t in range(timesteps):
        membrane += 2**t * sums[t]
        spikes[t] = membrane * 2 ** (timesteps - 1 - t) >= job.threshold
        membrane[spikes[t]] = 0
    return spikes


def pack(bits: np.ndarray) -> int:
    """Bits of an array as an integer, last axis fastest."""
    return int.from_bytes(np.packbits(bits.ravel(), bitorder="little").tobytes(), "little")


class AttentionBench:
    """A spike memory around the engine; runs jobs one after another."""

    def __init__(self, config: HardwareConfig):
        self.config, self.dut = config, Attention(config)
        self.memory: dict[int, np.ndarray] = {}
        self.cycles: list[int] = []
        self.writes = 0

    def group_words(self, config: HardwareConfig, spikes: np.ndarray) -> np.ndarray:
        """[T, heads, N, d] as [slices, groups, P, T, I]."""
        timesteps, heads, tokens, channels = spikes.shape
        padded = np.zeros((timesteps, heads * channels, -(-tokens // config.positions) * config.positions), bool)
        padded[:, :, :tokens] = spikes.transpose(0, 1, 3, 2).reshape(timesteps, heads * channels, tokens)
        words = padded.reshape(timesteps, heads * channels // config.inputs, config.inputs, -1, config.positions)
        return words.transpose(1, 3, 4, 0, 2)

    async def write_tokens(self, ctx, job: Job):
        config, write = self.config, self.dut.token_write
        timesteps, heads, tokens, channels = job.k.shape
        chunks = -(-tokens // config.chunk_tokens)
        stored = []
        for is_value, spikes in enumerate((job.k, job.v)):
            padded = np.zeros((timesteps, heads, channels, chunks * config.chunk_tokens), bool)
            padded[..., :tokens] = spikes.transpose(0, 1, 3, 2)
            words = padded.reshape(timesteps, heads * channels, chunks, config.chunk_tokens).transpose(1, 2, 0, 3)
            stored += [(is_value, *place, pack(words[place])) for place in np.ndindex(heads * channels, chunks)]
        random.Random(tokens).shuffle(stored)
        ctx.set(write.valid, 1)
        for one in stored:
            for member, value in zip(("is_value", "channel", "chunk", "data"), one, strict=True):
                ctx.set(getattr(write, member), value)
            await ctx.tick()
        ctx.set(write.valid, 0)

    async def run_job(self, ctx, job: Job) -> np.ndarray:
        """Run one job; returns the output spikes read back from the memory."""
        config, dut = self.config, self.dut
        _, heads, tokens, channels = job.q.shape
        words = self.group_words(config, job.q)
        groups, stride = words.shape[1], words.shape[1] + 1
        for k, g in np.ndindex(words.shape[:2]):
            self.memory[job.query_base + k * stride + g] = words[k, g]
        members = {
            "heads": heads, "head_channels": channels, "chunks": -(-tokens // config.chunk_tokens), "groups": groups,
            "planes": tokens.bit_length(), "threshold": job.threshold, "query_base": job.query_base,
            "query_stride": stride, "output_base": job.output_base, "output_stride": stride,
        }  # fmt: skip
        for member, value in members.items():
            ctx.set(getattr(dut, member), value)
        ctx.set(dut.start, 1)
        cycle, busy = 0, []
        while cycle == 0 or not ctx.get(dut.done):
            address = ctx.get(dut.read_address)
            # Behind Q it may come to rest, but not read on.
            assert cycle == 0 or job.query_base <= address <= job.query_base + len(words) * stride
            if ctx.get(dut.write.valid):
                self.store(ctx)
            await ctx.tick()
            cycle += 1
            assert cycle < 20_000
            ctx.set(dut.start, 0)
            ctx.set(dut.read_data, pack(self.memory[address]) if address in self.memory else 0)
            busy.append(ctx.get(dut.busy))
        assert busy == [1] * (cycle - 1) + [0]
        self.cycles.append(cycle)
        result = np.array(
            [[self.memory[job.output_base + k * stride + g] for g in range(groups)] for k in range(len(words))]
        )
        flat = result.transpose(3, 0, 4, 1, 2).reshape(len(job.q), heads, channels, -1)[..., :tokens]
        return flat.swapaxes(-1, -2)

    def store(self, ctx):
        config, write = self.config, self.dut.write
        self.writes += 1
        shape = config.positions, config.timesteps, config.inputs
        word = np.array([int(bit) for bit in f"{ctx.get(write.data):0{config.group_bits}b}"[::-1]], bool).reshape(shape)
        old = self.memory.setdefault(ctx.get(write.address), np.zeros(shape, bool))
        enabled = ctx.get(write.banks)
        assert enabled.bit_count() == 1
        old[enabled.bit_length() - 1] = word[enabled.bit_length() - 1]

    def run(self, jobs: list[Job]) -> list[np.ndarray]:
        outputs = []

        async def process(ctx):
            for job in jobs:
                await self.write_tokens(ctx, job)
                outputs.append(await self.run_job(ctx, job))

        self.simulate(process)
        return outputs

    def simulate(self, process):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        simulator.add_testbench(process)
        simulator.run()


def check(config: HardwareConfig, jobs: list[Job]) -> AttentionBench:
    """Run jobs; compare spikes, number of writes and cycles."""
    bench = AttentionBench(config)
    outputs = bench.run(jobs)
    expected_writes = 0
    for job, output, cycles in zip(jobs, outputs, bench.cycles, strict=True):
        _, heads, tokens, channels = job.q.shape
        np.testing.assert_array_equal(output, attention_spikes(job))
        groups, chunks = -(-tokens // config.positions), -(-tokens // config.chunk_tokens)
        expected_writes += heads * (channels // config.inputs) * groups * config.positions
        assert cycles == attention_cycles(config, heads, channels, chunks, groups, tokens.bit_length())
    assert bench.writes == expected_writes
    return bench


@pytest.mark.parametrize(
    ("config", "heads", "tokens", "channels"),
    [
        (SMALL, 1, 16, 8),
        (SMALL, 2, 5, 16),         # tokens fill no chunk
        (SMALL, 1, 49, 8),         # several chunks, the last one partly filled
        (SMALL, 3, 7, 4),          # heads smaller than a segment
        (SMALL, 2, 20, 12),        # the last segment is half full
        (SMALL, 4, 1, 8),          # one token: the next Q is what takes time
        (PAIRS, 1, 33, 8),         # two positions, the last group half full
        (PAIRS, 2, 6, 16),
        (FOUR_STEPS, 1, 18, 8),    # one column, segments as small as a slice
        (WIDE_SEGMENT, 1, 9, 32),  # a segment is a whole word, one plane per word
        (WIDE_SEGMENT, 2, 16, 4),  # writes take longer than the steps of a segment
        (WIDE_SEGMENT, 1, 16, 20),
    ],
)  # fmt: skip
def test_random_spikes(config, heads, tokens, channels):
    check(config, [random_job(config.timesteps, heads, tokens, channels, seed=tokens)])


def test_tiny_configuration():
    config = dataclasses.replace(TINY, token_channels=32, token_chunks=2)
    check(config, [random_job(config.timesteps, 1, 10, 32, seed=3)])


def test_jobs_follow_one_another_in_any_shape():
    shapes = [(1, 20, 16), (2, 6, 4), (1, 3, 8), (2, 17, 16)]
    jobs = [random_job(PAIRS.timesteps, *shape, seed=seed) for seed, shape in enumerate(shapes)]
    check(PAIRS, jobs)


def test_starts_again_in_the_cycle_of_done_with_the_same_keys_and_values():
    job = random_job(SMALL.timesteps, 1, 11, 8, seed=4)
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
    ones = np.ones((config.timesteps, 1, tokens, channels), bool)
    job = Job(ones, ones, ones, threshold=2 ** (config.timesteps - 1) * tokens * channels + short)
    spikes = attention_spikes(job)
    assert spikes[0].all() != short and spikes[1].all()
    check(config, [job])


@pytest.mark.parametrize("threshold", [4, 8, 16, 24])
def test_small_thresholds_tie_often(threshold):
    """A few spikes only, so that sums are near the threshold."""
    job = dataclasses.replace(random_job(SMALL.timesteps, 2, 9, 8, seed=threshold), threshold=threshold)
    first = job.q[0].astype(int) @ (job.k[0].swapaxes(-1, -2).astype(int) @ job.v[0])
    assert (first * 2 ** (SMALL.timesteps - 1) == threshold).any()
    check(SMALL, [job])
