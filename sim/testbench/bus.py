"""The testbench's register bus and memory, as the host's code reaches them on any board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cocotb.triggers import First, RisingEdge, Timer, ValueChange
from cocotb.utils import get_sim_time

from hw.config import HardwareConfig
from hw.external.axi import Response
from hw.verilog.flat_ports import RESET_CYCLES

PERIOD_NS = 10


class TestbenchBus:
    """The testbench, as `sw.driver.bus.Bus`; its clock counts cycles, and accesses to memory take a few, at any length.

    Parameters
    ----------
    dut : handle
        The testbench.
    config : HardwareConfig
        Says how wide its memory is.
    memory_bytes : int
        Length of the memory image.
    transfer : Path
        File by which the simulator passes beats of the memory.
    """

    memory_address = 0

    def __init__(self, dut: Any, config: HardwareConfig, memory_bytes: int, transfer: Path):
        self._dut, self._beat, self.memory_bytes, self._transfer = dut, config.memory_bits // 8, memory_bytes, transfer

    async def _access(self, address: int, *, write: bool) -> None:
        dut = self._dut
        dut.bus_address.value, dut.bus_write.value = address, int(write)
        dut.bus_request.value = 1 - int(dut.bus_answer.value)
        await ValueChange(dut.bus_answer)
        response = Response(int(dut.bus_response.value))
        if response != Response.OKAY:
            raise RuntimeError(f"access to register address 0x{address:04X} answered {response.name}")

    async def read(self, address: int) -> int:
        """Value of a register."""
        await self._access(address, write=False)
        return int(self._dut.bus_read_data.value)

    async def write(self, address: int, value: int) -> None:
        """Write a register."""
        self._dut.bus_write_data.value = value
        await self._access(address, write=True)

    async def read_memory(self, address: int, count: int) -> bytes:
        """Bytes of the memory from an address on."""
        first, offset = address // self._beat, address % self._beat
        await self._pass_beats(first, -(-(offset + count) // self._beat), store=True)
        content = b"".join(bytes.fromhex(line)[::-1] for line in self._transfer.read_text().split())
        return content[offset : offset + count]

    async def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes; the beats in which they begin and end keep the others."""
        first, offset = address // self._beat, address % self._beat
        behind = -(offset + len(data)) % self._beat
        before = await self.read_memory(address - offset, offset) if offset else b""
        after = await self.read_memory(address + len(data), behind) if behind else b""
        content = before + data + after
        self._transfer.write_bytes(content)
        await self._pass_beats(first, len(content) // self._beat, store=False)

    async def _pass_beats(self, first: int, count: int, *, store: bool) -> None:
        if not 0 <= first <= first + count <= self.memory_bytes // self._beat:
            raise ValueError(f"memory has {self.memory_bytes} bytes, beats {first} to {first + count} are not in it")
        dut = self._dut
        dut.transfer_beat.value, dut.transfer_beats.value, dut.transfer_store.value = first, count, int(store)
        dut.transfer_request.value = 1 - int(dut.transfer_answer.value)
        await ValueChange(dut.transfer_answer)

    async def wait(self, timeout: float) -> None:
        """Until the interrupt, or so many cycles."""
        if not self._dut.interrupt.value:
            await First(RisingEdge(self._dut.interrupt), Timer(max(1, round(timeout)) * PERIOD_NS, "ns"))
        await RisingEdge(self._dut.aclk)

    def clock(self) -> float:
        """Cycles so far."""
        return float(get_sim_time("ns")) / PERIOD_NS

    def close(self) -> None:
        """Nothing is held."""


async def reset(dut: Any) -> None:
    """Hold reset for as few cycles as it may be."""
    dut.aresetn.value = 0
    for _ in range(RESET_CYCLES):
        await RisingEdge(dut.aclk)
    dut.aresetn.value = 1
    await RisingEdge(dut.aclk)
