"""The accelerator between a host and a memory that others have written: cocotbext-axi."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.external.axi_reader import BURST_BEATS, OUTSTANDING_BURSTS
from hw.host.result_writer import record_lines
from hw.named_configs import MINI
from sim.formal.prove import PORTS_FILE, TOP
from sim.rtl import PAGE_WORDS
from sim.runner import RULES, emitted_verilog
from sim.verilator.simulation import Build, Simulation
from sim.verilator.toolchain import find_toolchain
from sim.verilator.verilate import BUILD_FOLDER, verilate
from sw.checkout import ROOT
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.driver.results import ResultRecord, signed
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)
CYCLE_LIMIT = 1_000_000


def build() -> Build:
    """The accelerator with the rules at its ports, all of which Python sees."""
    defines = {"BITS": MINI.memory_bits, "BURST_BEATS": BURST_BEATS, "READS": OUTSTANDING_BURSTS}
    sources = {
        "ports.vlt": f'`verilator_config\npublic_flat_rw -module "{TOP}" -var "*"\n',
        "mini.v": emitted_verilog(MINI, BUILD_FOLDER),
        **{path.name: path.read_text() for path in RULES},
        PORTS_FILE.name: "".join(f"`define {name} {value}\n" for name, value in defines.items())
        + PORTS_FILE.read_text(),
    }
    return verilate("mini-ports", sources, TOP, optimise=False)


@pytest.mark.parametrize("share", [pytest.param(0.0, marks=pytest.mark.long), 0.3])
def test_golden_logits_between_models_of_others(tmp_path, share):
    pytest.importorskip(
        "cocotbext.axi",
        reason="cocotbext-axi is not installed: pip install --constraint constraints.txt --editable '.[axi]'",
    )
    artifact = random_artifact(NETWORK, 4, seed=11)
    program, pixels = compile_artifact(artifact, MINI), random_images(NETWORK, 2, seed=12)
    golden = GoldenModel(artifact).run(pixels).logits.tolist()
    parts = [program.memory, *(pack_image(artifact, MINI, image, program.image_strips) for image in pixels.numpy())]
    padded = [np.concatenate([part, np.zeros(-len(part) % PAGE_WORDS, np.uint64)]) for part in parts]
    addresses = np.cumsum([part.nbytes for part in padded]).tolist()
    record_bytes = 64 * record_lines(MINI.max_classes)
    (tmp_path / "memory").write_bytes(np.concatenate(padded).astype("<u8").tobytes() + bytes(record_bytes))
    job = {
        "memory": str(tmp_path / "memory"), "program_bytes": program.memory.nbytes, "images": addresses[:-1],
        "record": addresses[-1], "record_bytes": record_bytes, "classes": NETWORK.classes, "pauses": share,
        "seed": 13, "cycle_limit": CYCLE_LIMIT, "outcomes": str(tmp_path / "outcomes.json"),
    }  # fmt: skip
    (tmp_path / "job.json").write_text(json.dumps(job))
    environment = {
        "THIRD_PARTY_JOB": str(tmp_path / "job.json"),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        "COCOTB_REWRITE_ASSERTION_FILES": "*/tests/sim/third_party.py",
    }
    Simulation(find_toolchain(), waves=False).simulate(
        build(), "tests.sim.third_party", tmp_path, extra_env=environment
    )
    outcomes = json.loads((tmp_path / "outcomes.json").read_text())
    assert outcomes["data_ahead"] == (1 if share else 0), "with pauses, data of writes comes before their addresses"
    for number, (outcome, logits) in enumerate(zip(outcomes["images"], golden, strict=True), start=1):
        assert [signed(word) for word in outcome["logits"]] == logits
        assert outcome["prediction"] == int(np.argmax(logits))
        assert outcome["jobs"] == number
        words = np.frombuffer(bytes.fromhex(outcome["record"]), "<u4").tolist()
        record = ResultRecord.from_words(words, NETWORK.classes)
        assert record.job == number and list(record.logits) == logits
        assert (record.prediction, record.cycles) == (outcome["prediction"], outcome["cycles"])
