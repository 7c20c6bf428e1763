"""What the tests of components share: a clocked run, an external memory, position tiles."""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from hw.config import HardwareConfig


def simulate(dut: Elaboratable, bench: Callable[[Any], Any], *background: Callable[[Any], Any]) -> None:
    """Run `bench` to its end beside endless `background` processes.

    Processes drive their inputs at the start of a cycle and look at outputs by ``tick().sample(...)`` only, at its end:
    their order does not matter. Background processes cannot do otherwise, and what they drive in a cycle settles once;
    for `bench` the design settles at every input it sets: a bench that sets many in every cycle is a slow one.
    """
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    for process in background:
        simulator.add_process(process)
    simulator.add_testbench(bench)
    simulator.run()


class Inputs:
    """Inputs that are driven in every cycle: one that stays is not set again, for the design would settle again."""

    def __init__(self, ctx: Any, *signals: Any):
        self._set, self._signals = ctx.set, signals
        self._values: tuple[Any, ...] = (None,) * len(signals)

    def drive(self, *values: Any) -> None:
        """Values of all of them, in order."""
        for signal, value, before in zip(self._signals, values, self._values, strict=True):
            if value != before:
                self._set(signal, value)
        self._values = values


class MemoryModel:
    """External memory behind a `MemoryPort`: answers in order.

    Parameters
    ----------
    port : interface
        The component's port.
    read : callable
        Beat by address.
    seed, request_rate, response_rate : int, float, float
        Chance of accepting a request and of offering a beat in a cycle; an offered beat stays until it is taken.
    latency : int
        Cycles from a request's acceptance to its first beat, at least 1.
    outstanding : int, optional
        No request is accepted while so many bursts have not ended.
    """

    def __init__(
        self,
        port: Any,
        read: Callable[[int], int],
        *,
        seed: int = 0,
        request_rate: float = 1.0,
        response_rate: float = 1.0,
        latency: int = 1,
        outstanding: int | None = None,
    ):
        self._port, self._read, self._rng = port, read, random.Random(seed)
        self._request_rate, self._response_rate, self._latency = request_rate, response_rate, latency
        self._outstanding = outstanding
        self.requests: list[tuple[int, int]] = []
        """Address and beats of every burst accepted."""

    async def process(self, ctx: Any) -> None:
        request, response, rng = self._port.request, self._port.response, self._rng
        beats: deque[tuple[int, int, bool]] = deque()  # address, the first cycle to offer it in, end of its burst
        offered, outstanding = False, 0
        inputs = Inputs(ctx, request.ready, response.valid)
        ticks = aiter(ctx.tick().sample(request.valid, request.payload, response.ready))
        for cycle in itertools.count():
            accept = rng.random() < self._request_rate and outstanding != self._outstanding
            offered = offered or (bool(beats) and beats[0][1] <= cycle and rng.random() < self._response_rate)
            inputs.drive(accept, offered)
            ctx.set(response.payload, self._read(beats[0][0]) if offered else rng.getrandbits(len(response.payload)))
            _, _, valid, payload, ready = await anext(ticks)
            if offered and ready:
                outstanding -= beats.popleft()[2]
                offered = False
            if accept and valid:
                self.requests.append((payload.address, payload.length + 1))
                outstanding += 1
                end = payload.address + payload.length
                addresses = range(payload.address, end + 1)
                beats.extend((address, cycle + self._latency, address == end) for address in addresses)


def random_stream(stream: Any, payloads: Sequence[int], *, seed: int, rate: float) -> Callable[[Any], Any]:
    """Process that sends `payloads`, each offered with chance `rate` and then held until it is taken."""

    async def process(ctx: Any) -> None:
        rng = random.Random(seed)
        for payload in payloads:
            while rng.random() >= rate:
                ctx.set(stream.valid, 0)
                await ctx.tick()
            ctx.set(stream.valid, 1)
            ctx.set(stream.payload, payload)
            while not (await ctx.tick().sample(stream.ready))[2]:
                pass
        ctx.set(stream.valid, 0)

    return process


def tile_fields(config: HardwareConfig, positions: int, tile_groups: int, time_chunks: int = 1) -> dict[str, int]:
    """Descriptor fields that cut `positions` into tiles of `tile_groups` groups, the last one shorter.

    A position group has a word for each time chunk.
    """
    groups = -(-positions // config.positions)
    tiles = -(-groups // tile_groups)
    return {
        "positions": positions,
        "groups": groups,
        "tiles": tiles,
        "tile_groups": tile_groups * time_chunks,
        "last_tile_groups": (groups - (tiles - 1) * tile_groups) * time_chunks,
        "time_chunks": time_chunks,
    }
