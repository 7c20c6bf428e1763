"""AXI partners for the tests of components: a memory with both directions, and a register master."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from hw.external.axi import BOUNDARY_BYTES, BUFFERABLE_MODIFIABLE, INCR, Response
from tests.hw.benches import Inputs


class Stable:
    """Checks that a channel which was offered and not accepted stays as it is."""

    def __init__(self, name: str):
        self.name, self.held = name, None

    def see(self, valid: int, ready: int, payload: tuple[int, ...]) -> bool:
        """Look at one cycle; whether a transfer happened."""
        if self.held is not None:
            assert valid and payload == self.held, f"{self.name} changed before it was accepted"
        self.held = payload if valid and not ready else None
        return bool(valid and ready)


def check_burst(data_bits: int, address: int, length: int, size: int, burst: int, cache: int) -> None:
    """Assert what every burst of this project's masters must be."""
    width = data_bits // 8
    assert burst == INCR and cache == BUFFERABLE_MODIFIABLE and 1 << size == width
    assert address % width == 0
    assert address // BOUNDARY_BYTES == (address + (length + 1) * width - 1) // BOUNDARY_BYTES, "crosses 4 KB"


class ReadSlave:
    """Memory behind an `Axi4Read`: answers in order, `latency` cycles after a request at the earliest.

    Parameters
    ----------
    axi : interface
        The master's port.
    read : callable
        Beat by its byte address.
    rate : float
        Chance of accepting a request and of offering a beat in a cycle.
    respond : callable
        RRESP by byte address.
    """

    def __init__(
        self,
        axi: Any,
        read: Callable[[int], int],
        *,
        data_bits: int = 64,
        latency: int = 1,
        rate: float = 1.0,
        seed: int = 0,
        respond: Callable[[int], int] = lambda _: Response.OKAY,
    ):
        self._axi, self._read, self._respond = axi, read, respond
        self._data_bits, self._latency, self._rate, self._rng = data_bits, latency, rate, random.Random(seed)
        self.bursts: list[tuple[int, int]] = []
        """Byte address and beats of every burst."""
        self.offered: list[int] = []
        """Cycle of every accepted request."""
        self.under_way = 0
        self.most_under_way = 0
        self.delivered = 0

    async def process(self, ctx: Any) -> None:
        axi, rng, stable = self._axi, self._rng, Stable("AR")
        waiting: deque[tuple[int, int, bool]] = deque()  # cycle from which it may come, address, last
        offer, cycle, width = False, 0, self._data_bits // 8
        inputs = Inputs(ctx, axi.arready, axi.rvalid)
        ticks = aiter(
            ctx.tick().sample(
                axi.arvalid, axi.araddr, axi.arlen, axi.arsize, axi.arburst, axi.arcache, axi.rready
            )
        )  # fmt: skip
        while True:
            ready = rng.random() < self._rate
            offer = offer or (bool(waiting) and waiting[0][0] <= cycle and rng.random() < self._rate)
            inputs.drive(ready, offer)
            ctx.set(axi.rdata, self._read(waiting[0][1]) if offer else rng.getrandbits(self._data_bits))
            ctx.set(axi.rresp, self._respond(waiting[0][1]) if offer else rng.getrandbits(2))
            ctx.set(axi.rlast, waiting[0][2] if offer else rng.getrandbits(1))
            _, _, valid, address, length, size, burst, cache, taken = await anext(ticks)
            if offer and taken:
                self.under_way -= waiting.popleft()[2]
                self.delivered += 1
                offer = False
            if stable.see(valid, ready, (address, length)):
                check_burst(self._data_bits, address, length, size, burst, cache)
                self.bursts.append((address, length + 1))
                self.offered.append(cycle)
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                waiting += [
                    (cycle + self._latency, address + width * beat, beat == length) for beat in range(length + 1)
                ]
            cycle += 1


class WriteSlave:
    """Memory behind an `Axi4Write`: data may come before its address; `memory` holds bytes by address."""

    def __init__(
        self,
        axi: Any,
        *,
        data_bits: int = 64,
        rate: float = 1.0,
        seed: int = 0,
        respond: Callable[[int], int] = lambda _: Response.OKAY,
    ):
        self._axi, self._data_bits, self._rate, self._respond = axi, data_bits, rate, respond
        self._rng = random.Random(seed)
        self.memory: dict[int, int] = {}
        self.bursts: list[tuple[int, int]] = []

    async def process(self, ctx: Any) -> None:
        axi, rng, width = self._axi, self._rng, self._data_bits // 8
        address_stable, data_stable = Stable("AW"), Stable("W")
        addresses: deque[tuple[int, int]] = deque()
        data: list[tuple[int, int]] = []
        complete: deque[list[tuple[int, int]]] = deque()
        offer = False
        inputs = Inputs(ctx, axi.awready, axi.wready, axi.bvalid)
        ticks = aiter(
            ctx.tick().sample(
                axi.awvalid, axi.awaddr, axi.awlen, axi.awsize, axi.awburst, axi.awcache,
                axi.wvalid, axi.wdata, axi.wstrb, axi.wlast, axi.bready,
            )
        )  # fmt: skip
        while True:
            address_ready, data_ready = rng.random() < self._rate, rng.random() < self._rate
            offer = offer or (bool(addresses) and bool(complete) and rng.random() < self._rate)
            inputs.drive(address_ready, data_ready, offer)
            ctx.set(axi.bresp, self._respond(addresses[0][0]) if offer else rng.getrandbits(2))
            _, _, valid, address, length, size, burst, cache, data_valid, beat, strobe, last, taken = await anext(ticks)
            if offer and taken:
                start, beats = addresses.popleft()
                written = complete.popleft()
                assert len(written) == beats, "WLAST is not at the end of the burst"
                for index, (value, strobes) in enumerate(written):
                    for byte in range(width):
                        if strobes >> byte & 1:
                            self.memory[start + index * width + byte] = value >> 8 * byte & 255
                offer = False
            if address_stable.see(valid, address_ready, (address, length)):
                check_burst(self._data_bits, address, length, size, burst, cache)
                addresses.append((address, length + 1))
                self.bursts.append((address, length + 1))
            if data_stable.see(data_valid, data_ready, (beat, strobe, last)):
                data.append((beat, strobe))
                if last:
                    complete.append(data)
                    data = []

    def words(self, address: int, count: int) -> list[int]:
        """32-bit words from a byte address on."""
        return [sum(self.memory[address + 4 * word + byte] << 8 * byte for byte in range(4)) for word in range(count)]


class RegisterMaster:
    """Host behind an `AxiLite`.

    Parameters
    ----------
    axi : interface
        The slave's port.
    rate : float
        Chance of going on with a channel in a cycle: address and data of a write then come in any order.
    """

    def __init__(self, axi: Any, *, rate: float = 1.0, seed: int = 0):
        self._axi, self._rate, self._rng = axi, rate, random.Random(seed)

    async def _pause(self, ctx: Any) -> None:
        while self._rng.random() >= self._rate:
            await ctx.tick()

    async def read(self, ctx: Any, address: int) -> tuple[int, Response]:
        """Data and response."""
        axi = self._axi
        await self._pause(ctx)
        ctx.set(axi.araddr, address)
        ctx.set(axi.arvalid, 1)
        await self._until(ctx, axi.arready)
        ctx.set(axi.arvalid, 0)
        await self._pause(ctx)
        ctx.set(axi.rready, 1)
        data, response = await self._until(ctx, axi.rvalid, axi.rdata, axi.rresp)
        ctx.set(axi.rready, 0)
        return data, Response(response)

    async def write(self, ctx: Any, address: int, value: int, *, strobe: int = 15) -> Response:
        """Write a word; its response."""
        axi = self._axi
        ctx.set(axi.awaddr, address)
        ctx.set(axi.wdata, value)
        ctx.set(axi.wstrb, strobe)
        offered, left = set(), {"aw", "w"}
        for _ in range(1000):
            for channel in sorted(left - offered):
                if self._rng.random() < self._rate:
                    offered.add(channel)
                    ctx.set(getattr(axi, f"{channel}valid"), 1)
            _, _, *ready = await ctx.tick().sample(axi.awready, axi.wready)
            for channel, accepted in zip(("aw", "w"), ready, strict=True):
                if accepted and channel in offered & left:
                    left.remove(channel)
                    ctx.set(getattr(axi, f"{channel}valid"), 0)
            if not left:
                break
        else:
            raise AssertionError("the slave does not accept a write")
        await self._pause(ctx)
        ctx.set(axi.bready, 1)
        (response,) = await self._until(ctx, axi.bvalid, axi.bresp)
        ctx.set(axi.bready, 0)
        return Response(response)

    @staticmethod
    async def _until(ctx: Any, condition: Any, *values: Any) -> list[int]:
        for _ in range(1000):
            _, _, happened, *sampled = await ctx.tick().sample(condition, *values)
            if happened:
                return sampled
        raise AssertionError("the slave does not answer")
