"""A LiteX system runs jobs by its own processor and the C driver: exact, over its bus and by a port of its DRAM."""

from __future__ import annotations

import dataclasses
import importlib
import shutil
from itertools import islice

import numpy as np
import pytest

from golden.cycles.cycle_model import predict_cycles
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.host.registers import COUNTER_SLOTS, Counter, ErrorCause, Interrupt
from hw.named_configs import MINI
from sim.rtl import PAGE_WORDS
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import pack_image
from sw.network import NetworkConfig

NETWORK = NetworkConfig(image_size=8, image_channels=1, classes=5, embed_dim=32, depth=1, heads=2)
OK = 0
SHORTEST_LATENCY = 2
TIMEOUT = 2_000_000
CYCLES_TO_RESET = 3000


@pytest.fixture(scope="module")
def system():
    """Imported for a test only: LiteX takes seconds, and sleeps in between."""
    for package in ("litex", "litedram", "pythondata_cpu_vexriscv"):
        pytest.importorskip(package)
    module = importlib.import_module("tests.sim.litex.system")
    if shutil.which(module.COMPILER) is None:
        pytest.skip(f"there is no {module.COMPILER}")
    return module


def padded(words):
    return np.concatenate([words, np.zeros(-len(words) % PAGE_WORDS, np.uint64)])


@pytest.mark.long
@pytest.mark.parametrize(
    ("bus", "ram", "memory_bits"),
    [
        (bus, ram, memory_bits)
        for bus, ram in (
            ("wishbone", "port"), ("wishbone", "port-cache"), ("wishbone", "sdram"), ("wishbone", "sram"),
            ("axi-lite", "sram"), ("axi", "sram"),
        )
        for memory_bits in (64, 128)
    ],
)  # fmt: skip
def test_the_processor_runs_exact_jobs(tmp_path, system, bus, ram, memory_bits):
    config = dataclasses.replace(MINI, memory_bits=memory_bits)
    artifact = random_artifact(NETWORK, 4, seed=3)
    program = compile_artifact(artifact, config)
    pixels = random_images(NETWORK, 2, seed=4)
    golden = GoldenModel(artifact).run(pixels)
    images = np.concatenate([pack_image(artifact, config, image, program.image_strips) for image in pixels.numpy()])
    page = np.zeros(PAGE_WORDS, np.uint64)
    parts = [padded(part) for part in (program.memory, images, page, page, page)]
    first, buffer, record, boots, _ = np.cumsum([part.nbytes for part in parts]).tolist()
    content = np.concatenate(parts).astype("<u8").view("<u4").tolist()
    job = {
        "PROGRAM": 0, "PROGRAM_BYTES": program.memory.nbytes, "IMAGES": first, "IMAGE_COUNT": len(pixels),
        "IMAGE_WORDS": images.nbytes // 4 // len(pixels), "BUFFER": buffer, "RECORD": record,
        "CLASSES": NETWORK.classes, "LAYERS": len(program.names), "TIMEOUT": TIMEOUT, "BOOTS": boots,
        "CYCLES_TO_RESET": CYCLES_TO_RESET,
    }  # fmt: skip
    words = iter(system.run(config, tmp_path, content, job, bus=bus, ram=ram, cycles=2 * TIMEOUT))

    def take(count: int) -> list[int]:
        return list(islice(words, count))

    assert take(2) == [OK, OK]  # the device is the one of the header; a job has started, then the system is reset
    assert take(2) == [OK, OK]  # it is still that device; the interrupt is enabled
    for image, logits in enumerate(golden.logits.tolist()):
        assert take(2) == [OK, OK]  # started, waited
        (elapsed,) = take(1)
        assert take(4) == [1, OK, Interrupt.DONE, 0]  # the line was high, and is low behind taking the interrupt
        outcome, prediction, cycles, *rest = take(6)
        assert (outcome, prediction) == (OK, int(np.argmax(logits)))
        assert rest == [ErrorCause.NONE, len(program.steps), image + 1]
        found = take(NETWORK.classes)
        assert found == [logit % (1 << 32) for logit in logits]
        assert take(6 + NETWORK.classes) == [OK, prediction, cycles, *rest, *found]  # the record says the same
        layers = [take(1 + COUNTER_SLOTS) for _ in program.names]
        assert all(layer[0] == OK for layer in layers)
        assert sum(layer[1 + Counter.CYCLES] for layer in layers) == cycles
        # No memory is faster than the cycle model's, which gives a beat per cycle.
        assert predict_cycles(program, SHORTEST_LATENCY).total <= cycles < elapsed
        print(bus, ram, memory_bits, image, cycles, elapsed)
    assert list(words) == []
