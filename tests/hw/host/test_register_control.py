"""Starts, resets and interrupts through the register file."""

from __future__ import annotations

from typing import Any

import pytest

from hw.external.axi import Response
from hw.host.registers import Control, ErrorCause, Interrupt, Status
from tests.hw.host.register_host import KEPT, Host


def test_control_starts_and_resets():
    async def bench(ctx: Any, host: Host) -> None:
        for name in KEPT:
            await host.write(ctx, name, 0xFFFF_FFFF)
        assert host.pulses == {"start": 0, "reset": 0}
        await host.write(ctx, "CONTROL", Control.START)
        assert host.pulses == {"start": 1, "reset": 0}
        await host.write(ctx, "CONTROL", 0xFFFF_FFFC)
        await host.read(ctx, "CONTROL")
        assert host.pulses == {"start": 1, "reset": 0}
        await host.write(ctx, "CONTROL", Control.RESET)
        assert host.pulses == {"start": 1, "reset": 1}

    Host().run(bench)


def test_a_start_beside_a_reset_is_ignored_and_reported():
    async def bench(ctx: Any, host: Host) -> None:
        await host.write(ctx, "CONTROL", Control.START | Control.RESET)
        assert host.pulses == {"start": 0, "reset": 1}
        assert await host.read(ctx, "STATUS") == Status.IGNORED
        assert await host.read(ctx, "INTERRUPT_STATUS") == Interrupt.IGNORED
        await host.write(ctx, "CONTROL", 0)
        assert await host.read(ctx, "STATUS") == Status.IGNORED
        await host.write(ctx, "CONTROL", Control.RESET)
        assert await host.read(ctx, "STATUS") == 0

    Host().run(bench)


def test_a_start_while_busy_is_ignored_and_reported():
    async def bench(ctx: Any, host: Host) -> None:
        await host.write(ctx, "INTERRUPT_ENABLE", Interrupt.IGNORED)
        ctx.set(host.dut.busy, 1)
        assert await host.write(ctx, "CONTROL", Control.START) == Response.OKAY
        assert host.pulses["start"] == 0
        assert await host.read(ctx, "STATUS") == Status.BUSY | Status.IGNORED
        assert await host.read(ctx, "INTERRUPT_STATUS") == Interrupt.IGNORED
        assert ctx.get(host.dut.interrupt)
        ctx.set(host.dut.busy, 0)
        await host.write(ctx, "CONTROL", Control.START)
        assert host.pulses["start"] == 1
        assert await host.read(ctx, "STATUS") == 0

    Host().run(bench)


@pytest.mark.parametrize(
    ("error", "raised"),
    [(ErrorCause.NONE, Interrupt.DONE), (ErrorCause.MEMORY_ERROR, Interrupt.DONE | Interrupt.ERROR)],
)
def test_interrupts_stay_until_they_are_cleared(error, raised):
    async def bench(ctx: Any, host: Host) -> None:
        ctx.set(host.dut.error, error)
        ctx.set(host.dut.ended, 1)
        await ctx.tick()
        ctx.set(host.dut.ended, 0)
        assert await host.read(ctx, "INTERRUPT_STATUS") == raised
        assert not ctx.get(host.dut.interrupt)
        await host.write(ctx, "INTERRUPT_ENABLE", raised)
        assert ctx.get(host.dut.interrupt)
        await host.write(ctx, "INTERRUPT_STATUS", ~raised & 0xFFFF_FFFF)
        assert await host.read(ctx, "INTERRUPT_STATUS") == raised
        await host.write(ctx, "INTERRUPT_STATUS", raised)
        assert await host.read(ctx, "INTERRUPT_STATUS") == 0
        assert not ctx.get(host.dut.interrupt)

    Host().run(bench)


def test_an_interrupt_in_the_cycle_of_its_clearing_is_not_lost():
    async def bench(ctx: Any, host: Host) -> None:
        ctx.set(host.dut.ended, 1)  # in every cycle, so also in the one of the write
        await host.write(ctx, "INTERRUPT_STATUS", Interrupt.DONE)
        ctx.set(host.dut.ended, 0)
        assert await host.read(ctx, "INTERRUPT_STATUS") == Interrupt.DONE

    Host().run(bench)
