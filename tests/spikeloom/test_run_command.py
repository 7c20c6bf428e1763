"""`spikeloom run`: images on a board, here the simulated one, and refusals of one line."""

from __future__ import annotations

import functools
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import sim.runner
import sim.simulated_board
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.named_configs import CONFIGS, MINI, TINY
from sim.simulated_board import SimulatedBus
from spikeloom import cli
from spikeloom.commands.hardware import run as run_command
from sw.artifact.file import load, save
from sw.errors import UserError
from sw.network import NetworkConfig
from tests.sw.driver.fake_device import FakeDevice

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "random.spikeloom"
    save(random_artifact(NETWORK, 4, seed=7), path)
    return path


@pytest.fixture(autouse=True)
def quick_build(monkeypatch):
    """Simulators as the tests beside have them."""
    monkeypatch.setattr(sim.simulated_board, "build", functools.partial(sim.runner.build, optimise=False))


def run(*arguments) -> int:
    return cli.run(["run", *map(str, arguments)])


def refused(capsys, *arguments) -> str:
    """A run that must be refused; its one line."""
    code = run(*arguments)
    error = capsys.readouterr().err
    assert code == cli.EXIT_MENDABLE, error
    (line,) = (line for line in error.splitlines() if line.startswith("spikeloom: "))
    assert error.rstrip().endswith(line) and "Traceback" not in error
    return line


def test_images_run_on_the_simulated_board(capsys, model, tmp_path):
    images = random_images(NETWORK, 3, seed=8)
    golden = GoldenModel(load(model)).run(images)
    labels = golden.predictions.numpy().copy()
    labels[1] = (labels[1] + 1) % 5
    data = tmp_path / "mine.npz"
    np.savez(data, images=images.numpy(), labels=labels)
    assert run(model, "--board", "simulation", "--config", "mini", "--data", data, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["logits"] == golden.logits.tolist()
    assert figures["predictions"] == golden.predictions.tolist()
    assert (figures["images"], figures["correct"], figures["accuracy"]) == (3, 2, 2 / 3)
    assert (figures["board"], figures["config"], figures["image_set"]) == ("simulation", "mini", "mine.npz")
    assert figures["cycles"]["rtl_mean"] == figures["cycles"]["model"] == figures["throughput"]["cycles"]
    assert sum(layer["cycles"] for layer in figures["layers"]) == figures["cycles"]["model"]
    assert figures["throughput"]["images_per_s"] is None and figures["throughput"]["clock_hz"] is None

    assert run(model, "--config", "mini", "--data", data, "--images", 2, "--clock", 50) == 0
    shown = capsys.readouterr()
    text = " ".join(shown.out.split())
    assert "on simulation (mini): self-test passed, 2 images of mine.npz" in text
    assert "accuracy: 50.00% (1 of 2)" in text and "1 correct, 50.00%" in shown.err
    assert all(layer["name"] in text for layer in figures["layers"])
    cycles = figures["cycles"]["model"]
    assert f"images per second of the accelerator at 50 MHz {50e6 / cycles:,.1f}" in text


def test_a_cable_that_is_pulled_ends_a_run_in_one_line(capsys, model, monkeypatch):
    read, left = SimulatedBus.read, iter(range(200))

    async def pulled(bus, address):
        if next(left, None) is None:
            raise UserError("the serial port /dev/ttyUSB0 is gone: plug the board in and start again")
        return await read(bus, address)

    monkeypatch.setattr(SimulatedBus, "read", pulled)
    assert "/dev/ttyUSB0 is gone: plug the board in" in refused(capsys, model, "--config", "mini", "--images", 3)


def test_a_bitstream_that_is_not_the_one_is_refused(capsys, model, monkeypatch):
    def board(*_):
        return bus

    monkeypatch.setattr(run_command, "open_board", board)
    arguments = (model, "--board", "kv260", "--uio", "uio0", "--images", 1)
    bus = FakeDevice(MINI)
    assert (
        f"CONFIG reads 0x{MINI.fingerprint:08X}, that of 'tiny' is 0x{TINY.fingerprint:08X}: name the one"
        in refused(capsys, *arguments, "--config", "tiny")
    )
    assert bus.closed
    bus = FakeDevice(MINI)
    bus.registers["IDENTITY"] = 0
    assert "no Spikeloom at this address: IDENTITY reads 0x00000000" in refused(capsys, *arguments)
    bus = FakeDevice(MINI)
    bus.registers["CONFIG"] = 1
    assert f"CONFIG reads 0x00000001, none of {', '.join(CONFIGS)}: give the .json file" in refused(capsys, *arguments)
    bus = FakeDevice(MINI, memory_bytes=10_000)
    assert "bytes of memory" in (line := refused(capsys, *arguments)) and "there are 10,000 behind" in line
    bus = FakeDevice(MINI)
    bus.hangs = True
    assert "has not ended after" in (line := refused(capsys, *arguments)) and "(STATUS BUSY, ERROR NONE" in line


def test_a_serial_board_is_opened_at_its_port_and_speed(capsys, model, monkeypatch):
    opened, bus = [], FakeDevice(TINY)

    def open_serial(port, baud):
        opened.append((port, baud))
        return bus

    monkeypatch.setitem(sys.modules, "sw.driver.serial_bus", SimpleNamespace(open_serial=open_serial))
    arguments = (model, "--board", "ulx3s_85f", "--port", "/dev/ttyUSB7", "--images", 1)
    assert "another configuration" in refused(capsys, *arguments, "--config", "mini")
    assert "another configuration" in refused(capsys, *arguments, "--config", "mini", "--baud", 115_200)
    assert opened == [("/dev/ttyUSB7", 1_000_000), ("/dev/ttyUSB7", 115_200)] and bus.closed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "kv260"], "kv260 was given no way, it takes one: --bitstream or --uio"),
        (["--board", "kv260", "--port", "x"], "kv260 was given --port, it takes one: --bitstream or --uio"),
        (["--board", "ulx3s_85f"], "ulx3s_85f was given no way, it takes one: --port"),
        (["--board", "kv260", "--uio", "x", "--bitstream", "y"], "was given --bitstream, --uio, it takes one"),
        (["--uio", "x"], "simulation was given --uio, it takes none of --port, --bitstream, --uio"),
        (["--board", "zx81"], "'zx81' is not one of 'simulation'"),
        (["--board", "kv260", "--uio", "no_such_device"], "no UIO device 'no_such_device', there is "),
        (["--board", "kv260", "--bitstream", "none.bit"], "none.bit is no file: a bitstream for PYNQ"),
        (["--images", "0"], "Invalid value for '--images'"),
    ],
)
def test_ways_that_lead_nowhere_are_refused(arguments, message, capsys, model):
    assert message in refused(capsys, model, *arguments)


def test_without_pynq_a_bitstream_is_refused(capsys, model, monkeypatch, tmp_path):
    for suffix in (".bit", ".hwh"):
        (tmp_path / f"design{suffix}").touch()
    monkeypatch.setitem(sys.modules, "pynq", None)
    line = refused(capsys, model, "--board", "kv260", "--bitstream", tmp_path / "design.bit")
    assert "pynq is not installed: run this on the board" in line


def test_a_network_that_does_not_fit_is_refused_before_anything_is_opened(capsys, tmp_path, monkeypatch):
    def board(*_):
        raise AssertionError

    monkeypatch.setattr(run_command, "open_board", board)
    path = tmp_path / "wide.spikeloom"
    wide = NetworkConfig(image_size=8, image_channels=1, classes=17, embed_dim=32, depth=1, heads=2)
    save(random_artifact(wide, 4, seed=1), path)
    assert "head needs 17 classes, the configuration has 16" in refused(capsys, path, "--config", "mini")
    assert "cannot read (no such file)" in refused(capsys, tmp_path / "none.spikeloom")
