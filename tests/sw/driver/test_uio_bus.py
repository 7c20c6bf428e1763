"""The UIO back end over files: registers and memory that are mapped, an interrupt that is read from a socket."""

from __future__ import annotations

import mmap
import os
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from hw.host.registers import IDENTITY, REGISTERS
from sw.driver.bus import run_blocking
from sw.driver.uio_bus import UioBus, open_uio
from sw.errors import UserError

MEMORY = 0x7000_0000


@pytest.fixture
def places(tmp_path) -> dict[str, Path]:
    """Devices and sysfs as the kernel shows them."""
    devices, classes = tmp_path / "dev", tmp_path / "class"
    devices.mkdir()
    for number, name in enumerate(("fan-control", "spikeloom")):
        maps = classes / "uio" / f"uio{number}" / "maps" / "map0"
        maps.mkdir(parents=True)
        (maps / "size").write_text("0x0000000000004000\n")
        (maps.parents[1] / "name").write_text(f"{name}\n")
        (devices / f"uio{number}").write_bytes(bytes(0x4000))
    buffer = classes / "u-dma-buf" / "udmabuf0"
    buffer.mkdir(parents=True)
    (buffer / "phys_addr").write_text(f"0x{MEMORY:016x}\n")
    (buffer / "size").write_text("65536\n")
    (devices / "udmabuf0").write_bytes(bytes(65536))
    return {"devices": devices, "classes": classes}


@pytest.mark.parametrize("name", ["uio1", "spikeloom"])
def test_registers_and_memory_are_those_of_the_files(name, places):
    registers = places["devices"] / "uio1"
    with registers.open("r+b") as file:
        file.write(struct.pack("<I", IDENTITY))
    bus = open_uio(name, **places)
    assert (bus.memory_address, bus.memory_bytes) == (MEMORY, 65536)
    assert run_blocking(bus.read(0)) == IDENTITY
    run_blocking(bus.write(REGISTERS["PROGRAM_BYTES"].address, 0xFEDC_BA98))
    run_blocking(bus.write_memory(MEMORY + 100, b"spikes"))
    assert run_blocking(bus.read_memory(MEMORY + 102, 4)) == b"ikes"
    bus.close()
    assert registers.read_bytes()[0x28:0x2C] == struct.pack("<I", 0xFEDC_BA98)
    assert (places["devices"] / "udmabuf0").read_bytes()[100:106] == b"spikes"


def test_buffers_of_older_kernel_modules_are_found(places):
    (places["classes"] / "u-dma-buf").rename(places["classes"] / "udmabuf")
    open_uio("spikeloom", **places).close()


def test_the_interrupt_is_enabled_and_waited_for():
    host, device = socket.socketpair()
    with device:
        bus = UioBus(mmap.mmap(-1, 0x4000), host.detach(), mmap.mmap(-1, 4096), MEMORY)
        device.sendall(struct.pack("<I", 1))
        run_blocking(bus.wait(60))
        assert device.recv(100) == struct.pack("<I", 1)
        device.settimeout(5)

        def interrupt():
            device.recv(4)
            device.sendall(struct.pack("<I", 2))

        thread = threading.Thread(target=interrupt)
        thread.start()
        begun = bus.clock()
        run_blocking(bus.wait(60))
        thread.join()
        assert bus.clock() - begun < 50
        bus.close()


def test_an_interrupt_that_does_not_come_is_not_waited_for_longer_than_said():
    host, device = socket.socketpair()
    with device:
        bus = UioBus(mmap.mmap(-1, 0x4000), host.detach(), mmap.mmap(-1, 4096), MEMORY)
        begun = time.monotonic()
        run_blocking(bus.wait(0.05))
        assert time.monotonic() - begun >= 0.05
        bus.close()


def test_what_is_missing_is_named(places):
    classes, devices = places["classes"], places["devices"]
    with pytest.raises(
        UserError, match=r"no UIO device 'uio7', there is uio0 \(fan-control\), uio1 \(spikeloom\): load"
    ):
        open_uio("uio7", **places)
    with pytest.raises(UserError, match=r"no buffer udmabuf3 below .*u-dma-buf: load u-dma-buf"):
        open_uio("uio1", "udmabuf3", **places)
    size = classes / "uio" / "uio0" / "maps" / "map0" / "size"
    size.write_text("0x1000")
    with pytest.raises(UserError, match="uio0 maps 4,096 bytes, the registers take 16,384"):
        open_uio("fan-control", **places)
    size.unlink()
    with pytest.raises(UserError, match="size holds no number"):
        open_uio("uio0", **places)
    (devices / "udmabuf0").unlink()
    open_files = len(os.listdir("/proc/self/fd"))
    with pytest.raises(
        UserError, match=r"udmabuf0 cannot be opened \(No such file or directory\): run this as its owner"
    ):
        open_uio("uio1", **places)
    assert len(os.listdir("/proc/self/fd")) == open_files
