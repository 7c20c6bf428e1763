"""The register map as the host sees it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Array, Module
from benches import simulate

from hw.config import TINY
from hw.register_file import RegisterFile
from hw.registers import (
    COUNTER_SLOTS,
    IDENTITY,
    REGISTER_ADDRESS_BITS,
    REGISTERS,
    VERSION,
    ErrorCause,
)

LOGITS = [-(1 << 31), -1, 0, 1, (1 << 31) - 1, *range(-50, -50 + TINY.max_classes - 5)]
PROFILE_SIZE = TINY.max_layers * COUNTER_SLOTS


def run_bus(bench: Any) -> None:
    """Run `bench(ctx, dut)` beside logits and counters as the accelerator wires them."""
    top = Module()
    top.submodules.dut = dut = RegisterFile(TINY)
    top.d.comb += dut.logit.eq(Array(LOGITS)[dut.logit_index])
    top.d.sync += dut.profile_data.eq(1_000_000 + dut.profile_address)

    async def process(ctx: Any) -> None:
        await bench(ctx, dut)

    simulate(top, process)


async def read(ctx: Any, dut: RegisterFile, address: int) -> int:
    """One read; the next address is already on the bus when the data is there."""
    ctx.set(dut.bus.address, address)
    await ctx.tick()
    ctx.set(dut.bus.address, 0)
    return ctx.get(dut.bus.read_data)


async def write(ctx: Any, dut: RegisterFile, address: int, value: int) -> int:
    """One write; whether it started a job."""
    ctx.set(dut.bus.address, address)
    ctx.set(dut.bus.write, 1)
    ctx.set(dut.bus.write_data, value)
    _, _, start = await ctx.tick().sample(dut.start)
    ctx.set(dut.bus.write, 0)
    return start


def test_registers_read_what_they_name():
    async def bench(ctx: Any, dut: RegisterFile) -> None:
        state = {"prediction": 7, "cycles": 0xFFFF_FFFF, "layers": 21, "error": ErrorCause.TOO_MANY_LAYERS}
        for name, value in {**state, "busy": 1, "done": 1}.items():
            ctx.set(getattr(dut, name), value)
        expected = {
            "IDENTITY": IDENTITY,
            "VERSION": VERSION,
            "CONTROL": 0,
            "STATUS": 0b111,
            "ERROR": ErrorCause.TOO_MANY_LAYERS,
            "PROGRAM_ADDRESS": 0,
            "IMAGE_ADDRESS": 0,
            "PREDICTION": 7,
            "CYCLES": 0xFFFF_FFFF,
            "LAYERS": 21,
        }
        for name, value in expected.items():
            assert await read(ctx, dut, REGISTERS[name].address) == value, name

    run_bus(bench)


@pytest.mark.parametrize(
    ("busy", "done", "error", "status"),
    [(0, 0, 0, 0), (1, 0, 0, 1), (0, 1, 0, 2), (0, 1, ErrorCause.BAD_CHECK, 6), (0, 1, ErrorCause.BAD_OPCODE, 6)],
)
def test_status_bits(busy, done, error, status):
    async def bench(ctx: Any, dut: RegisterFile) -> None:
        ctx.set(dut.busy, busy)
        ctx.set(dut.done, done)
        ctx.set(dut.error, error)
        assert await read(ctx, dut, REGISTERS["STATUS"].address) == status

    run_bus(bench)


def test_addresses_are_kept():
    async def bench(ctx: Any, dut: RegisterFile) -> None:
        for name, value in (("PROGRAM_ADDRESS", 0xDEAD_BEEF), ("IMAGE_ADDRESS", 0x1234_5678)):
            assert not await write(ctx, dut, REGISTERS[name].address, value)
        assert await read(ctx, dut, REGISTERS["PROGRAM_ADDRESS"].address) == 0xDEAD_BEEF
        assert await read(ctx, dut, REGISTERS["IMAGE_ADDRESS"].address) == 0x1234_5678
        assert ctx.get(dut.program) == 0xDEAD_BEEF
        assert ctx.get(dut.image) == 0x1234_5678

    run_bus(bench)


def test_only_control_starts_a_job_and_only_when_idle():
    async def bench(ctx: Any, dut: RegisterFile) -> None:
        control = REGISTERS["CONTROL"].address
        started = [
            address
            for address in (*range(0x20), 0x100, 0x102, 0x800, 0x802, 0xFFF)
            if await write(ctx, dut, address, 1)
        ]
        assert started == [control]
        assert not await write(ctx, dut, control, 0xFFFF_FFFE)
        ctx.set(dut.bus.address, control)
        ctx.set(dut.bus.write_data, 1)
        assert not (await ctx.tick().sample(dut.start))[2], "a read is no write"
        ctx.set(dut.busy, 1)
        assert not await write(ctx, dut, control, 1)
        ctx.set(dut.busy, 0)
        assert await write(ctx, dut, control, 1)

    run_bus(bench)


def test_windows():
    async def bench(ctx: Any, dut: RegisterFile) -> None:
        rng = random.Random(1)
        logits, profile = REGISTERS["LOGITS"].address, REGISTERS["PROFILE"].address
        for index in rng.sample(range(TINY.max_classes), TINY.max_classes):
            assert await read(ctx, dut, logits + index) == LOGITS[index] % (1 << 32)
        for index in [0, 1, PROFILE_SIZE - 1, *rng.sample(range(PROFILE_SIZE), 20)]:
            assert await read(ctx, dut, profile + index) == 1_000_000 + index

    run_bus(bench)


def test_unused_addresses_read_zero():
    async def bench(ctx: Any, dut: RegisterFile) -> None:
        used = {one.address + i for one in REGISTERS.values() for i in range(one.words)}
        unused = sorted(set(range(1 << REGISTER_ADDRESS_BITS)) - used)
        for address in [*unused[:10], *random.Random(2).sample(unused, 20), unused[-1]]:
            assert await read(ctx, dut, address) == 0, address

    run_bus(bench)


def test_reads_follow_each_other():
    """An address every cycle, registers and windows mixed: each value belongs to the address before."""

    async def bench(ctx: Any, dut: RegisterFile) -> None:
        addresses = [0x000, 0x800, 0x001, 0x100, 0x801, 0x802, 0x000]
        expected = [IDENTITY, 1_000_000, VERSION, LOGITS[0] % (1 << 32), 1_000_001, 1_000_002, IDENTITY]
        values = []
        for address in [*addresses, 0]:
            ctx.set(dut.bus.address, address)
            await ctx.tick()
            values.append(ctx.get(dut.bus.read_data))
        assert values[:-1] == expected

    run_bus(bench)
