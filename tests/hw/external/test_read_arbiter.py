"""Every port gets what it asked for, in order, and the program's beats beside an image's are where the model says."""

from __future__ import annotations

import random
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from golden.cycles.external_memory import ExternalMemory, Word
from golden.cycles.program_stream import ProgramStream
from hw.config import HardwareConfig
from hw.descriptor import Opcode
from hw.external.memory_port import MemoryPort
from hw.external.read_arbiter import OUTSTANDING, ReadArbiter
from hw.memory.image_load import ImageLoad
from hw.memory.spike_memory import SpikeWrite
from hw.named_configs import CONFIGS, LARGE, TINY
from hw.program.reader import ProgramReader
from tests.hw.benches import Inputs, MemoryModel, simulate
from tests.hw.programs import assemble, enclosed, plain_layer, weight_layer


class Port:
    """Asks for random bursts and takes their beats with chance `rate`."""

    def __init__(self, port: Any, *, seed: int, bursts: int, rate: float):
        self._port, self._rng, self._rate = port, random.Random(seed), rate
        self.bursts = [(self._rng.getrandbits(32) >> 1, self._rng.choice([1, 2, 9])) for _ in range(bursts)]
        self.beats: list[int] = []

    @property
    def expected(self) -> list[int]:
        return [address + beat for address, length in self.bursts for beat in range(length)]

    async def process(self, ctx: Any) -> None:
        request, response, rng = self._port.request, self._port.response, self._rng
        waiting, valid = list(self.bursts), False
        inputs = Inputs(ctx, request.valid, response.ready)
        ticks = aiter(ctx.tick().sample(request.ready, response.valid, response.payload))
        while True:
            valid = valid or (bool(waiting) and rng.random() < self._rate)
            ready = rng.random() < self._rate
            address, length = waiting[0] if valid else (rng.getrandbits(32), rng.randint(1, 1 << 16))
            ctx.set(request.payload, {"address": address, "length": length - 1})
            inputs.drive(valid, ready)
            _, _, accepted, came, payload = await anext(ticks)
            if valid and accepted:
                waiting.pop(0)
                valid = False
            if came and ready:
                self.beats.append(payload)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("memory_rate", [1.0, 0.5])
@pytest.mark.parametrize("latency", [1, 3])  # the sooner one is sooner than a response may pass
@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_every_port_gets_its_beats(count, rate, memory_rate, latency):
    dut = ReadArbiter(64, count)
    ports = [Port(dut.ports[n], seed=n, bursts=40, rate=rate) for n in range(count)]
    memory = MemoryModel(
        dut.memory, lambda address: address, request_rate=memory_rate, response_rate=memory_rate, latency=latency
    )
    total = sum(len(port.expected) for port in ports)
    offered = []

    async def bench(ctx: Any) -> None:
        request, before = dut.memory.request, None
        ticks = aiter(ctx.tick().sample(request.valid, request.payload.as_value(), request.ready))
        for _ in range(40 * total):
            _, _, valid, payload, ready = await anext(ticks)
            # What is on offer stays.
            offered.append(before in (None, payload if valid else None))
            before = payload if valid and not ready else None
            if sum(len(port.beats) for port in ports) == total:
                return

    simulate(dut, bench, memory.process, *(port.process for port in ports))
    assert [port.beats for port in ports] == [port.expected for port in ports]
    assert all(offered)
    assert sorted(memory.requests) == sorted(burst for port in ports for burst in port.bursts)


def test_a_lower_port_goes_first_but_for_a_request_on_offer():
    dut = ReadArbiter(64, 2)
    addresses = []

    async def bench(ctx: Any) -> None:
        low, high, request = dut.ports[0].request, dut.ports[1].request, dut.memory.request
        ctx.set(low.payload.address, 100)
        ctx.set(high.payload.address, 200)
        ctx.set(high.valid, 1)
        for low_valid, ready in ((0, 0), (1, 0), (1, 1), (1, 0), (1, 1), (0, 1)):
            ctx.set(low.valid, low_valid)
            ctx.set(request.ready, ready)
            _, _, address, low_ready, high_ready = await ctx.tick().sample(
                request.payload.address, low.ready, high.ready
            )
            addresses.append((address, low_ready, high_ready))

    simulate(dut, bench)
    assert addresses == [(200, 0, 0), (200, 0, 0), (200, 0, 1), (100, 0, 0), (100, 1, 0), (200, 0, 1)]


def test_outstanding_bursts_are_bounded():
    dut = ReadArbiter(64, 2)
    ports = [Port(dut.ports[n], seed=n, bursts=20, rate=1.0) for n in range(2)]
    memory = MemoryModel(dut.memory, lambda address: address, latency=200)
    counts = []

    async def bench(ctx: Any) -> None:
        await ctx.tick().repeat(100)
        counts.append(len(memory.requests))
        await ctx.tick().repeat(2000)

    simulate(dut, bench, memory.process, *(port.process for port in ports))
    assert counts == [OUTSTANDING]
    assert [port.beats for port in ports] == [port.expected for port in ports]


class Frontend(wiring.Component):
    """What reads external memory in the accelerator: `order` names the arbiter's ports."""

    def __init__(self, config: HardwareConfig, order: list[str]):
        self.reader, self.load = ProgramReader(config), ImageLoad(config)
        self._bits, self._order = config.memory_bits, order
        super().__init__({"memory": Out(MemoryPort(config.memory_bits)), "write": Out(SpikeWrite(config, 20))})

    def elaborate(self, platform):
        m = Module()
        parts = {"reader": self.reader, "load": self.load}
        m.submodules.arbiter = arbiter = ReadArbiter(self._bits, len(parts))
        for name, part in parts.items():
            m.submodules[name] = part
            wiring.connect(m, part.memory, arbiter.ports[self._order.index(name)])
        wiring.connect(m, wiring.flipped(self.memory), arbiter.memory)
        # A load starts as its descriptor is accepted.
        descriptor = self.reader.descriptor
        m.d.comb += [
            self.load.descriptor.eq(descriptor.payload),
            self.load.start.eq(descriptor.valid & descriptor.ready & (descriptor.payload.opcode == Opcode.LOAD)),
        ]
        return m


@pytest.mark.parametrize("order", [["reader", "load"], ["load", "reader"]], ids="-".join)
@pytest.mark.parametrize("config", [TINY, LARGE], ids=lambda config: config.name)
@pytest.mark.parametrize(("latency", "outstanding"), [(2, None), (20, None), (20, 4), (150, 4), (3, 1)])
def test_image_and_program_come_as_predicted(order, config, latency, outstanding):
    """The start of a program: its first bursts, the image between them, the first layers."""
    rng = random.Random(4)
    load = plain_layer(rng, Opcode.LOAD)
    load.fields |= {"weight_beats": 5 * config.group_beats * 16, "memory_address": 1 << 20}
    layers = [weight_layer(config, rng, output_tiles=1, weight_beats=200, tiles=3) for _ in range(4)]
    program = [load, *layers, plain_layer(rng, Opcode.END)]
    stream = enclosed(config, assemble(config, program))
    dut = Frontend(config, order)
    memory = MemoryModel(
        dut.memory, lambda at: stream[at] if at < len(stream) else at, latency=latency, outstanding=outstanding
    )
    offered, taken, loaded = [], [], []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.reader.length, len(stream))
        ctx.set(dut.reader.descriptor.ready, 1)
        ctx.set(dut.reader.weights.ready, 1)
        inputs = Inputs(ctx, dut.reader.output_tile_drained, dut.reader.start)
        ticks = aiter(
            ctx.tick().sample(
                dut.reader.descriptor.valid, dut.reader.weights.valid, dut.load.memory.response.valid
            )
        )  # fmt: skip
        for cycle in range(5000):
            drain = len(taken) % 600 == 0 and bool(taken) and taken[-1] == cycle - 1
            inputs.drive(drain, cycle == 0)
            _, _, descriptor, weight, beat = await anext(ticks)
            for seen, now in ((offered, descriptor), (taken, weight), (loaded, beat)):
                if now:
                    seen.append(cycle)
            if len(offered) == len(program):
                break

    simulate(dut, bench, memory.process)

    model = ProgramStream(config, len(stream), ExternalMemory(latency, outstanding), start=0)
    model.header()
    accepted = model.descriptor(ready=0)
    cycles = [accepted]
    # Its request is on offer the cycle after its start.
    model.begin_load(accepted + 1, [load.fields["weight_beats"]], Word(config.group_beats), first=order[0] == "load")
    weights = []
    for layer in layers:
        accepted = model.descriptor(ready=accepted + 1)
        cycles.append(accepted)
        model.parameters(ready=0 if len(weights) < 6 else weights[-4] + 2)
        model.begin_weights(layer.fields["weight_beats"], tiles=layer.fields["tiles"], passes=1)
        weights += [model.weights(200, ready=0) for _ in range(3)]
    cycles.append(model.descriptor(ready=accepted + 1))
    assert offered == cycles
    assert taken[199::200] == weights
    image, last = model.end_load()
    assert loaded == list(range(image, last + 1))
    assert len(loaded) == load.fields["weight_beats"]


def test_configurations_share_one_width():
    """Reader and load of a configuration fit the same arbiter."""
    for config in CONFIGS.values():
        bits = {len(part(config).memory.response.payload) for part in (ProgramReader, ImageLoad)}
        assert bits == {config.memory_bits}
