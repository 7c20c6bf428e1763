"""The simulated serial wires as a port: what `sw.driver.serial_bus.SerialBus` talks through."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import First, RisingEdge, Timer, ValueChange
from cocotb.utils import get_sim_time

from sw.driver.link_frames import LONGEST_FRAME

PERIOD_NS = 10
CHUNK = 256
"""Bytes that the testbench takes or gives at once."""

DIVISOR = 4
"""Cycles in a bit, the fewest that the board takes: a quarter of its clock in baud."""

PATIENCE = 2 * 10 * DIVISOR * LONGEST_FRAME
"""Cycles that an answer may take."""


class SimulatedPins:
    """A `sw.driver.byte_transport.ByteTransport` through the wires of `sim/board/testbench.sv`; its time is in cycles.

    Parameters
    ----------
    dut : handle
        The testbench.
    """

    name = "the simulated board"

    def __init__(self, dut: Any):
        self._dut = dut
        self.patience: float = PATIENCE

    async def send(self, data: bytes) -> None:
        """Send bytes; returns when the last one is on the wire."""
        dut = self._dut
        for start in range(0, len(data), CHUNK):
            part = data[start : start + CHUNK]
            dut.send_data.value, dut.send_count.value = int.from_bytes(part, "little"), len(part)
            dut.send_request.value = 1 - int(dut.send_answer.value)
            await ValueChange(dut.send_answer)

    async def receive(self, timeout: float) -> bytes:
        """What has come, or nothing if nothing has when `timeout` cycles are over."""
        dut = self._dut
        if not dut.ready.value:
            await First(RisingEdge(dut.ready), Timer(max(1, int(timeout)) * PERIOD_NS, "ns"))
            await RisingEdge(dut.clk)
        if not dut.ready.value:
            return b""
        count = int(dut.received_count.value)
        data = int(dut.received_data.value).to_bytes(CHUNK, "little")[:count]
        dut.take.value = 1 - int(dut.take.value)
        await RisingEdge(dut.clk)
        await RisingEdge(dut.clk)
        return data

    def clock(self) -> float:
        """Cycles so far."""
        return float(get_sim_time("ns")) / PERIOD_NS

    def close(self) -> None:
        """There is nothing to give up."""


async def reset(dut: Any) -> None:
    """Hold the board in reset, as it is until its PLL has locked."""
    dut.rst.value = 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
