"""The project's figures of merit: one function measures each, from nothing, on whatever the sources are now.

What several figures need (the simulator of `large`, a run of a network, a synthesis) is made once per `Lab`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from golden.accounting.operations import dense_operations
from golden.random_artifact import random_artifact, random_images
from hw.config import WEIGHT_BITS
from hw.named_configs import LARGE, MINI
from hw.verilog.description import TOP
from hw.verilog.emit import accelerator_verilog
from sim.rtl import RtlRun, RtlSimulation
from sim.runner import ImageResult, build
from sim.verilator.simulation import Build
from sw.artifact.artifact import Artifact
from sw.compiler.compiler import compile_artifact
from sw.compiler.image_pack import WORD_BITS
from sw.compiler.program import Program
from sw.errors import UserError
from sw.named_networks import SPIKFORMER_4_256
from sw.network import NetworkConfig, ResidualMode
from sw.synthesis.cells import luts
from sw.synthesis.place import TARGET_MHZ, measure_fmax
from sw.synthesis.report import synthesis_entry
from sw.synthesis.state import membrane_bits as kept_membrane_bits

LATENCY = 100
"""Cycles from a memory request to its first beat, in every run: that of external DRAM at 300 MHz."""

CLOCK_HZ = 300e6
"""Nominal clock for frames per second: that of the fastest published designs on UltraScale+. It is no measurement."""

SEED = 1

StatusLine = Callable[[str], AbstractContextManager[Any]]
"""Shows a line while it is entered."""


@dataclass(frozen=True)
class Target:
    """What a figure must reach.

    Attributes
    ----------
    unit : str
    limit : float
        Worst acceptable value.
    aim : float
        Value worth having.
    least : bool
        Whether larger is better.
    """

    unit: str
    limit: float
    aim: float
    least: bool

    def met(self, value: float) -> bool:
        """Whether a value is acceptable."""
        return value >= self.limit if self.least else value <= self.limit


TARGETS = {
    "utilisation_4_256": Target("of ideal", 0.90, 0.97, True),
    "cycles_4_256_iand": Target("cycles/image", 455_000, 420_000, False),
    "lut_per_sop_per_cycle": Target("LUT", 5.6, 4.0, False),
    "frames_per_s_per_klut": Target("frames/s", 25, 40, True),
    "ecp5_fmax_mhz": Target("MHz", 100, 150, True),
    "sim_cycles_per_s": Target("cycles/s", 100_000, 250_000, True),
    "sim_build_s": Target("s", 120, 60, False),
    "membrane_bits": Target("bit", 0, 0, False),
    "weight_fetch_ratio": Target("of the model", 1.0, 1.0, False),
}
"""Targets by figure."""


@dataclass(frozen=True)
class NetworkRun:
    """One image of a random network on the simulated accelerator.

    Attributes
    ----------
    artifact : Artifact
    program : Program
    rtl : RtlRun
    """

    artifact: Artifact
    program: Program
    rtl: RtlRun

    @property
    def image(self) -> ImageResult:
        """The image's outcome."""
        return self.rtl.images[0]

    @property
    def cycles(self) -> int:
        """Clock cycles from start to done, counted by the hardware."""
        assert self.image.job is not None
        return self.image.job.cycles


class Lab:
    """What measurements share; each thing is made when the first figure asks for it.

    Parameters
    ----------
    folder : Path
        Takes builds, runs and logs; nothing in it from before is used.
    status : StatusLine
        Shows what is going on while it is entered.
    """

    config = LARGE

    def __init__(self, folder: Path, status: StatusLine):
        self._folder, self._status = folder, status
        self._runs: dict[str, NetworkRun] = {}

    @cached_property
    def simulator(self) -> tuple[Build, float]:
        """The simulator of `config`, built from nothing, and the seconds that took."""
        with self._status(f"{self.config.name}: building the simulator"):
            began = time.perf_counter()
            made = build(self.config, waves=False, jobs=os.cpu_count() or 1, folder=self._folder / "sim")
            return made, time.perf_counter() - began

    @cached_property
    def synthesis(self) -> dict[str, Any]:
        """Entry of `config` on UltraScale+, see `sw.synthesis.report.entry`."""
        with self._status(f"{self.config.name}: Yosys"):
            return synthesis_entry(self.config, "xcup", self._folder / "synth")

    def run(self, residual_mode: ResidualMode) -> NetworkRun:
        """One image of random Spikformer-4-256 through `simulator`."""
        if residual_mode not in self._runs:
            simulator, _ = self.simulator
            with self._status(f"{self.config.name}: Spikformer-4-256, {residual_mode}"):
                network = replace(SPIKFORMER_4_256, residual_mode=residual_mode)
                self._runs[residual_mode] = run_network(simulator, network, self._folder / f"run-{residual_mode}")
        return self._runs[residual_mode]

    def verilog(self) -> str:
        """Emitted Verilog of `config`."""
        return accelerator_verilog(self.config)

    @property
    def folder(self) -> Path:
        """Where measurements may write."""
        return self._folder

    def status(self, text: str) -> AbstractContextManager[Any]:
        """Show what is going on."""
        return self._status(text)


def run_network(simulator: Build, network: NetworkConfig, folder: Path) -> NetworkRun:
    """Run one random image of a random network on `LARGE`.

    Raises
    ------
    UserError
        If the network does not fit, or the accelerator does not finish.
    """
    artifact = random_artifact(network, WEIGHT_BITS, SEED)
    program = compile_artifact(artifact, LARGE)
    pixels = random_images(network, 1, SEED).numpy()
    simulation = RtlSimulation(simulator=simulator, artifact=artifact, program=program, folder=folder, latency=LATENCY)
    rtl = simulation.run(pixels)
    (image,) = rtl.images
    if image.failure or image.job is None:
        raise UserError(f"{LARGE.name}: {image.failure or 'no result'}; see {folder}")
    return NetworkRun(artifact, program, rtl)


def utilisation_4_256(lab: Lab) -> float:
    """Dense operations of the array times bit-planes per operation slot of it, over a whole image.

    Attention has an engine of its own beside the array: its operations do not count, the cycles it costs do.
    """
    run = lab.run("add")
    network = run.artifact.network
    counts = zip(network.layers(), dense_operations(network), strict=True)
    operations = sum(count.plane_sops for layer, count in counts if layer.has_weights)
    return operations / lab.config.sops_per_cycle / run.cycles


def cycles_4_256_iand(lab: Lab) -> float:
    """Cycles of an image where spikes join the residual stream by IAND, so that it stays one plane."""
    return lab.run("iand").cycles


def lut_per_sop_per_cycle(lab: Lab) -> float:
    """LUTs of the whole accelerator, logic and memory alike, per synaptic operation and cycle."""
    return float(lab.synthesis["lut_per_sop_per_cycle"])


def frames_per_s_per_klut(lab: Lab) -> float:
    """Images per second at `CLOCK_HZ` per thousand LUTs."""
    return CLOCK_HZ / cycles_4_256_iand(lab) / (luts(lab.synthesis["resources"]) / 1000)


def ecp5_fmax_mhz(lab: Lab) -> float:
    """Clock frequency of the smallest configuration on an ECP5, one placement."""
    return float(measure_fmax(MINI, 1, TARGET_MHZ, lab.folder / "fmax", lab.status)["fmax_mhz"])


def sim_cycles_per_s(lab: Lab) -> float:
    """Simulated cycles per second of one process."""
    run = lab.run("add")
    return run.rtl.cycles / run.rtl.seconds


def sim_build_s(lab: Lab) -> float:
    """Seconds from the configuration to its simulator, with a compiler on every core."""
    return lab.simulator[1]


def membrane_bits(lab: Lab) -> float:
    """State of neurons between time steps, found in the emitted Verilog."""
    with lab.status(f"{lab.config.name}: state of the neurons"):
        return kept_membrane_bits(lab.verilog(), TOP, lab.folder / "state")


def weight_fetch_ratio(lab: Lab) -> float:
    """Bytes of the program that memory delivered during an image, per byte of it: 1 if everything is read once."""
    run = lab.run("add")
    return program_bytes_delivered(run) / run.program.memory.nbytes


def program_bytes_delivered(run: NetworkRun) -> int:
    """Bytes of weights, parameters and descriptors that the simulated memory delivered during the image."""
    delivered = run.image.beats_read * run.program.config.memory_bits // 8
    return delivered - run.program.image_words * WORD_BITS // 8


MEASUREMENTS: dict[str, Callable[[Lab], float]] = {
    measure.__name__: measure
    for measure in (
        utilisation_4_256, cycles_4_256_iand, lut_per_sop_per_cycle, frames_per_s_per_klut, ecp5_fmax_mhz,
        sim_cycles_per_s, sim_build_s, membrane_bits, weight_fetch_ratio,
    )
}  # fmt: skip
"""Function of every figure, in the order of `TARGETS`."""


def figure(name: str, value: float | None) -> dict[str, Any]:
    """A figure as it stands in ``build/bench.json``; `value` is None if it could not be measured."""
    target = TARGETS[name]
    return {
        "value": value,
        "unit": target.unit,
        "at_least" if target.least else "at_most": target.limit,
        "aim": target.aim,
        "command": f"spikeloom bench --only {name}",
    }
