"""The cocotb test in which cocotbext-axi, written by others, is host and memory of the accelerator.

`test_third_party` starts it inside the simulator; the environment variable `JOB` names a JSON file with what to run.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Combine, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp

from hw.host.registers import IDENTITY, REGISTERS, Control, Interrupt, Status
from hw.verilog.flat_ports import RESET_CYCLES

JOB = "THIRD_PARTY_JOB"
WHILE_BUSY = 40
"""Rounds of register accesses beside the job."""

RESET_READS = 500
"""How often a host may have to look at STATUS before a reset is over."""


def pauses(rng: random.Random, share: float) -> Iterator[bool]:
    """Whether a channel waits, cycle by cycle."""
    while True:
        yield rng.random() < share


def pause_everything(interfaces: list[Any], share: float) -> None:
    """Let each channel of each interface wait at random, in its own way."""
    for number, interface in enumerate(interfaces):
        for name in ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel"):
            if hasattr(interface, name):
                getattr(interface, name).set_pause_generator(pauses(random.Random(f"{number} {name}"), share))


class Host:
    """Registers by name, through somebody else's bus model."""

    def __init__(self, master: AxiLiteMaster):
        self._master = master

    async def read(self, name: str, index: int = 0) -> tuple[int, AxiResp]:
        """A word, and how its read was answered."""
        answer = await self._master.read(REGISTERS[name].address + 4 * index, 4)
        return int.from_bytes(answer.data, "little"), answer.resp

    async def get(self, name: str, index: int = 0) -> int:
        """A word that may be read."""
        word, response = await self.read(name, index)
        assert response == AxiResp.OKAY, name
        return word

    async def write(self, name: str, value: int) -> AxiResp:
        """Write a register; how that was answered."""
        answer = await self._master.write(REGISTERS[name].address, value.to_bytes(4, "little"))
        return AxiResp(answer.resp)

    async def put(self, name: str, value: int) -> None:
        """Write a register that may be written."""
        assert await self.write(name, value) == AxiResp.OKAY, name

    async def put_at_once(self, values: dict[str, int]) -> None:
        """Write registers without waiting for each other's answers."""
        await Combine(*(cocotb.start_soon(self.put(name, value)) for name, value in values.items()))

    async def refused(self, name: str) -> None:
        """A read that the register map refuses while a job runs."""
        assert (await self.read(name))[1] == AxiResp.SLVERR, name


async def look_at_everything(host: Host, prepared: dict[str, int]) -> None:
    """What the register map promises of a job under way, all asked for at once."""

    async def same(name: str, value: int) -> None:
        assert await host.get(name) == value, name

    async def not_written(name: str) -> None:
        assert await host.write(name, 0xFFFF_FFFF) == AxiResp.SLVERR, name

    accesses = [
        *(host.refused(name) for name, register in REGISTERS.items() if register.idle),
        *(not_written(name) for name, register in REGISTERS.items() if register.access == "r"),
        *(same(name, value) for name, value in prepared.items()),
        same("IDENTITY", IDENTITY),
        same("CONTROL", 0),
        same("STATUS", Status.BUSY),
        same("ERROR", 0),
    ]
    random.shuffle(accesses)
    await Combine(*map(cocotb.start_soon, accesses))


async def reset_in_mid_job(host: Host, dut: Any, after: int) -> None:
    """Start a job, stop it while memory owes it data, and see that nothing is left of it."""
    await host.put("CONTROL", Control.START)
    await ClockCycles(dut.aclk, after)
    assert await host.get("STATUS") == Status.BUSY
    await host.put("CONTROL", Control.RESET)
    for _ in range(RESET_READS):
        if not await host.get("STATUS"):
            return
    raise AssertionError(f"busy after {RESET_READS} reads of STATUS")


async def most_data_ahead(dut: Any, seen: list[int]) -> None:
    """By how many words data of writes was ahead of their addresses."""
    ahead = 0
    while True:
        await RisingEdge(dut.aclk)
        ahead += int(dut.s_axi_ctrl_wvalid.value and dut.s_axi_ctrl_wready.value)
        ahead -= int(dut.s_axi_ctrl_awvalid.value and dut.s_axi_ctrl_awready.value)
        seen[0] = max(seen[0], ahead)


@cocotb.test()
async def models_of_others_run_jobs(dut: Any) -> None:
    """Run every image, look at registers meanwhile, and leave what came out."""
    job = json.loads(Path(os.environ[JOB]).read_text())
    random.seed(job["seed"])
    cocotb.start_soon(Clock(dut.aclk, 10, unit="ns").start())
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi_ctrl"), dut.aclk, dut.aresetn, reset_active_level=False)
    content = Path(job["memory"]).read_bytes()
    memory = AxiRam(
        AxiBus.from_prefix(dut, "m_axi_mem"), dut.aclk, dut.aresetn, reset_active_level=False, size=len(content)
    )
    memory.write(0, content)
    pause_everything([master.write_if, master.read_if, memory.write_if, memory.read_if], job["pauses"])
    dut.aresetn.value = 0
    await ClockCycles(dut.aclk, RESET_CYCLES)
    dut.aresetn.value = 1
    host, outcomes, data_ahead = Host(master), [], [0]
    cocotb.start_soon(most_data_ahead(dut, data_ahead))
    prepared = {
        "PROGRAM_ADDRESS_LOW": 0, "PROGRAM_ADDRESS_HIGH": 0, "PROGRAM_BYTES": job["program_bytes"],
        "IMAGE_ADDRESS_HIGH": 0, "RESULT_ADDRESS_LOW": job["record"], "RESULT_ADDRESS_HIGH": 0, "RESULT_ENABLE": 1,
        "INTERRUPT_ENABLE": Interrupt.DONE,
    }  # fmt: skip
    for image in job["images"]:
        await host.put_at_once(prepared | {"IMAGE_ADDRESS_LOW": image})
        await reset_in_mid_job(host, dut, random.randrange(50, 1500))
        await host.put("CONTROL", Control.START)
        for _ in range(WHILE_BUSY):
            await look_at_everything(host, prepared)
        await with_timeout(RisingEdge(dut.interrupt), 10 * job["cycle_limit"], "ns")
        assert await host.get("STATUS") == Status.DONE
        await host.put("INTERRUPT_STATUS", Interrupt.DONE)
        outcomes.append(
            {
                "logits": [await host.get("LOGITS", index) for index in range(job["classes"])],
                "prediction": await host.get("PREDICTION"),
                "cycles": await host.get("CYCLES"),
                "jobs": await host.get("JOBS"),
                "record": memory.read(job["record"], job["record_bytes"]).hex(),
            }
        )
    assert dut.mem_kept.value and dut.ctrl_kept.value, (dut.mem_broken.value, dut.ctrl_broken.value)
    Path(job["outcomes"]).write_text(json.dumps({"images": outcomes, "data_ahead": data_ahead[0]}))
