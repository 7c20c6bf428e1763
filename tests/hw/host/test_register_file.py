"""The register map as the host sees it, through AXI4-Lite."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hw.external.axi import Response
from hw.host.registers import (
    IDENTITY,
    REGISTER_ADDRESS_BITS,
    REGISTERS,
    VERSION,
    Control,
    ErrorCause,
    Status,
)
from hw.named_configs import TINY
from tests.hw.host.register_host import KEPT, LOGITS, PROFILE_SIZE, SIZES, Host


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_registers_read_what_they_name(rate):
    async def bench(ctx: Any, host: Host) -> None:
        state = {"prediction": 7, "cycles": 0xFFFF_FFFF, "descriptors": 21, "jobs": 3}
        state["error"] = ErrorCause.PROGRAM_TOO_LARGE
        for name, value in {**state, "done": 1}.items():
            ctx.set(getattr(host.dut, name), value)
        expected = {
            "IDENTITY": IDENTITY,
            "VERSION": VERSION,
            "CONFIG": TINY.fingerprint,
            "CONTROL": 0,
            "STATUS": Status.DONE | Status.ERROR,
            "ERROR": ErrorCause.PROGRAM_TOO_LARGE,
            "INTERRUPT_STATUS": 0,
            "PREDICTION": 7,
            "CYCLES": 0xFFFF_FFFF,
            "DESCRIPTORS": 21,
            "JOBS": 3,
            **{name: REGISTERS[name].init for name in KEPT},
        }
        assert expected.keys() | SIZES.keys() == REGISTERS.keys()
        for name, value in expected.items():
            assert await host.read(ctx, name) == value, name
        ctx.set(host.dut.busy, 1)
        assert await host.read(ctx, "STATUS") == Status.BUSY | Status.DONE | Status.ERROR
        for name in expected.keys() - {"STATUS", "PREDICTION"}:
            assert await host.read(ctx, name) == expected[name], name

    Host(rate).run(bench)


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_what_is_not_settled_while_a_job_is_busy_answers_with_an_error(rate):
    """Whenever it ends: then or with the right value, in any cycle of the access."""

    async def bench(ctx: Any, host: Host) -> None:
        dut = host.dut
        right = {"PREDICTION": 3, "LOGITS": LOGITS[2] % (1 << 32), "PROFILE": 1_000_002}
        for name, value in right.items():
            at, answers = REGISTERS[name].address + 4 * (2 if name in SIZES else 0), set()
            for wait in range(1, 13):
                ctx.set(dut.busy, 1)
                ctx.set(dut.prediction, 9)

                async def end(ctx: Any, wait: int = wait) -> None:
                    await ctx.tick().repeat(wait)
                    ctx.set(dut.prediction, 3)
                    ctx.set(dut.busy, 0)

                host.later = end
                read, response = await host.master.read(ctx, at)
                answers.add(response)
                assert response == Response.SLVERR or read == value, name
                await ctx.tick().repeat(12)
            assert answers == {Response.OKAY, Response.SLVERR}
            ctx.set(dut.busy, 1)
            assert (await host.master.read(ctx, at))[1] == Response.SLVERR

    Host(rate).run(bench)


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_what_is_written_is_kept_and_reaches_the_core(rate):
    async def bench(ctx: Any, host: Host) -> None:
        rng = random.Random(4)
        widths = {"INTERRUPT_ENABLE": 3, "RESULT_ENABLE": 1}
        values = {}
        for name in rng.sample(KEPT, len(KEPT)):
            written = rng.getrandbits(32)
            assert await host.write(ctx, name, written) == Response.OKAY
            values[name] = written & (1 << widths.get(name, 8 if name.endswith("HIGH") else 32)) - 1
        for name, value in values.items():
            assert await host.read(ctx, name) == value, name
        await host.write(ctx, "CONTROL", Control.START)
        for port, name, unit in (("program", "PROGRAM", 8), ("image", "IMAGE", 8), ("result", "RESULT", 64)):
            address = values[f"{name}_ADDRESS_HIGH"] << 32 | values[f"{name}_ADDRESS_LOW"]
            assert host.taken[port] == ctx.get(getattr(host.dut, port)) == address // unit
        assert host.taken["program_beats"] == values["PROGRAM_BYTES"] // 8
        assert host.taken["result_enable"] == values["RESULT_ENABLE"]

    Host(rate).run(bench)


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_a_job_is_told_what_the_registers_hold_at_its_start_whatever_is_written_later(rate):
    async def bench(ctx: Any, host: Host) -> None:
        rng = random.Random(5)
        for _ in range(3):
            ctx.set(host.dut.busy, 0)
            for name in KEPT:
                await host.write(ctx, name, rng.getrandbits(32))
            await host.write(ctx, "CONTROL", Control.START)
            taken = dict(host.taken)
            ctx.set(host.dut.busy, 1)
            for name in KEPT:
                await host.write(ctx, name, rng.getrandbits(32))
            await host.write(ctx, "CONTROL", Control.START)  # ignored
            for port in ("image", "result", "result_enable"):
                assert ctx.get(getattr(host.dut, port)) == taken[port], port
            assert host.taken == taken

    Host(rate).run(bench)


def test_windows():
    async def bench(ctx: Any, host: Host) -> None:
        rng = random.Random(1)
        for index in rng.sample(range(TINY.max_classes), TINY.max_classes):
            assert await host.read(ctx, "LOGITS", index) == LOGITS[index] % (1 << 32)
        for index in [0, 1, PROFILE_SIZE - 1, *rng.sample(range(PROFILE_SIZE), 20)]:
            assert await host.read(ctx, "PROFILE", index) == 1_000_000 + index

    Host().run(bench)


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_unmapped_addresses_answer_with_an_error(rate):
    async def bench(ctx: Any, host: Host) -> None:
        used = {one.address + 4 * i for name, one in REGISTERS.items() for i in range(SIZES.get(name, one.words))}
        unused = sorted(set(range(0, 1 << REGISTER_ADDRESS_BITS, 4)) - used)
        for address in [*unused[:10], *random.Random(2).sample(unused, 20), unused[-1]]:
            assert (await host.master.read(ctx, address))[1] == Response.SLVERR, address
            assert await host.master.write(ctx, address, 0xFFFF_FFFF) == Response.SLVERR, address
        assert host.pulses == {"start": 0, "reset": 0}
        assert await host.read(ctx, "IDENTITY") == IDENTITY

    Host(rate).run(bench)


def test_a_write_that_is_not_allowed_answers_with_an_error_and_changes_nothing():
    async def bench(ctx: Any, host: Host) -> None:
        for name in ("IDENTITY", "STATUS", "LOGITS", "PROFILE"):
            before = await host.read(ctx, name)
            assert await host.write(ctx, name, 0xFFFF_FFFF) == Response.SLVERR
            assert await host.read(ctx, name) == before
        assert await host.write(ctx, "PROGRAM_BYTES", 0x1234_5678) == Response.OKAY
        for strobe in range(15):
            assert await host.write(ctx, "PROGRAM_BYTES", 0, strobe=strobe) == Response.SLVERR
            assert await host.write(ctx, "CONTROL", Control.START, strobe=strobe) == Response.SLVERR
        assert await host.read(ctx, "PROGRAM_BYTES") == 0x1234_5678
        assert host.pulses["start"] == 0

    Host().run(bench)


def test_reads_and_writes_at_once_are_both_answered():
    """A host that never pauses on either channel starves neither."""
    answers = {"r": 0, "b": 0}

    async def bench(ctx: Any, host: Host) -> None:
        axi = host.slave.axi
        for name in ("arvalid", "awvalid", "wvalid", "rready", "bready"):
            ctx.set(getattr(axi, name), 1)
        ctx.set(axi.awaddr, REGISTERS["PROGRAM_BYTES"].address)
        ctx.set(axi.wstrb, 15)
        for _ in range(200):
            _, _, read, write = await ctx.tick().sample(axi.rvalid, axi.bvalid)
            answers["r"] += read
            answers["b"] += write

    Host().run(bench)
    assert min(answers.values()) > 20
    assert abs(answers["r"] - answers["b"]) <= 1
