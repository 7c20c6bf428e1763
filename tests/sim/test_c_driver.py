"""The C driver runs real jobs on the simulated accelerator: exact, also behind a reset and an error of the memory."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from golden.cycles.cycle_model import predict_cycles
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.host.registers import Counter, ErrorCause, Interrupt, Status
from hw.named_configs import TINY
from sim.rtl import PAGE_WORDS
from sim.runner import build
from sim.testbench.protocol import JOB_VARIABLE, SimulatorJob
from sim.verilator.simulation import Simulation
from sim.verilator.toolchain import find_toolchain
from sw.checkout import ROOT
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.network import NetworkConfig
from tests.sim.c_host import LIBRARY_VARIABLE, PATIENCE, SHORT
from tests.sw.driver.c_library import compile_library

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)
LATENCY = 20


def padded(words):
    return np.concatenate([words, np.zeros(-len(words) % PAGE_WORDS, np.uint64)])


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("stalls", [0, 50])
def test_jobs_of_the_c_driver_are_exact_and_it_recovers(tmp_path, stalls):
    artifact = random_artifact(NETWORK, 4, seed=3)
    program = compile_artifact(artifact, TINY)
    pixels = random_images(NETWORK, 2, seed=4)
    golden = GoldenModel(artifact).run(pixels)
    images = [pack_image(artifact, TINY, image, program.image_strips) for image in pixels.numpy()]
    parts = [padded(part) for part in (program.memory, *images, np.zeros(PAGE_WORDS, np.uint64))]
    np.concatenate(parts).astype("<u8").tofile(tmp_path / "memory.bin")
    places = np.cumsum([part.nbytes for part in parts]).tolist()
    job = SimulatorJob(
        config=TINY, memory=tmp_path / "memory.bin", program_bytes=program.memory.nbytes,
        image_addresses=tuple(places[:2]), record_address=places[2], classes=NETWORK.classes,
        layers=len(program.names), latency=LATENCY, stall_percent=stalls, stall_seed=5, folder=tmp_path,
    )  # fmt: skip
    (tmp_path / "job.json").write_text(job.to_json())
    environment = {
        JOB_VARIABLE: str(tmp_path / "job.json"), LIBRARY_VARIABLE: str(compile_library(tmp_path, TINY)),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "COCOTB_REWRITE_ASSERTION_FILES": "",
    }  # fmt: skip
    simulation = Simulation(find_toolchain(), waves=False)
    simulation.simulate(
        build(TINY, optimise=False), "tests.sim.c_host", tmp_path, plusargs=job.plusargs(), extra_env=environment
    )
    found = json.loads(job.results.read_text())

    for name, image, jobs in (("first", 0, 1), ("second", 1, 2), ("third", 0, 5)):
        left = found[name]
        assert left["logits"] == golden.logits[image].tolist() == left["record_logits"]
        assert left["result"] == left["record"]
        result = left["result"]
        assert result["prediction"] == int(np.argmax(left["logits"])) and result["error"] == ErrorCause.NONE
        assert (result["jobs"], result["descriptors"]) == (jobs, len(program.steps))
        assert left["interrupts"] == Interrupt.DONE
        assert sum(layer[Counter.CYCLES] for layer in left["layers"]) == result["cycles"]
        if not stalls:
            assert result["cycles"] == predict_cycles(program, LATENCY).total
            assert left["layers"] == found["first"]["layers"] or image == 1
        assert len(left["layers"]) == len(program.names)
    # The reset leaves the number of jobs, and behind it there is nothing of the job.
    late, afterwards = found["reset"]["late"], found["reset"]["afterwards"]
    assert found["reset"]["outcome"] == "TIMED_OUT"
    assert late["status"] == Status.BUSY and late["jobs"] == 1 and SHORT <= late["cycles"] < 2 * SHORT
    assert found["reset"]["refused"] == ["STILL_BUSY", "STILL_BUSY"]
    assert afterwards == {"status": 0, "error": 0, "interrupts": 0, "cycles": 0, "descriptors": 0, "jobs": 1}
    failed = found["failed"]
    assert failed["outcome"] == "JOB_FAILED" and failed["interrupts"] == Interrupt.DONE | Interrupt.ERROR
    assert failed["status"]["error"] == failed["record"]["error"] == ErrorCause.MEMORY_ERROR
    assert failed["status"]["status"] == Status.DONE | Status.ERROR
    silent = found["silent"]
    assert silent["outcome"] == "JOB_FAILED" and silent["status"]["error"] == ErrorCause.MEMORY_TIMEOUT
    assert PATIENCE / 2 < silent["result"]["cycles"] < 2 * PATIENCE and silent["result"]["jobs"] == 4
