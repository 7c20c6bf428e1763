"""A board with nothing on the table: the accelerator's Verilog in Verilator, reached as any board is."""

from __future__ import annotations

import json
import os
import socket
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDone
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from hw.config import HardwareConfig
from hw.named_configs import BASE
from sim.runner import build
from sim.testbench.protocol import SERVER_VARIABLE
from sim.verilator.processes import kill_running
from sim.verilator.simulation import Build, Simulation
from sim.verilator.toolchain import find_toolchain
from sim.verilator.verilate import BUILD_FOLDER
from sw.checkout import BUILD, ROOT
from sw.claims import first_free, using
from sw.errors import UserError

MEMORY_BYTES = 8 << 20
"""Enough for the program of Spikformer-4-256."""

LAST_SECONDS = 10.0
"""How long a simulator may take to end."""


class SimulatedBus:
    """A simulated accelerator and its memory, as `sw.driver.bus.Bus`: it blocks, and its clock counts cycles.

    Parameters
    ----------
    simulator : Build
        As `sim.runner.build` gives it.
    config : HardwareConfig
        What it is of.
    folder : Path
        Keeps the memory image and the log.
    memory_bytes : int
        Size of the memory.
    latency, stall_percent, stall_seed : int
        Its behaviour, see `sim.testbench.protocol.SimulatorJob`.

    Raises
    ------
    UserError
        If the simulator does not start.
    """

    memory_address = 0

    def __init__(
        self, simulator: Build, config: HardwareConfig, folder: Path, *, memory_bytes: int = MEMORY_BYTES,
        latency: int = 20, stall_percent: int = 0, stall_seed: int = 1,
    ):  # fmt: skip
        self.memory_bytes, self._now, self._received, self._requests = memory_bytes, 0.0, b"", 0
        self._held = ExitStack()
        self._log = folder.absolute() / "run.log"
        memory, transfer = folder.absolute() / "memory.bin", folder.absolute() / "transfer"
        folder.mkdir(parents=True, exist_ok=True)
        with memory.open("wb") as file:
            file.truncate(memory_bytes)
        self._socket, other = socket.socketpair()
        settings = {
            "socket": other.fileno(), "config": config.to_dict(), "memory_bytes": memory_bytes,
            "transfer": str(transfer),
        }  # fmt: skip
        simulation = Simulation(find_toolchain(), waves=simulator.waves, pass_fds=(other.fileno(),))
        options: dict[str, Any] = {
            "plusargs": [
                f"+memory={memory}", f"+transfer={transfer}", f"+latency={latency}", f"+stall={stall_percent}",
                f"+stall_seed={stall_seed}",
            ],
            "extra_env": {
                SERVER_VARIABLE: json.dumps(settings),
                "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
                "COCOTB_REWRITE_ASSERTION_FILES": "",  # see `sim.runner.run`
            },
        }  # fmt: skip
        self._process: Future[None] = Future()

        def simulate() -> None:
            try:
                simulation.simulate(simulator, "sim.testbench.server", folder.absolute(), **options)
                self._process.set_result(None)
            except BaseException as error:
                self._process.set_exception(error)

        # A daemon: whoever forgets to close the board need not wait for it, the simulator ends with the socket.
        threading.Thread(target=simulate, daemon=True).start()
        with other:
            self._socket.settimeout(0.1)  # until it has begun: our copy of its end of the socket hides that it is gone
            self._call("wait", 1)
            self._socket.settimeout(None)

    def hold(self, resources: ExitStack) -> None:
        """Give resources back when it is closed."""
        self._held.push(resources)

    def _call(self, call: str, *arguments: Any) -> Any:
        self._requests += 1
        self._sent(json.dumps([self._requests, call, arguments]).encode() + b"\n")
        answer = json.loads(self._line())
        while answer["request"] != self._requests:  # to a request whose caller was interrupted
            answer = json.loads(self._line())
        self._now = answer["clock"]
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def _sent(self, line: bytes) -> None:
        try:
            self._socket.sendall(line)
        except OSError:
            self._ended()

    def _line(self) -> bytes:
        """The next line of the simulator."""
        while b"\n" not in self._received:
            try:
                received = self._socket.recv(1 << 16)
            except TimeoutError:
                if self._process.done():
                    self._ended()
                continue
            except OSError:
                received = b""
            if not received:
                self._ended()
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _ended(self) -> NoReturn:
        """Say why the simulator is gone."""
        try:
            self._process.result(LAST_SECONDS)
        except (RuntimeError, NotDone) as error:
            raise UserError(f"the simulator ended, see {self._log}: {str(error).splitlines()[0]}") from error
        raise UserError(f"the simulator has ended, see {self._log}: open it again")

    async def read(self, address: int) -> int:
        """Value of a register."""
        return int(self._call("read", address))

    async def write(self, address: int, value: int) -> None:
        """Write a register."""
        self._call("write", address, int(value))

    async def read_memory(self, address: int, count: int) -> bytes:
        """Bytes of the memory from an address on."""
        return bytes.fromhex(self._call("read_memory", address, count))

    async def write_memory(self, address: int, data: bytes) -> None:
        """Write bytes to the memory."""
        self._call("write_memory", address, data.hex())

    async def wait(self, timeout: float) -> None:
        """Until the interrupt, or so many cycles."""
        self._call("wait", timeout)

    def set(self, signal: str, value: int) -> None:
        """Set a signal of the testbench, to make something go wrong."""
        self._call("set", signal, value)

    def clock(self) -> float:
        """Cycles so far."""
        return self._now

    def close(self) -> None:
        """End the simulator.

        Raises
        ------
        UserError, RuntimeError
            If it failed.
        """
        self._socket.close()
        with self._held:
            try:
                self._process.result(LAST_SECONDS)
            except NotDone:
                kill_running()


def open_simulation(
    config: HardwareConfig = BASE, *, jobs: int | None = None, folder: Path = BUILD / "board", **options: Any
) -> SimulatedBus:
    """Start a simulated accelerator; its simulator is built if it is not yet (a minute for small configurations).

    Parameters
    ----------
    config : HardwareConfig
        Size of the accelerator.
    jobs : int, optional
        Compilers at a time; by default one for each processor.
    folder : Path
        Keeps the memory image and the log; if another process works there, the same name with a number.
    options
        As `SimulatedBus` takes them.

    Returns
    -------
    SimulatedBus
        Close it when it is no longer needed.
    """
    with ExitStack() as stack:
        stack.enter_context(using(BUILD_FOLDER))
        place = stack.enter_context(first_free(folder, lambda _: None))
        bus = SimulatedBus(build(config, jobs=jobs or os.cpu_count() or 1), config, place, **options)
        bus.hold(stack.pop_all())
    return bus
