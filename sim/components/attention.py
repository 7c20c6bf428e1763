"""Attention in Verilog against integer attention and the integer neuron, and its exact cycles."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import cocotb
import torch
from cocotb.triggers import RisingEdge
from torch import Tensor
from torch.nn.functional import pad

from golden.attention import attend, key_value
from golden.cycles.attention import attention_cycles
from golden.neuron import lif
from hw.config import HardwareConfig
from hw.integers import ceil_div
from sim.components.harness import parameters, start
from sim.components.or_pool import pack

QUERY_BASE, OUTPUT_BASE = 5, 400

Lanes = dict[tuple[int, int], int]
"""Words of single positions by address and bank."""


@dataclass(frozen=True)
class AttentionCase:
    """A head's attention: spikes as [T, 1, 1, N, d] of 0 and 1, and what must come of them.

    Q and the output reach to the end of the last position group, beyond the last token of K and V.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    threshold: int
    spikes: Tensor

    @property
    def tokens(self) -> int:
        """Tokens of K and V."""
        return self.key.shape[3]


@cocotb.test()
async def attends_like_integer_attention(dut: Any) -> None:
    """One job after the other, the last one twice: every spike of every group written once, at the stated address.

    Jobs alternate between the two buffers of K and V; the tokens of the next one are written while one runs.
    """
    given = parameters()
    config = HardwareConfig(**given["config"])
    generator, rng = torch.Generator().manual_seed(given["seed"]), random.Random(given["seed"])
    await start(dut, {"token_write_valid": 0, "start": 0, "write_ready": 1})
    jobs = [random_job(config, **shape, generator=generator) for shape in given["shapes"]]
    written = cocotb.start_soon(write_tokens(dut, config, jobs[0], 0, given["stall"], rng))
    for index, job in enumerate(jobs):
        dut._log.info("job: %s", given["shapes"][index])
        await written
        if index + 1 < len(jobs):
            written = cocotb.start_soon(write_tokens(dut, config, jobs[index + 1], index + 1, given["stall"], rng))
        await check(dut, config, job, index, given["stall"], rng)
    await check(dut, config, jobs[-1], len(jobs) - 1, given["stall"], rng)


def random_job(config: HardwareConfig, tokens: int, head_channels: int, generator: torch.Generator) -> AttentionCase:
    """Spikes at random, and a threshold that a median sum of the first time step meets exactly."""

    def spikes(positions: int) -> Tensor:
        shape = config.timesteps, 1, 1, positions, head_channels
        return (torch.rand(shape, generator=generator) < 0.4).long()

    query, key, value = spikes(ceil_div(tokens, config.positions) * config.positions), spikes(tokens), spikes(tokens)
    sums = attend(query, key_value(key, value, 1))
    limit = int(sums[0][sums[0] > 0].median())
    assert bool((sums[0] == limit).any())
    threshold = limit << (config.timesteps - 1)
    fired, _ = lif(sums, torch.full((head_channels,), threshold), config.timesteps)
    assert fired.any() and not fired.all()
    return AttentionCase(query, key, value, threshold, fired)


async def write_tokens(
    dut: Any, config: HardwareConfig, job: AttentionCase, index: int, stall: float, rng: random.Random
) -> None:
    """Write K and V in any order of words, with pauses."""
    dut.token_write_buffer.value = index % 2
    words = []
    for is_value, spikes in enumerate((job.key, job.value)):
        chunks = ceil_div(job.tokens, config.chunk_tokens)
        padded = pad(spikes[:, 0, 0], (0, 0, 0, chunks * config.chunk_tokens - job.tokens))
        tiles = padded.reshape(config.timesteps, chunks, config.chunk_tokens, -1).transpose(0, 1)
        for chunk, tile in enumerate(tiles):
            words += [(is_value, channel, chunk, pack(tile[..., channel].ravel())) for channel in range(tile.shape[2])]
    rng.shuffle(words)
    for word in words:
        paused = True
        while paused:
            paused = rng.random() < stall
            # A pause shows other data for any word, which must not be written.
            noise = rng.getrandbits(config.timesteps * config.chunk_tokens)
            dut.token_write_valid.value = int(not paused)
            shown = (*rng.choice(words)[:3], noise) if paused else word
            for name, value in zip(("is_value", "channel", "chunk", "data"), shown, strict=True):
                getattr(dut, f"token_write_{name}").value = value
            await RisingEdge(dut.clk)
    dut.token_write_valid.value = 0


async def check(
    dut: Any, config: HardwareConfig, job: AttentionCase, index: int, stall: float, rng: random.Random
) -> None:
    """Run a job and compare what it writes, and its cycles."""
    groups, channels = job.query.shape[3] // config.positions, job.query.shape[4]
    chunks, stride = ceil_div(job.tokens, config.chunk_tokens), groups + 1
    shape = {
        "head_channels": channels,
        "chunks": chunks,
        "groups": groups,
    }
    places = {
        "query_base": QUERY_BASE, "query_stride": stride, "output_base": OUTPUT_BASE, "output_stride": stride,
    }  # fmt: skip
    for name, value in (shape | places | {"threshold": job.threshold, "token_buffer": index % 2}).items():
        getattr(dut, name).value = value
    query = lanes(config, job.query, QUERY_BASE, stride)
    expected_cycles = attention_cycles(config, channels, chunks, groups)

    written, cycles = await run(dut, config, query, 2 * expected_cycles, stall, rng)
    assert written == lanes(config, job.spikes, OUTPUT_BASE, stride)
    assert cycles == expected_cycles


def lanes(config: HardwareConfig, spikes: Tensor, base: int, stride: int) -> Lanes:
    """Spikes [T, 1, 1, N, D] as they lie in the spike memory."""
    groups, slices = spikes.shape[3] // config.positions, spikes.shape[4] // config.inputs
    cut = spikes.reshape(config.timesteps, groups, config.positions, slices, config.inputs)
    words = cut.permute(3, 1, 2, 0, 4)  # [slices, groups, positions, T, inputs]
    return {
        (base + k * stride + group, bank): pack(word.ravel())
        for k, of_slice in enumerate(words)
        for group, of_group in enumerate(of_slice)
        for bank, word in enumerate(of_group)
    }


async def run(
    dut: Any, config: HardwareConfig, memory: Lanes, limit: int, stall: float, rng: random.Random
) -> tuple[Lanes, int]:
    """Start, serve reads one cycle later, collect writes; returns them and the cycles from `start` to `done`.

    Writes are held for single cycles.
    """
    bits = config.timesteps * config.inputs
    written: Lanes = {}
    dut.start.value = 1
    for cycle in range(limit):
        await RisingEdge(dut.clk)
        dut.start.value = 0
        address, words = int(dut.read_address.value), memory if dut.read.value else {}
        dut.read_data.value = sum(
            words.get((address, bank), rng.getrandbits(bits)) << bank * bits for bank in range(config.positions)
        )
        ready = bool(dut.write_ready.value)
        # In the cycle that follows; never twice in a row.
        dut.write_ready.value = int(not ready or rng.random() >= stall)
        if dut.write_valid.value and ready:
            enabled = int(dut.write_banks.value)
            assert enabled.bit_count() == 1 and int(dut.write_pieces.value) == (1 << config.word_pieces) - 1
            bank = enabled.bit_length() - 1
            place = int(dut.write_address.value), bank
            assert place not in written, f"address, bank {place} were written twice"
            written[place] = int(dut.write_data.value) >> bank * bits & (1 << bits) - 1
        if dut.done.value:
            assert not dut.busy.value
            return written, cycle
        assert bool(dut.busy.value) == (cycle > 0)
    raise AssertionError(f"not done after {limit} cycles")
