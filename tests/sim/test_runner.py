"""Runs of several images: results, traces, progress, interruption, waveforms."""

from __future__ import annotations

import json
import shutil
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hw.named_configs import TINY
from sim import runner
from sim.comparison.trace import read_trace
from sim.runner import build_design, run
from sim.testbench.protocol import JOB_VARIABLE, SimulatorJob
from sim.verilator.processes import kill_running
from sw.errors import UserError

BURSTS = [(0, 40), (100, 3)]


def test_every_image_gives_a_result(reader):
    results = reader.run(BURSTS, images=3)
    results.check()
    assert [image.job.logits for image in results.images] == [reader.logits(BURSTS)] * 3
    assert results.cycles == sum(image.elapsed for image in results.images) > 0
    assert results.cycles_per_second > 0
    # The device shows the address of a counter as its value.
    assert [layer.spikes for layer in results.images[0].job.layers] == [0x201C, 0x203C]
    assert json.loads((results.folder / "results.json").read_text())["images"][2]["image"] == 2


def test_chosen_images_are_traced(reader):
    results = reader.run(BURSTS, images=3, traced=(1,))
    assert [image.trace is not None for image in results.images] == [False, True, False]
    assert sorted(path.name for path in results.folder.glob("trace_*")) == ["trace_1.txt"]
    trace = read_trace(results.images[1].trace)
    beats = [beat for first, count in BURSTS for beat in reader.data[first : first + count]]
    assert trace["neuron"].data.tobytes() == struct.pack(f"<{len(beats)}Q", *beats)
    low, high, logit = reader.logits(BURSTS)
    checksum = struct.pack("<2i", low, high)
    assert trace["spike"].data.tobytes() == checksum
    assert trace["spike"].fields == {"address": np.array([43]), "banks": np.array([2]), "pieces": np.array([1])}
    assert trace["residual"].fields["address"] == (1 << 20) - 1 - 43
    assert trace["token"].fields == {"value": np.array([1]), "channel": np.array([43]), "chunk": np.array([0x5A])}
    assert trace["token"].data.tobytes()[8:] == checksum
    assert trace["logit"].signed().tolist() == [logit]
    assert trace["logit"].layer.tolist() == [len(BURSTS)]


def test_progress_is_reported(reader):
    events = []
    reader.run([(0, 2900)] * 15, slow=True, images=2, on_event=events.append)
    finished = [event for event in events if event.kind == "finished"]
    running = [event for event in events if event.kind == "running"]
    assert [event.image for event in finished] == [0, 1]
    assert len(running) >= 2
    assert all(event.cycles >= 50_000 for event in running)


def test_interruption_leaves_no_results(reader):
    def interrupt(event):
        raise KeyboardInterrupt

    reader.run(BURSTS)
    with pytest.raises(KeyboardInterrupt):
        reader.run([(0, 2900)] * 15, slow=True, images=50, on_event=interrupt)
    assert not (reader.folder / "run" / "results.json").exists()
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(reader.folder / "run") not in status.read_text()
        except OSError:
            continue


def test_simulations_of_other_threads_can_be_killed(reader):
    started = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(reader.run, [(0, 2900)] * 15, slow=True, images=50, on_event=lambda event: started.set())
        assert started.wait(120)
        kill_running()
        with pytest.raises(UserError, match="the simulator of memory_reader was ended by SIGKILL, perhaps for want of"):
            future.result(30)
    assert not (reader.folder / "run" / "results.json").exists()


def test_missing_memory_image_is_refused(reader, tmp_path):
    job = SimulatorJob(
        config=TINY,
        memory=tmp_path / "none.bin",
        program_bytes=64,
        image_addresses=(0,),
        classes=1,
        layers=1,
        folder=tmp_path,
    )
    with pytest.raises(UserError, match=r"none\.bin does not exist: compile the artifact first"):
        run(reader.build, job)


def test_device_that_is_not_the_accelerator_is_refused(reader):
    device = (reader.build.folder / "memory_reader.v").read_text()
    reader.build = build_design("stranger", device.replace("32'h53504B4C", "32'h12345678"), waves=False, optimise=False)
    with pytest.raises(RuntimeError, match="no Spikeloom at this address: IDENTITY reads 0x12345678"):
        reader.run(BURSTS)


@pytest.mark.long
def test_waveforms_come_with_a_save_file(reader):
    reader.build = build_design(
        "memory_reader", (reader.build.folder / "memory_reader.v").read_text(), waves=True, optimise=False
    )
    folder = reader.run(BURSTS).folder
    # An FST file begins with a header block: type 0, length 329.
    assert (folder / "dump.fst").read_bytes()[:9] == struct.pack(">BQ", 0, 329)
    save = (folder / "dump.gtkw").read_text()
    assert '[dumpfile] "dump.fst"' in save
    assert "@22\ntestbench.dut.core.trace_neuron_data[63:0]\n" in save
    assert "@28\ntestbench.dut.s_axi_ctrl_awvalid\n" in save
    assert "testbench.beats_read[31:0]\n" in save and "testbench.elapsed[31:0]\n" in save


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_addresses": ()}, r"image_addresses must name at least one image, not \(\)"),
        ({"latency": 1}, "latency must be at least 2, not 1"),
        ({"stall_percent": 100}, "stall_percent must be 0 to 99, not 100"),
        ({"cycle_limit": 0}, r"cycle_limit must be 1 to 2\^32 - 1, not 0"),
        ({"traced": (1,)}, r"traced must hold indices below 1, not \(1,\)"),
    ],
)
def test_job_wrong(options, message):
    fields = {
        "config": TINY, "memory": Path("m"), "program_bytes": 64, "image_addresses": (0,), "classes": 1, "layers": 1,
        "folder": Path("f"), **options,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        SimulatorJob(**fields)


def test_variables_of_other_projects_change_nothing(reader, monkeypatch):
    expected = reader.run(BURSTS).images[0].job
    for name, value in {
        "COCOTB_TEST_FILTER": "no_such_test", "COCOTB_TESTCASE": "no_such_test", "COCOTB_TEST_MODULES": "nothing",
        "COCOTB_LOG_LEVEL": "nonsense", "COCOTB_RANDOM_SEED": "nonsense", "COCOTB_RESULTS_FILE": "/nowhere/x.xml",
        "COCOTB_PLUSARGS": "+memory=/nowhere", "GPI_EXTRA": "nothing.so:start", "GPI_USERS": "nothing.so",
        "GPI_LOG_LEVEL": "nonsense", "PYGPI_USERS": "nothing:start", "TOPLEVEL": "x", "MODULE": "x", "RANDOM_SEED": "x",
        "SIM_CMD_PREFIX": "false", "SIM_CMD_SUFFIX": "+memory=/nowhere", JOB_VARIABLE: "/nowhere/job.json",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    results = reader.run(BURSTS)
    results.check()
    assert results.images[0].job == expected


def test_a_disk_that_is_full_after_a_run_is_no_result(reader, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match="No space left on device"):
        reader.run(BURSTS, traced=(0,))


@pytest.mark.parametrize("name", ["WAVES", "GUI"])
def test_a_switch_that_is_neither_on_nor_off_is_refused(name, reader, monkeypatch):
    monkeypatch.setenv(name, "perhaps")
    with pytest.raises(UserError, match=f"{name} is 'perhaps' in the environment, it can be on or off: set it to 1"):
        reader.run(BURSTS)


def test_runs_in_a_folder_of_any_name(reader):
    reader.folder = reader.folder / "two words, größe"
    reader.folder.mkdir()
    results = reader.run(BURSTS, traced=(0,))
    results.check()
    assert results.images[0].trace.parent.parent == reader.folder


def test_emitted_verilog_that_was_cut_short_is_emitted_again(tmp_path, monkeypatch):
    emitted = []

    def emit(config, *, technology):
        emitted.append((config, technology))
        return "module spikeloom; endmodule\n" * 100

    monkeypatch.setattr(runner, "accelerator_verilog", emit)
    text = runner.emitted_verilog(TINY, tmp_path)
    assert runner.emitted_verilog(TINY, tmp_path) == text and len(emitted) == 1
    (path,) = (tmp_path / "verilog").glob("*.v")
    for damaged in (text[:1000], "", text[:-2]):
        path.write_text(damaged)
        assert runner.emitted_verilog(TINY, tmp_path) == text
    assert len(emitted) == 4
