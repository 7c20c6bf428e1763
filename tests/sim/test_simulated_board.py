"""The host's code on the accelerator's Verilog, over its AXI ports: exact, and exact again after what goes wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from golden.expectation import expect
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.host.registers import REGISTERS
from hw.named_configs import BASE, MINI, TINY
from hw.program.header import PROGRAM_HEADER
from sim.runner import build
from sim.simulated_board import SimulatedBus, open_simulation
from sim.testbench.protocol import CHANNELS
from sw.artifact.file import load
from sw.checkout import ROOT
from sw.data.samples import load_sample
from sw.driver.accelerator import Accelerator
from sw.driver.bus import DeviceTimeout, run_blocking
from sw.driver.job_runner import JobError
from sw.driver.outcomes import Classification
from sw.errors import UserError
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)


class Board:
    """A network on a simulated accelerator, and what it must come to."""

    def __init__(self, bus: SimulatedBus):
        self.bus, artifact = bus, random_artifact(NETWORK, 4, seed=3)
        self.images = random_images(NETWORK, 3, seed=4)
        self.logits = GoldenModel(artifact).run(self.images).logits.tolist()
        self.accelerator = Accelerator(bus, artifact, MINI, expect=expect, frequency=1.0)

    def classify(self, **options) -> Classification:
        return run_blocking(self.accelerator.classify(self.images, **options))

    def check(self) -> Classification:
        """All images are exact."""
        found = self.classify(counters=True)
        assert found.logits.tolist() == self.logits
        assert all(sum(layer.cycles for layer in job.layers) == job.cycles for job in found.jobs)
        return found


@pytest.fixture(scope="module")
def bus(tmp_path_factory) -> Iterator[SimulatedBus]:
    bus = SimulatedBus(build(MINI, optimise=False), MINI, tmp_path_factory.mktemp("board"), memory_bytes=1 << 17)
    yield bus
    bus.close()


@pytest.fixture
def board(bus) -> Board:
    return Board(bus)


def test_images_are_exact_in_the_predicted_cycles(board):
    found = board.check()
    assert found.cycles.tolist() == [board.accelerator.expected.cycles] * 3


def test_images_are_exact_where_memory_and_registers_stall(tmp_path):
    simulator = build(MINI, optimise=False)
    bus = SimulatedBus(simulator, MINI, tmp_path, memory_bytes=1 << 17, stall_percent=50, stall_seed=5)
    stalled = Board(bus)
    assert min(stalled.check().cycles) > stalled.accelerator.expected.cycles
    bus.close()


def test_an_error_of_the_memory_is_told_and_the_next_job_is_exact(board):
    before = board.check()
    board.bus.set("error_beat", 300)
    board.bus.set("armed", 1)  # beats count from here
    with pytest.raises(JobError, match="stopped with MEMORY_ERROR at descriptor"):
        board.classify()
    board.bus.set("armed", 0)
    assert board.check() == before


@pytest.mark.long
@pytest.mark.parametrize("stalls", [0, 50])
def test_an_error_of_any_read_is_told_and_the_next_job_is_exact(tmp_path, stalls):
    simulator = build(MINI, optimise=False)
    bus = SimulatedBus(simulator, MINI, tmp_path, memory_bytes=1 << 17, stall_percent=stalls, stall_seed=7)
    board = Board(bus)
    jobs = board.check().jobs
    runner = board.accelerator._runner
    beats = 8 * (runner.program_bytes + runner.image_bytes) // MINI.memory_bits
    for beat in random.Random(stalls).sample(range(beats), 60):
        bus.set("error_beat", beat)
        bus.set("armed", 1)
        with pytest.raises(JobError, match="stopped with MEMORY_ERROR"):
            board.classify()
        bus.set("armed", 0)
        found = board.check().jobs
        assert [(job.logits, job.descriptors) for job in found] == [(job.logits, job.descriptors) for job in jobs]
        assert stalls or found == jobs  # every cycle and every counter
    bus.close()


@pytest.mark.parametrize(
    ("stalls", "count"),
    [(0, 8), *(pytest.param(stalls, 150, marks=pytest.mark.long) for stalls in (0, 30))],
)
def test_a_wrong_bit_anywhere_in_memory_is_told_and_the_next_images_are_exact(tmp_path, stalls, count):
    """In header, descriptors, parameters, weights and CRC, behind the driver's back: what it wrote was right."""
    simulator = build(MINI, optimise=False)
    bus = SimulatedBus(simulator, MINI, tmp_path, memory_bytes=1 << 17, stall_percent=stalls, stall_seed=3)
    board = Board(bus)
    before, runner = board.check().jobs, board.accelerator._runner
    run_blocking(runner.driver.set_watchdog(3000))
    for bit in [
        0,
        PROGRAM_HEADER["version"].offset,
        *random.Random(stalls).sample(range(8 * runner.program_bytes), count - 2),
    ]:
        place = runner.layout.program + bit // 8
        (byte,) = run_blocking(bus.read_memory(place, 1))
        run_blocking(bus.write_memory(place, bytes([byte ^ 1 << bit % 8])))
        with pytest.raises(JobError, match="stopped with"):
            board.classify()
        found = board.check().jobs
        assert [job.logits for job in found] == [job.logits for job in before]
        assert stalls or found == before  # every cycle and every counter
    bus.close()


MEMORY_CHANNELS = sum(1 << 3 + number for number in range(len(CHANNELS)))
"""As ``testbench.sv`` counts them."""


@pytest.mark.parametrize("stalls", [0, pytest.param(50, marks=pytest.mark.long)])
def test_a_memory_that_stops_answering_is_told_and_once_it_does_the_next_images_are_exact(
    tmp_path, monkeypatch, stalls
):
    simulator = build(MINI, optimise=False)
    bus = SimulatedBus(simulator, MINI, tmp_path, memory_bytes=1 << 17, stall_percent=stalls, stall_seed=3)
    board, wait = Board(bus), SimulatedBus.wait
    before, driver = board.check().jobs, board.accelerator._runner.driver
    for cycle in (1, 100, 500, before[0].cycles // 2):
        run_blocking(driver.set_watchdog(2000))

        async def dying(bus: SimulatedBus, timeout: float, cycle: int = cycle) -> None:
            monkeypatch.setattr(SimulatedBus, "wait", wait)
            await wait(bus, cycle)  # of the job
            bus.set("dead", MEMORY_CHANNELS)
            await wait(bus, timeout)

        monkeypatch.setattr(SimulatedBus, "wait", dying)
        with pytest.raises(JobError, match="stopped with MEMORY_TIMEOUT"):
            board.classify()
        bus.set("dead", 0)
        found = board.check().jobs
        assert [job.logits for job in found] == [job.logits for job in before]
        assert stalls or found == before
    bus.close()


def test_a_job_that_is_given_up_is_reset_in_the_middle_and_the_next_is_exact(board):
    before = board.check()
    runner = board.accelerator._runner
    with pytest.raises(DeviceTimeout, match=r"has not ended after 100: .*STATUS BUSY, ERROR NONE, .*CYCLES \d+"):
        run_blocking(runner.run([bytes(runner.image_bytes)], 100.0))
    run_blocking(runner.driver.reset(10_000))
    assert board.check() == before


def test_a_host_that_is_interrupted_in_a_wait_goes_on_exactly(board, monkeypatch):
    before = board.check()
    line, left = SimulatedBus._line, iter(range(40))

    def interrupted(bus):
        if next(left, None) is None:
            monkeypatch.setattr(SimulatedBus, "_line", line)
            raise KeyboardInterrupt
        return line(bus)

    monkeypatch.setattr(SimulatedBus, "_line", interrupted)
    with pytest.raises(KeyboardInterrupt):
        board.classify()
    assert board.check() == before


def test_a_job_that_another_host_left_is_reset(board):
    before = board.check()
    run_blocking(board.accelerator._runner.start(0))
    other = Board(board.bus)
    assert other.check().logits.tolist() == board.logits
    assert board.check() == before


def test_a_lost_interrupt_falls_back_to_status(board):
    before = board.check()
    begun = board.bus.clock()
    board.check()
    usual = board.bus.clock() - begun
    run_blocking(board.bus.write(REGISTERS["INTERRUPT_ENABLE"].address, 0))
    begun = board.bus.clock()
    assert board.check() == before
    assert usual < board.bus.clock() - begun < 3 * usual


def test_a_bitstream_of_another_configuration_is_refused(bus):
    accelerator = Accelerator(bus, random_artifact(NETWORK, 4, seed=3), TINY)
    with pytest.raises(UserError, match=f"another configuration: CONFIG reads 0x{MINI.fingerprint:08X}"):
        run_blocking(accelerator.prepare())


def test_a_network_that_the_memory_has_no_room_for_is_refused(board, monkeypatch):
    monkeypatch.setattr(board.bus, "memory_bytes", 8192)
    with pytest.raises(UserError, match=r"needs \d+,\d+ bytes of memory .*, there are 8,192 behind 0x0"):
        board.classify()


@pytest.mark.parametrize(("address", "length"), [(0, 8), (4096, 100), (13, 3), (15, 40)])
def test_bytes_of_memory_are_what_was_written(bus, address, length):
    run_blocking(bus.write_memory(0, bytes(8192)))
    data = bytes(range(1, length + 1))
    run_blocking(bus.write_memory(address, data))
    assert run_blocking(bus.read_memory(0, 8192)).strip(b"\0") == data
    with pytest.raises(RuntimeError, match="memory has 131072 bytes, beats 16384 to 16385 are not in it"):
        run_blocking(bus.read_memory(1 << 17, 1))


def test_a_simulator_that_is_gone_is_told_in_one_line(tmp_path):
    bus = SimulatedBus(build(MINI, optimise=False), MINI, tmp_path, memory_bytes=4096)
    run_blocking(bus.read_memory(0, 8))
    (tmp_path / "transfer").unlink()
    (tmp_path / "transfer").mkdir()  # the simulator cannot open it
    with pytest.raises(UserError, match=r"the simulator ended, see .*run\.log: simulation of mini failed"):
        run_blocking(bus.read_memory(0, 8))
    with pytest.raises(UserError, match="the simulator ended"):
        run_blocking(bus.read(0))


@pytest.mark.long
def test_real_images_are_exact_over_stalling_memory(tmp_path):
    artifact = load(Path(ROOT) / "models" / "fashion-2-64.spikeloom")
    sample = load_sample(artifact.dataset).first(16)
    bus = open_simulation(BASE, folder=tmp_path / "board", stall_percent=30, stall_seed=9)
    accelerator = Accelerator(bus, artifact, expect=expect, frequency=1.0)
    golden = GoldenModel(artifact).run(sample.images)
    found = run_blocking(accelerator.classify(sample.images, counters=True))
    totals = run_blocking(accelerator.validate(sample.images, sample.labels))
    assert found.logits.tolist() == golden.logits.tolist()
    assert totals.correct == int((golden.predictions == sample.labels).sum())
    bus.close()
