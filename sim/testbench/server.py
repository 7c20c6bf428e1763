"""The cocotb test that lets a host in another process use the testbench, as `sim.simulated_board` does.

Simulated time stands still while the host thinks. Requests and answers are lines of JSON on a socket that the
simulator inherits: a number, which the answer repeats, a method of `TestbenchBus` or ``set`` for a signal of the
testbench, and arguments; bytes are hexadecimal.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import cocotb

from hw.config import HardwareConfig
from sim.testbench.bus import TestbenchBus, reset
from sim.testbench.objection import objection
from sim.testbench.protocol import SERVER_VARIABLE


async def answer(dut: Any, bus: TestbenchBus, call: str, arguments: list[Any]) -> Any:
    """What a request comes to, as JSON takes it."""
    if call == "set":
        name, value = arguments
        getattr(dut, name).value = value
        return None
    if call == "write_memory":
        arguments = [arguments[0], bytes.fromhex(arguments[1])]
    value = await getattr(bus, call)(*arguments)
    return value.hex() if isinstance(value, bytes) else value


@cocotb.test()
async def serve(dut: Any) -> None:
    """Answer requests until the host closes the socket."""
    settings = json.loads(os.environ[SERVER_VARIABLE])
    await reset(dut)
    config, transfer = HardwareConfig.from_dict(settings["config"]), Path(settings["transfer"])
    bus = TestbenchBus(dut, config, settings["memory_bytes"], transfer)
    with socket.socket(fileno=settings["socket"]) as connection, connection.makefile(encoding="utf-8") as lines:
        for line in lines:
            request, call, arguments = json.loads(line)
            found: dict[str, Any] = {"request": request}
            try:
                found["value"] = await answer(dut, bus, call, arguments)
            except Exception as error:
                found["error"] = str(error)
            if fault := objection(dut):
                found["error"] = fault
            connection.sendall(json.dumps({**found, "clock": bus.clock()}).encode() + b"\n")
