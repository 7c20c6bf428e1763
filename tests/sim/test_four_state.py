"""The emitted Verilog in a four-state simulator, as Verilog-2005 and as SystemVerilog.

There a memory or a register that was never written is X, and so is everything that depends on it. Verilator has two
states: it cannot tell.
"""

from __future__ import annotations

import dataclasses
import re
import shutil
import struct
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from golden.cycles.cycle_model import predict_cycles
from golden.model import GoldenModel
from golden.random_artifact import random_artifact, random_images
from hw.config import HardwareConfig
from hw.host.registers import COUNTER_SLOTS, RECORD_LINE_WORDS, Status
from hw.host.result_writer import record_lines
from hw.named_configs import LARGE, MINI
from hw.verilog.emit import accelerator_verilog
from sim.comparison.decode import decode_trace
from sim.comparison.trace import read_trace
from sim.rtl import PAGE_WORDS
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import WORD_BITS, pack_image
from sw.compiler.program import Program
from sw.network import NetworkConfig

TESTBENCH = Path(__file__).with_name("four_state.v")

pytestmark = pytest.mark.skipif(
    not (shutil.which("iverilog") and shutil.which("vvp")),
    reason="Icarus Verilog is not installed (Debian: apt install iverilog)",
)

LIKE_MINI = dataclasses.replace(MINI, name="like-mini", outputs=8, inputs=8, attention_columns=2)
"""Output tiles of whole words, one position, two attention tables."""

LIKE_LARGE = dataclasses.replace(
    LARGE, name="like-large", outputs=8, inputs=16, positions=1, timesteps=2, neurons=2, program_beats=1024,
    spike_words=1024, residual_words=512, token_chunks=1, max_layers=16, max_classes=16,
)  # fmt: skip
"""Output tiles of half a word, so that a word may be written in part; wide beats, four attention tables."""

ON_MINI = NetworkConfig(image_size=8, image_channels=1, classes=3, embed_dim=24, depth=1, heads=3, mlp_ratio=1)
ON_LARGE = dataclasses.replace(ON_MINI, embed_dim=64, heads=2, timesteps=2)
"""Its first convolution has 8 channels for words of 16."""


verilog = cache(accelerator_verilog)


def without_initial_values(text: str) -> str:
    """Registers as a device without initial values has them."""
    bare, count = re.subn(r"^(  reg (?:\[\d+:-?\d+\] )?\S+ ) *= \d+'[dh][0-9a-f]+;", r"\1;", text, flags=re.MULTILINE)
    assert count > 500 and not re.search(r"^  reg .* = ", bare, re.MULTILINE)
    return bare


def simulate(
    folder: Path, language: str, program: Program, image: NDArray[np.uint64], text: str
) -> dict[str, list[str]]:
    """Run a program on an image in Icarus Verilog; the hexadecimal words of what the host saw, by name.

    The trace is left in `folder`.
    """
    config = program.config
    beat_words = config.memory_bits // WORD_BITS
    parts = [np.append(part, np.zeros(-len(part) % PAGE_WORDS, np.uint64)) for part in (program.memory, image)]
    record_at = sum(part.nbytes for part in parts)
    memory = np.concatenate([*parts, np.zeros(PAGE_WORDS, np.uint64)])
    lines = ("".join(f"{word:016x}" for word in beat[::-1]) for beat in memory.reshape(-1, beat_words).tolist())
    (folder / "memory.hex").write_text("".join(f"{line}\n" for line in lines))
    (folder / "dut.v").write_text(text)
    sizes = {
        "MEMORY_BITS": config.memory_bits, "BEATS": len(memory) // beat_words, "PROGRAM_BYTES": program.memory.nbytes,
        "IMAGE": parts[0].nbytes, "RECORD": record_at, "CLASSES": len(program.steps_of("head")[0].channels),
        "RECORD_WORDS": RECORD_LINE_WORDS * record_lines(config.max_classes) * 32 // config.memory_bits,
        "COUNTERS": COUNTER_SLOTS * len(program.names), "CYCLE_LIMIT": 4 * predict_cycles(program, 1).total,
    }  # fmt: skip
    defines = [f"-D{name}={value}" for name, value in sizes.items()]
    build = ["iverilog", f"-g{language}", "-o", "simulation", "-s", "four_state", *defines, str(TESTBENCH), "dut.v"]
    for command in (build, ["vvp", "-n", "simulation"]):
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
    found: dict[str, list[str]] = {}
    for line in (folder / "results.txt").read_text().splitlines():
        name, word = line.split()
        found.setdefault(name, []).append(word)
    return found


@pytest.mark.parametrize(
    ("config", "network", "language"),
    [
        pytest.param(LIKE_MINI, ON_MINI, "2005", id="like-mini-2005", marks=pytest.mark.long),
        pytest.param(LIKE_MINI, ON_MINI, "2012", id="like-mini-2012", marks=pytest.mark.long),
        pytest.param(LIKE_LARGE, ON_LARGE, "2005", id="like-large-2005", marks=pytest.mark.long),
        pytest.param(LIKE_LARGE, ON_LARGE, "2012", id="like-large-2012"),
    ],
)
def test_nothing_depends_on_what_was_never_written(
    tmp_path: Path, config: HardwareConfig, network: NetworkConfig, language: str
):
    run_and_compare(tmp_path, config, network, language, verilog(config))


def test_a_reset_is_all_that_registers_need(tmp_path: Path):
    # No reset clears the number of the job. A device has one, whichever; here it is X, and so are the counters.
    bare = without_initial_values(verilog(LIKE_MINI))
    run_and_compare(tmp_path, LIKE_MINI, ON_MINI, "2005", bare, unknown=["counter"])


def run_and_compare(
    folder: Path, config: HardwareConfig, network: NetworkConfig, language: str, text: str, unknown: Sequence[str] = ()
) -> None:
    """Run a random network on a configuration, of the given Verilog, and compare all there is to see but `unknown`."""
    artifact = random_artifact(network, 4, seed=3)
    program = compile_artifact(artifact, config)
    pixels = random_images(network, 1, seed=4)
    golden = GoldenModel(artifact).record(pixels)
    image = pack_image(artifact, config, pixels[0].numpy(), program.image_strips)
    found = simulate(folder, language, program, image, text)
    known = {name for name, words in found.items() if all(re.fullmatch("[0-9a-f]+", word) for word in words)}
    assert found.keys() - known == set(unknown)
    assert "x" not in (folder / "trace.txt").read_text()
    assert int(found["status"][0], 16) == Status.DONE
    logits = golden.logits[0].tolist()
    assert [signed(word) for word in found["logit"]] == logits
    assert int(found["prediction"][0], 16) == logits.index(max(logits))
    record = b"".join(bytes.fromhex(word)[::-1] for word in found["record"])
    assert list(struct.unpack_from(f"<{len(logits)}i", record, 4 * RECORD_LINE_WORDS)) == logits
    recorded = decode_trace(program, read_trace(folder / "trace.txt"))
    for expected, actual in (
        (golden.spikes, recorded.spikes), (golden.pooled, recorded.pooled), (golden.residuals, recorded.residuals)
    ):  # fmt: skip
        assert expected.keys() == actual.keys()
        for name, values in expected.items():
            assert np.array_equal(values[:, 0].numpy(), actual[name]), name


def signed(word: str) -> int:
    """The integer of 32 bits that a hexadecimal number stands for."""
    return int.from_bytes(bytes.fromhex(word), "big", signed=True)
