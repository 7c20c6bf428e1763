"""A bench around the attention engine: random heads, what must come of them, a spike memory."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass

import numpy as np
from amaranth.sim import Simulator

from golden.cycles.attention import attention_cycles
from hw.attention.attention import Attention
from hw.config import HardwareConfig
from hw.named_configs import TINY

SMALL = dataclasses.replace(
    TINY, name="small", positions=1, tile_groups=16, timesteps=2, attention_columns=2,
    spike_words=1024, token_chunks=4, head_channels=16,
)  # fmt: skip
PAIRS = dataclasses.replace(SMALL, name="pairs", positions=2, outputs=8, token_chunks=2)
FOUR_STEPS = dataclasses.replace(SMALL, name="four_steps", timesteps=4, attention_columns=1)
CHUNKED = dataclasses.replace(PAIRS, name="chunked", time_chunks=5)
CHUNKED_ONE_STEP = dataclasses.replace(SMALL, name="chunked_one_step", timesteps=1, time_chunks=3)
ONE_STEP = dataclasses.replace(SMALL, name="one_step", timesteps=1)
WHOLE_SLICE = dataclasses.replace(
    SMALL, name="whole_slice", attention_columns=4, head_channels=32, token_chunks=1,
    attention_planes=5,
)  # fmt: skip

IF_PAIRS = dataclasses.replace(PAIRS, name="if_pairs", if_neurons=True)
IF_FOUR_STEPS = dataclasses.replace(FOUR_STEPS, name="if_four_steps", if_neurons=True)
IF_CHUNKED = dataclasses.replace(CHUNKED, name="if_chunked", if_neurons=True)
FOUR_TABLES = dataclasses.replace(WHOLE_SLICE, name="four_tables", attention_tables=4, timesteps=4)


@dataclass
class Job:
    """A head's attention: spikes as [T, N, d] and where they lie; the threshold in the units of an artifact."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    threshold: int
    query_base: int = 5
    output_base: int = 400
    buffer: int = 0
    no_leak: bool = False

    @property
    def tokens(self) -> int:
        return self.q.shape[1]


def random_job(
    timesteps: int,
    tokens: int,
    channels: int,
    *,
    seed: int,
    density: float = 0.4,
    buffer: int = 0,
    no_leak: bool = False,
) -> Job:
    rng = np.random.default_rng(seed)
    q, k, v = (rng.random((timesteps, tokens, channels)) < density for _ in range(3))
    typical = max(1, int(density**3 * tokens * channels))
    threshold = 2 * typical if no_leak else 2 ** (timesteps - 1) * typical
    return Job(q, k, v, threshold=threshold, buffer=buffer, no_leak=no_leak)


def attention_spikes(job: Job) -> np.ndarray:
    """Spikes [T, N, d] from the formula, in integers."""
    q, k, v = (spikes.astype(np.int64) for spikes in (job.q, job.k, job.v))
    sums = q @ (k.swapaxes(-1, -2) @ v)
    timesteps = len(sums)
    membrane, spikes = np.zeros_like(sums[0]), np.zeros_like(job.q)
    for t in range(timesteps):
        membrane += sums[t] if job.no_leak else 2**t * sums[t]
        spikes[t] = membrane * (1 if job.no_leak else 2 ** (timesteps - 1 - t)) >= job.threshold
        membrane[spikes[t]] = 0
    return spikes


def pack(bits: np.ndarray) -> int:
    """Bits of an array as an integer, last axis fastest."""
    return int.from_bytes(np.packbits(bits.ravel(), bitorder="little").tobytes(), "little")


def time_chunks(config: HardwareConfig, timesteps: int) -> int:
    """Chunks of the lanes."""
    return -(-timesteps // config.timesteps)


def tile_tokens(config: HardwareConfig, job: Job) -> int:
    """Most tokens of a position tile, whose words are shared by the time chunks."""
    return config.tile_groups // time_chunks(config, len(job.q)) * config.positions


def tiles(config: HardwareConfig, job: Job) -> int:
    """Position tiles."""
    return -(-job.tokens // tile_tokens(config, job))


class AttentionBench:
    """A spike memory around the engine; runs jobs one after another.

    Parameters
    ----------
    config : HardwareConfig
        The accelerator.
    stall : float
        How often a write must wait for a cycle.
    """

    def __init__(self, config: HardwareConfig, stall: float = 0.0):
        self.config, self.dut, self.stall = config, Attention(config), stall
        self.rng = random.Random(config.name)
        self.memory: dict[int, np.ndarray] = {}
        self.cycles: list[int] = []
        self.writes = 0
        self.fired, self.stored = 0, 0
        """Spikes counted as they fire, and in the words written."""

    def group_words(self, spikes: np.ndarray) -> np.ndarray:
        """[T, N, d] as [slices, groups * time chunks, P, T, I], with silent time steps behind the last."""
        config = self.config
        timesteps, tokens, channels = spikes.shape
        rounds, groups = time_chunks(config, timesteps), -(-tokens // config.positions)
        padded = np.zeros((rounds * config.timesteps, channels, groups * config.positions), bool)
        padded[:timesteps, :, :tokens] = spikes.transpose(0, 2, 1)
        shape = (rounds, config.timesteps, channels // config.inputs, config.inputs, groups, config.positions)
        words = padded.reshape(shape).transpose(2, 4, 0, 5, 1, 3)
        return words.reshape(words.shape[0], groups * rounds, *words.shape[3:])

    async def write_tokens(self, ctx, job: Job, pause: float = 0.0):
        config, write = self.config, self.dut.token_write
        timesteps, tokens, channels = job.k.shape
        rounds, chunks, size = time_chunks(config, timesteps), tiles(config, job), tile_tokens(config, job)
        stored = []
        for is_value, spikes in enumerate((job.k, job.v)):
            padded = np.zeros((rounds * config.timesteps, channels, chunks * size), bool)
            padded[:timesteps, :, :tokens] = spikes.transpose(0, 2, 1)
            shape = (rounds, config.timesteps, channels, chunks, size)
            words = np.zeros((channels, chunks, rounds, config.timesteps, config.chunk_tokens), bool)
            words[..., :size] = padded.reshape(shape).transpose(2, 3, 0, 1, 4)
            stored += [(is_value, *place, pack(words[place])) for place in np.ndindex(channels, chunks, rounds)]
        random.Random(tokens).shuffle(stored)
        ctx.set(write.buffer, job.buffer)
        members = ("is_value", "channel", "chunk", "time_chunk", "data")
        for one in stored:
            while self.rng.random() < pause:
                await ctx.tick()
            for member, value in zip(members, one, strict=True):
                if member != "time_chunk" or config.time_chunks > 1:
                    ctx.set(getattr(write, member), value)
            ctx.set(write.valid, 1)
            await ctx.tick()
            ctx.set(write.valid, 0)

    async def run_job(self, ctx, job: Job) -> np.ndarray:
        """Run one job; returns the output spikes read back from the memory."""
        config, dut = self.config, self.dut
        timesteps, tokens, channels = job.q.shape
        words, rounds = self.group_words(job.q), time_chunks(config, timesteps)
        groups, stride = words.shape[1] // rounds, words.shape[1] + 1
        for k, g in np.ndindex(words.shape[:2]):
            self.memory[job.query_base + k * stride + g] = words[k, g]
        members = {
            "head_channels": channels, "chunks": tiles(config, job), "groups": groups,
            "threshold": job.threshold << config.max_timesteps - (1 if job.no_leak else timesteps),
            "token_buffer": job.buffer,
            "query_base": job.query_base, "query_stride": stride,
            "output_base": job.output_base, "output_stride": stride,
            **({"time_chunks": rounds} if config.time_chunks > 1 else {}),
            **({"no_leak": job.no_leak} if config.if_neurons else {}),
        }  # fmt: skip
        for member, value in members.items():
            ctx.set(getattr(dut, member), value)
        ctx.set(dut.start, 1)
        cycle, busy = 0, []
        while cycle == 0 or not ctx.get(dut.done):
            address, read = ctx.get(dut.read_address), ctx.get(dut.read)
            assert not read or address in self.memory
            held = ctx.get(dut.write.valid) and not ctx.get(dut.write_ready)
            ready = held or self.rng.random() >= self.stall
            ctx.set(dut.write_ready, ready)
            if ctx.get(dut.write.valid) and ready:
                self.store(ctx)
            self.fired += ctx.get(dut.fired)
            await ctx.tick()
            cycle += 1
            assert cycle < 50_000
            if cycle == 1:
                ctx.set(dut.start, 0)
            # Sampled at start: others from now on.
            for member in members if cycle == 1 else self.rng.sample([*members], 1):
                ctx.set(getattr(dut, member), self.rng.getrandbits(4))
            ctx.set(dut.read_data, pack(self.memory[address]) if read else 0)
            busy.append(ctx.get(dut.busy))
        assert busy == [1] * (cycle - 1) + [0]
        assert not ctx.get(dut.write.valid)
        self.cycles.append(cycle)
        result = np.array(
            [[self.memory[job.output_base + k * stride + g] for g in range(groups * rounds)] for k in range(len(words))]
        )
        split = result.reshape(len(words), groups, rounds, *result.shape[2:]).transpose(2, 4, 1, 3, 0, 5)
        return split.reshape(rounds * config.timesteps, groups * config.positions, channels)[:timesteps, :tokens]

    def store(self, ctx):
        config, write = self.config, self.dut.write
        self.writes += 1
        shape = config.positions, config.timesteps, config.inputs
        word = np.array([int(bit) for bit in f"{ctx.get(write.data):0{config.group_bits}b}"[::-1]], bool).reshape(shape)
        old = self.memory.setdefault(ctx.get(write.address), np.zeros(shape, bool))
        enabled = ctx.get(write.banks)
        assert enabled.bit_count() == 1 and ctx.get(write.pieces) == (1 << config.word_pieces) - 1
        old[enabled.bit_length() - 1] = word[enabled.bit_length() - 1]
        self.stored += int(word[enabled.bit_length() - 1].sum())

    def run(self, jobs: list[Job]) -> list[np.ndarray]:
        """Run jobs in turn; the tokens of the next one are written meanwhile if it uses the other buffer."""
        outputs = []
        written, begun, ended = ([False] * len(jobs) for _ in range(3))

        async def engine(ctx):
            for index, job in enumerate(jobs):
                while not written[index]:
                    await ctx.tick()
                begun[index] = True
                outputs.append(await self.run_job(ctx, job))
                ended[index] = True

        async def tokens(ctx):
            for index, job in enumerate(jobs):
                before = begun if index and job.buffer != jobs[index - 1].buffer else ended
                while index and not before[index - 1]:
                    await ctx.tick()
                await self.write_tokens(ctx, job, pause=0.3 if index else 0.0)
                written[index] = True

        self.simulate(engine, tokens)
        return outputs

    def simulate(self, *processes):
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-8)
        for process in processes:
            simulator.add_testbench(process)
        simulator.run()


def check(config: HardwareConfig, jobs: list[Job], stall: float = 0.0) -> AttentionBench:
    """Run jobs; compare spikes, number of writes and cycles."""
    bench = AttentionBench(config, stall)
    outputs = bench.run(jobs)
    expected_writes = 0
    for job, output, cycles in zip(jobs, outputs, bench.cycles, strict=True):
        timesteps, tokens, channels = job.q.shape
        np.testing.assert_array_equal(output, attention_spikes(job))
        groups, rounds = -(-tokens // config.positions), time_chunks(config, timesteps)
        expected_writes += (channels // config.inputs) * groups * config.positions * rounds
        assert cycles == attention_cycles(config, channels, tiles(config, job), groups, rounds)
    assert bench.writes == expected_writes
    assert bench.fired == bench.stored
    return bench
