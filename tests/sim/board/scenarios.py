"""What happens on the wires of a simulated board; run by tests/sim/board/test_board.py inside the simulator."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, Timer

from hw.board.boards import ULX3S_85F
from hw.board.link_protocol import END, Operation
from hw.host.registers import REGISTERS
from hw.named_configs import MINI
from sim.board.job import BoardJob, classify, connected
from sim.board.pins import PERIOD_NS, SimulatedPins
from sim.components.harness import parameters
from sw.driver.byte_transport import LinkLost
from sw.driver.driver import Driver
from sw.driver.link_frames import request
from sw.driver.serial_bus import SerialBus

FLIPS = 1 << 19
"""Bits that noise flips, of 2^32: one of 8,192, so that every second of the longest frames is damaged."""


def job() -> BoardJob:
    """What the test brought."""
    return BoardJob.load(Path(parameters()["job"]))


@cocotb.test()
async def images_are_classified_as_by_the_golden_model(dut: Any) -> None:
    """The whole way: program, images, registers, records."""
    bus = await connected(dut)
    assert (await classify(bus, job())).logits.tolist() == parameters()["logits"] and bus.repeated == 0
    found = await bus.identify()
    assert (found.name, found.config, found.clock_hz) == (ULX3S_85F.name, MINI.fingerprint, ULX3S_85F.clock_hz)
    assert (found.memory_address, found.memory_bytes, found.bad_frames) == (0, ULX3S_85F.memory_bytes, 0)
    assert dut.alive.value == 1 and dut.error.value == 0


@cocotb.test()
async def noise_costs_time_and_nothing_else(dut: Any) -> None:
    """Flipped bits in both directions."""
    bus = await connected(dut)
    dut.noise.value = FLIPS
    bus._transport.patience /= 4
    assert (await classify(bus, job())).logits.tolist() == parameters()["logits"]
    dut.noise.value = 0
    await Timer(10_000 * PERIOD_NS, "ns")
    assert bus.repeated > 3 and (await bus.identify()).bad_frames > 1 and dut.error.value == 1


@cocotb.test()
async def every_byte_of_the_memory_is_reached(dut: Any) -> None:
    """Any address and length, up to the end; nothing beside it changes."""
    bus, rng = await connected(dut), random.Random(1)
    for end in (4096, bus.memory_bytes):
        content = bytearray(rng.randbytes(80))
        await bus.write_memory(end - 80, bytes(content))
        for _ in range(10):
            at, count = rng.randrange(80), rng.randrange(1, 9)
            data = rng.randbytes(min(count, 80 - at))
            content[at : at + len(data)] = data
            await bus.write_memory(end - 80 + at, data)
            assert await bus.read_memory(end - 80 + at, len(data)) == data
        assert await bus.read_memory(end - 80, 80) == content
    long = rng.randbytes(3001)
    await bus.write_memory(5, long)
    assert await bus.read_memory(5, 3001) == long


@cocotb.test()
async def a_host_that_dies_in_a_frame_leaves_the_board_to_the_next_one(dut: Any) -> None:
    """Cut at many places; the next host's first write has the tag of the dead one's last."""
    pins = SimulatedPins(dut)
    bus = await connected(dut)
    enable = REGISTERS["INTERRUPT_ENABLE"].address
    dead = request(Operation.WRITE_REGISTERS, 4, enable, 1, bytes([END, 0, 0, 0]))
    cuts = range(2, len(dead) - 1, 3)
    for cut in cuts:
        await pins.send(dead[:cut])
        if cut % 2:
            await Timer(5_000 * PERIOD_NS, "ns")
        bus = SerialBus(SimulatedPins(dut))
        await bus.connect()
        assert await bus.read(enable) == 0
    assert (await bus.identify()).bad_frames == len(cuts)
    for value in (1, 2):  # both with the same tag
        bus = SerialBus(SimulatedPins(dut))
        await bus.connect()
        await bus.write(enable, value)
        assert await bus.read(enable) == value


@cocotb.test()
async def a_lost_answer_repeats_no_write(dut: Any) -> None:
    """START is written once: a second one would be ignored and shown."""
    bus = await connected(dut)
    driver = Driver(bus, MINI)
    await driver.write("PROGRAM_BYTES", 64)
    pins = bus._transport
    send, lost = pins.send, []

    async def deaf(data: bytes) -> None:
        await send(data)
        if not lost:
            dut.unplugged.value = 1
            await Timer(1_000 * PERIOD_NS, "ns")
            dut.unplugged.value = 0
            lost.append(data)

    pins.send = deaf
    await driver.write("CONTROL", 1)
    assert lost and bus.repeated == 1
    assert (await driver.wait(10_000)).error and await driver.read("JOBS") == 1


@cocotb.test()
async def an_unplugged_cable_is_one_error(dut: Any) -> None:
    """And the board is there again when the cable is."""
    bus = await connected(dut)
    dut.unplugged.value = 1
    bus._transport.patience = 3_000
    try:
        await bus.read(0)
    except LinkLost as error:
        assert "no answer from the simulated board to 8 requests (READ_REGISTERS at 0x0)" in str(error)
    else:
        raise AssertionError("nothing was raised")
    dut.unplugged.value = 0
    assert await bus.read(0) == int(REGISTERS["IDENTITY"].text, 16)


@cocotb.test()
async def errors_of_accesses_are_raised(dut: Any) -> None:
    """From a register that is not there, and from addresses outside of the memory."""
    bus = await connected(dut)
    for attempt in (bus.read(0x0FFC), bus.write(0, 1)):
        try:
            await attempt
        except RuntimeError as error:
            assert "answered with an error" in str(error)
        else:
            raise AssertionError("nothing was raised")
    try:
        await bus.read_memory(bus.memory_bytes - 2, 4)
    except ValueError as error:
        assert "0x0 to 0x30000" in str(error)
    else:
        raise AssertionError("nothing was raised")


@cocotb.test()
async def the_link_works_at_other_rates(dut: Any) -> None:
    """At the divisor that is built, and with a host that is 2 % off."""
    bus = await connected(dut, divisor=ULX3S_85F.divisor)
    bus._transport.patience *= 12
    data = random.Random(2).randbytes(64)
    await bus.write_memory(0, data)
    assert await bus.read_memory(0, 64) == data
    await RisingEdge(dut.clk)
