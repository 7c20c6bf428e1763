"""A host of the register file."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Module, Signal
from amaranth.lib.wiring import connect

from hw.external.axi import Response
from hw.host.axi_lite import AxiLiteSlave
from hw.host.register_file import RegisterFile
from hw.host.registers import COUNTER_SLOTS, REGISTERS
from hw.named_configs import TINY
from tests.hw.axi_models import RegisterMaster
from tests.hw.benches import simulate

LOGITS = [-(1 << 31), -1, 0, 1, (1 << 31) - 1, *range(-50, -50 + TINY.max_classes - 5)]
PROFILE_SIZE = TINY.max_layers * COUNTER_SLOTS
SIZES = {"LOGITS": TINY.max_classes, "PROFILE": PROFILE_SIZE}
KEPT = [name for name, register in REGISTERS.items() if register.access == "rw"]


class Host:
    """A bus master beside the register file, with its pulses counted."""

    def __init__(self, rate: float = 1.0):
        self.top = Module()
        self.top.submodules.slave = slave = AxiLiteSlave()
        self.top.submodules.dut = self.dut = RegisterFile(TINY)
        connect(self.top, slave.bus, self.dut.bus)
        profile = Signal(32)
        self.top.d.sync += [
            self.dut.logit.eq(Array(LOGITS)[self.dut.logit_index]),
            profile.eq(1_000_000 + self.dut.profile_address),
            self.dut.profile_data.eq(profile),
        ]
        self.slave, self.master = slave, RegisterMaster(slave.axi, rate=rate, seed=3)
        self.pulses = {"start": 0, "reset": 0}
        self.taken: dict[str, int] = {}
        """What the job was told, as it is two cycles behind the last start."""
        self.later: Any = None
        """A process to run beside the next access."""

    async def _count(self, ctx: Any) -> None:
        ports = ("program", "program_beats", "image", "result", "result_enable")
        since = 3
        async for _, _, start, reset, *told in ctx.tick().sample(
            self.dut.start, self.dut.reset, *(getattr(self.dut, port) for port in ports)
        ):
            self.pulses["start"] += start
            self.pulses["reset"] += reset
            since = 0 if start else since + 1
            if since <= 2:
                told = dict(zip(ports, told, strict=True))
                assert since == 0 or told == self.taken
                self.taken = told

    async def _beside(self, ctx: Any) -> None:
        while True:
            await ctx.tick()
            if self.later is not None:
                later, self.later = self.later, None
                await later(ctx)

    async def read(self, ctx: Any, name: str, index: int = 0) -> int:
        value, response = await self.master.read(ctx, REGISTERS[name].address + 4 * index)
        assert response == Response.OKAY
        return value

    async def write(self, ctx: Any, name: str, value: int, *, strobe: int = 15) -> Response:
        return await self.master.write(ctx, REGISTERS[name].address, value, strobe=strobe)

    def run(self, bench: Any) -> None:
        async def process(ctx: Any) -> None:
            await bench(ctx, self)

        simulate(self.top, process, self._count, self._beside)
