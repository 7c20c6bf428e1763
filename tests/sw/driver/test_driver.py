"""The host driver on a simulated register bus."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from hw.host.registers import IDENTITY, REGISTERS, VERSION, Control, ErrorCause, Interrupt, Status
from hw.named_configs import BASE, TINY
from sw.compiler.program import enclose
from sw.driver.bus import DeviceStatus, DeviceTimeout, Snapshot
from sw.driver.driver import Driver
from sw.driver.results import JobResult, LayerCounters
from sw.errors import UserError


class Registers:
    """A bus onto a dictionary; remembers writes in order."""

    def __init__(self, **values):
        self.values = {REGISTERS[name].address: value for name, value in values.items()}
        self.written = []

    async def read(self, address):
        return self.values.get(address, 0)

    async def write(self, address, value):
        self.written.append((address, value))

    async def wait(self, timeout):
        assert timeout > 0

    def clock(self):
        return 0.0


def address(name):
    return REGISTERS[name].address


def device(**values):
    return Registers(**{"IDENTITY": IDENTITY, "VERSION": VERSION, "CONFIG": TINY.fingerprint, **values})


def test_check_accepts_this_device():
    asyncio.run(Driver(device(), TINY).check())


def test_check_refuses_another_device_or_version():
    with pytest.raises(UserError, match="no Spikeloom at this address: IDENTITY reads 0x00000000, not 0x53504B4C"):
        asyncio.run(Driver(Registers(), TINY).check())
    with pytest.raises(UserError, match=f"register map version {VERSION + 1}, this software version {VERSION}"):
        asyncio.run(Driver(device(VERSION=VERSION + 1), TINY).check())


def test_check_refuses_another_configuration():
    message = (
        f"built from another configuration: CONFIG reads 0x{TINY.fingerprint:08X}, "
        f"that of 'base' is 0x{BASE.fingerprint:08X}"
    )
    with pytest.raises(UserError, match=message):
        asyncio.run(Driver(device(), BASE).check())


def test_a_program_is_looked_at_before_it_is_started():
    program = enclose(np.arange(40, dtype=np.uint64), TINY).tobytes()

    class Memory(Registers):
        async def read_memory(self, at, count):
            return program[at - 4096 : at - 4096 + count]

    driver = Driver(Memory(), TINY)
    asyncio.run(driver.check_program(4096, len(program)))
    with pytest.raises(UserError, match=f"the program has {len(program)} bytes by its header, not {len(program) + 8}"):
        asyncio.run(driver.check_program(4096, len(program) + 8))
    with pytest.raises(UserError, match="this is no program: it begins with 01 00 00, not 53 50 4b"):
        asyncio.run(driver.check_program(4096 + 16, len(program)))


def test_the_watchdog_is_set_in_cycles():
    bus = Registers()
    asyncio.run(Driver(bus, TINY).set_watchdog(5000))
    assert bus.written == [(address("WATCHDOG"), 5000)]


def test_start_writes_the_addresses_before_the_start_bit():
    bus = Registers()
    asyncio.run(Driver(bus, TINY).start(program=0x12_3456_7000, program_bytes=999, image=0xFF_FFFF_FFF8, record=0x40))
    assert dict(bus.written) == {
        address("PROGRAM_ADDRESS_LOW"): 0x3456_7000,
        address("PROGRAM_ADDRESS_HIGH"): 0x12,
        address("PROGRAM_BYTES"): 999,
        address("IMAGE_ADDRESS_LOW"): 0xFFFF_FFF8,
        address("IMAGE_ADDRESS_HIGH"): 0xFF,
        address("RESULT_ADDRESS_LOW"): 0x40,
        address("RESULT_ADDRESS_HIGH"): 0,
        address("RESULT_ENABLE"): 1,
        address("CONTROL"): Control.START,
    }
    assert bus.written[-1] == (address("CONTROL"), Control.START)


def test_start_without_a_record_switches_it_off():
    bus = Registers()
    asyncio.run(Driver(bus, TINY).start(0, 64, 0))
    assert (address("RESULT_ENABLE"), 0) in bus.written


@pytest.mark.parametrize(
    ("addresses", "message"),
    [
        ({"program": 4, "image": 0}, r"PROGRAM_ADDRESS must be a multiple of 8 below 2\^40, not 0x4"),
        ({"program": 0, "image": 1 << 40}, r"IMAGE_ADDRESS must be a multiple of 8 below 2\^40, not 0x10000000000"),
        ({"program": 0, "image": 0, "record": 8}, r"RESULT_ADDRESS must be a multiple of 64 below 2\^40, not 0x8"),
    ],
)
def test_start_wrong(addresses, message):
    bus = Registers()
    with pytest.raises(ValueError, match=message):
        asyncio.run(Driver(bus, TINY).start(program_bytes=64, **addresses))
    assert address("CONTROL") not in dict(bus.written)


class Working(Registers):
    """Busy up to a time; every access takes a unit of it."""

    def __init__(self, busy_until, **values):
        super().__init__(**values)
        self.busy_until, self.now = busy_until, 0.0

    async def read(self, at):
        self.now += 1
        if at == address("STATUS") and self.now < self.busy_until:
            return Status.BUSY
        return await super().read(at)

    async def write(self, at, value):
        self.now += 1
        await super().write(at, value)

    def clock(self):
        return self.now

    def driver(self):
        return Driver(self, TINY)


@pytest.mark.parametrize("busy_until", [7, 300_000])
def test_reset_waits_as_long_as_the_caller_says_and_clears_interrupts(busy_until):
    bus = Working(busy_until, INTERRUPT_STATUS=5)
    asyncio.run(bus.driver().reset(timeout=300_000))
    assert bus.written == [(address("CONTROL"), Control.RESET), (address("INTERRUPT_STATUS"), 5)]
    assert busy_until <= bus.now < busy_until + 4


def test_a_reset_that_is_given_up_may_be_waited_for_again():
    bus = Working(100)
    message = (
        "after 50 the reset is not over, which takes a few cycles whatever memory does: look at the device's clock"
    )
    with pytest.raises(DeviceTimeout, match=message):
        asyncio.run(bus.driver().reset(timeout=50))
    asyncio.run(bus.driver().reset(timeout=50))
    assert bus.now >= 100


def test_wait_returns_how_the_job_ended():
    for error in (0, Status.ERROR):
        bus = Working(40, STATUS=Status.DONE | error)
        assert asyncio.run(bus.driver().wait(timeout=60)) == DeviceStatus(busy=False, done=True, error=bool(error))
        assert bus.now == 40
        assert not bus.written


def test_a_job_that_does_not_end_is_given_up_with_what_the_registers_show():
    bus = Working(1 << 30, CYCLES=123, DESCRIPTORS=4, JOBS=7, INTERRUPT_STATUS=4, ERROR=ErrorCause.NONE)
    with pytest.raises(DeviceTimeout) as caught:
        asyncio.run(bus.driver().wait(timeout=20))
    assert 20 <= bus.now < 30
    assert not bus.written
    assert caught.value.snapshot == Snapshot(
        status=DeviceStatus(True, False, False),
        error="NONE",
        interrupts=Interrupt.IGNORED,
        cycles=123,
        descriptors=4,
        jobs=7,
    )
    assert str(caught.value) == (
        "the job has not ended after 20: wait longer, reset it, or look at external memory "
        "(STATUS BUSY, ERROR NONE, INTERRUPT_STATUS 4, CYCLES 123, DESCRIPTORS 4, JOBS 7)"
    )
    assert isinstance(caught.value, TimeoutError)


def test_a_job_that_ends_while_the_host_is_elsewhere_is_no_timeout():
    bus = Working(1000)
    times = iter([0.0, 1.0, 5000.0])  # the deadline, before the first look, before the second

    async def read(at):
        bus.now += 600
        return await Working.read(bus, at)

    bus.read, bus.clock = read, lambda: next(times)
    assert not asyncio.run(Driver(bus, TINY).wait(timeout=10)).busy


def test_a_timeout_of_zero_looks_once():
    assert not asyncio.run(Driver(Registers(), TINY).wait(0)).busy
    with pytest.raises(DeviceTimeout, match="the job has not ended after 0"):
        asyncio.run(Driver(Registers(STATUS=1), TINY).wait(0))


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_timeout_wrong(timeout):
    bus = Registers()
    for action in (lambda driver: driver.wait(timeout), lambda driver: driver.reset(timeout)):
        with pytest.raises(ValueError, match=f"timeout must be 0 or more, not {timeout}"):
            asyncio.run(action(Driver(bus, TINY)))
    assert not bus.written


def test_interrupts_are_read_and_cleared():
    bus = Registers(INTERRUPT_STATUS=3)
    assert asyncio.run(Driver(bus, TINY).interrupts()) == Interrupt.DONE | Interrupt.ERROR
    assert bus.written == [(address("INTERRUPT_STATUS"), 3)]


def test_start_refuses_a_busy_device():
    with pytest.raises(RuntimeError, match="busy"):
        asyncio.run(Driver(Registers(STATUS=1), TINY).start(0, 64, 0))


def test_status_bits():
    for bits, expected in (
        (0b110, DeviceStatus(busy=False, done=True, error=True)),
        (0b1001, DeviceStatus(busy=True, done=False, error=False, ignored=True)),
    ):
        assert asyncio.run(Driver(Registers(STATUS=bits), TINY).status()) == expected


def test_result_reads_signed_logits_and_counters_of_layers():
    bus = Registers(PREDICTION=1, CYCLES=900, DESCRIPTORS=5)
    bus.values |= {address("LOGITS") + 4 * i: value for i, value in enumerate((0xFFFF_FFFE, 0x7FFF_FFFF, 1 << 31))}
    bus.values |= {address("PROFILE") + 4 * i: 10 + i for i in range(24)}
    result = asyncio.run(Driver(bus, TINY).result(classes=3, layers=2))
    assert result == JobResult(
        prediction=1,
        logits=(-2, 2**31 - 1, -(2**31)),
        cycles=900,
        error="NONE",
        descriptors=5,
        layers=(LayerCounters(*range(10, 18)), LayerCounters(*range(18, 26))),
    )
    assert JobResult.from_dict(result.to_dict()) == result


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda driver: driver.read("LOGITS", 1024), "LOGITS has entries 0 to 1023, not 1024"),
        (lambda driver: driver.write("STATUS", 1), "STATUS is read-only"),
        (lambda driver: driver.write("PROGRAM_BYTES", 1 << 32), "PROGRAM_BYTES holds 32 bits, not 4294967296"),
    ],
)
def test_access_wrong(action, message):
    with pytest.raises(ValueError, match=message):
        asyncio.run(action(Driver(Registers(), TINY)))
