"""The host driver on a simulated register bus."""

from __future__ import annotations

import asyncio

import pytest

from hw.registers import IDENTITY, REGISTERS, VERSION
from sw.driver import Driver, JobResult, LayerCounters, Status, error_name
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


def address(name):
    return REGISTERS[name].address


def test_check_accepts_this_device():
    asyncio.run(Driver(Registers(IDENTITY=IDENTITY, VERSION=VERSION)).check())


def test_check_refuses_another_device_or_version():
    with pytest.raises(UserError, match="no Spikeloom at this address: IDENTITY reads 0x00000000, not 0x53504B4C"):
        asyncio.run(Driver(Registers()).check())
    other = Registers(IDENTITY=IDENTITY, VERSION=VERSION + 1)
    with pytest.raises(UserError, match=f"register map version {VERSION + 1}, this software version {VERSION}"):
        asyncio.run(Driver(other).check())


def test_start_writes_the_addresses_before_the_start_bit():
    bus = Registers()
    asyncio.run(Driver(bus).start(program=7, image=0xFFFF_FFFF))
    assert bus.written == [
        (address("PROGRAM_ADDRESS"), 7),
        (address("IMAGE_ADDRESS"), 0xFFFF_FFFF),
        (address("CONTROL"), 1),
    ]


def test_start_refuses_a_busy_device():
    with pytest.raises(RuntimeError, match="busy"):
        asyncio.run(Driver(Registers(STATUS=1)).start(0, 0))


def test_status_bits():
    assert asyncio.run(Driver(Registers(STATUS=0b110)).status()) == Status(busy=False, done=True, error=True)


def test_result_reads_signed_logits_and_counters_of_completed_layers():
    bus = Registers(PREDICTION=1, CYCLES=900, LAYERS=2)
    bus.values |= {address("LOGITS"): 0xFFFF_FFFE, address("LOGITS") + 1: 0x7FFF_FFFF, address("LOGITS") + 2: 1 << 31}
    bus.values |= {address("PROFILE") + i: 10 + i for i in range(24)}
    result = asyncio.run(Driver(bus).result(classes=3))
    assert result == JobResult(
        prediction=1,
        logits=(-2, 2**31 - 1, -(2**31)),
        cycles=900,
        error="NONE",
        layers=(LayerCounters(10, 11, 12, 13, 14), LayerCounters(18, 19, 20, 21, 22)),
    )
    assert JobResult.from_dict(result.to_dict()) == result


def test_errors_have_names():
    assert [error_name(code) for code in (0, 1, 2, 99)] == ["NONE", "BAD_CHECK", "BAD_OPCODE", "UNKNOWN_99"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda driver: driver.read("LOGITS", 256), "LOGITS has entries 0 to 255, not 256"),
        (lambda driver: driver.write("STATUS", 1), "STATUS is read-only"),
        (lambda driver: driver.write("IMAGE_ADDRESS", 1 << 32), "IMAGE_ADDRESS holds 32 bits, not 4294967296"),
    ],
)
def test_access_wrong(action, message):
    with pytest.raises(ValueError, match=message):
        asyncio.run(action(Driver(Registers())))
