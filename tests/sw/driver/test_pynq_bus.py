"""The PYNQ back end over a `pynq` module with the documented names, whose memory is cached as a processor's is."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import numpy as np
import pytest

from hw.named_configs import MINI
from sw.driver.bus import run_blocking
from sw.driver.pynq_bus import PynqBus, open_pynq
from sw.errors import UserError
from tests.sw.driver.fake_device import FakeDevice
from tests.sw.driver.fake_network import IMAGES, accelerator, answers, device

ABOUT = {
    "spikeloom_0": {"type": "spikeloom.org:spikeloom:spikeloom:1.0", "phys_addr": 0xA000_0000, "addr_range": 0x4000},
    "zynq": {"type": "xilinx.com:ip:zynq_ultra_ps_e:3.5"},
}


class Memory(np.ndarray):
    """A buffer of `allocate`, or a part of one: the processor sees its cache, the device what was flushed."""

    def __array_finalize__(self, whole):
        if isinstance(whole, Memory) and hasattr(whole, "board"):
            offset = self.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
            self.board, self.device_address = whole.board, whole.device_address + offset

    def flush(self):
        run_blocking(self.board.write_memory(self.device_address, self.tobytes()))

    def invalidate(self):
        self[:] = np.frombuffer(run_blocking(self.board.read_memory(self.device_address, self.nbytes)), np.uint8)

    def freebuffer(self):
        self.board.close()


class FakePynq(ModuleType):
    """What of the package is used, around a device."""

    def __init__(self, board: FakeDevice):
        super().__init__("pynq")
        self.board, self.waited = board, 0
        about, pins = ABOUT, {"spikeloom_0/interrupt": {}}

        class Overlay:
            def __init__(self, path):
                assert isinstance(path, str) and path.endswith("design.bit")
                self.ip_dict, self.interrupt_pins = about, pins

        class MMIO:
            def __init__(self, base, length):
                assert (base, length) == (0xA000_0000, 0x4000)

            def read(self, offset):
                return run_blocking(board.read(offset))

            def write(self, offset, value):
                assert type(value) is int  # it refuses others
                run_blocking(board.write(offset, value))

        class Interrupt:
            def __init__(self, pin):
                assert pin in pins

            async def wait(inner):
                self.waited += 1
                await asyncio.sleep(0)
                await board.wait(1e6)
                if board.loses_interrupts:
                    await asyncio.sleep(60)

        self.Overlay, self.MMIO, self.Interrupt = Overlay, MMIO, Interrupt

    def allocate(self, shape, dtype):
        if shape[0] > self.board.memory_bytes:
            raise RuntimeError("Failed to allocate memory")
        memory = np.zeros(shape, dtype).view(Memory)
        memory.board, memory.device_address = self.board, self.board.memory_address
        return memory


@pytest.fixture
def board(monkeypatch, tmp_path) -> FakePynq:
    for suffix in (".bit", ".hwh"):
        (tmp_path / f"design{suffix}").touch()
    fake = FakePynq(device(memory_bytes=1 << 18))
    monkeypatch.setitem(sys.modules, "pynq", fake)
    fake.bitstream = tmp_path / "design.bit"
    return fake


def test_images_are_classified_by_looking_at_status(board):
    board.board.cycles = 30
    bus = open_pynq(board.bitstream, memory_bytes=1 << 18)
    assert run_blocking(accelerator(bus).classify(IMAGES)).logits.tolist() == answers(IMAGES)
    assert not board.waited
    bus.close()
    assert board.board.closed


def test_images_are_classified_by_interrupts_in_an_event_loop(board):
    bus = open_pynq(board.bitstream, memory_bytes=1 << 18, interrupts=True)
    found = asyncio.run(accelerator(bus, expect=None).classify(IMAGES))
    assert found.logits.tolist() == answers(IMAGES)
    assert board.waited == len(IMAGES)


def test_an_interrupt_that_does_not_come_is_not_waited_for_longer_than_said(board):
    board.board.loses_interrupts = True
    bus = open_pynq(board.bitstream, memory_bytes=1 << 18, interrupts=True)
    asyncio.run(bus.wait(0.01))
    assert board.waited == 1


def test_memory_is_that_of_the_device_not_of_the_cache(board):
    bus = open_pynq(board.bitstream, memory_bytes=4096)
    run_blocking(bus.write_memory(bus.memory_address + 8, b"spikes"))
    assert bytes(board.board.memory[8:14]) == b"spikes"
    board.board.memory[8:14] = b"loomed"
    assert run_blocking(bus.read_memory(bus.memory_address + 8, 6)) == b"loomed"


def test_what_is_missing_is_named(board, monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"67,108,864 bytes of contiguous memory cannot be had .*: ask for less"):
        open_pynq(board.bitstream, memory_bytes=1 << 26)
    with pytest.raises(UserError, match=r"other\.bit is no file: a bitstream for PYNQ is a \.bit with the \.hwh"):
        open_pynq(tmp_path / "other.bit")
    monkeypatch.setitem(ABOUT, "spikeloom_1", ABOUT["spikeloom_0"])
    with pytest.raises(UserError, match=r"design\.bit holds 2 Spikeloom accelerators, not 1"):
        open_pynq(board.bitstream)
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(UserError, match="pynq is not installed: run this on the board"):
        open_pynq(board.bitstream)


def test_a_bitstream_without_the_interrupt_is_used_without(board):
    overlay = board.Overlay(str(board.bitstream))
    overlay.interrupt_pins.clear()
    with pytest.raises(UserError, match="connects no interrupt to spikeloom_0/interrupt: wait without interrupts"):
        open_pynq(board.bitstream, memory_bytes=4096, interrupts=True)
    assert isinstance(open_pynq(board.bitstream, memory_bytes=4096), PynqBus)
    assert MINI.fingerprint == run_blocking(open_pynq(board.bitstream, memory_bytes=4096).read(8))
