"""Spikformer on an FPGA: a Brevitas model, its integer golden model and the accelerator, equal spike for spike.

What a Python user needs comes from here. From a checkout, with one image of the committed sample::

    import spikeloom

    artifact = spikeloom.load("models/fashion-2-64.spikeloom")
    images = spikeloom.load_sample(artifact.dataset).images[:1]  # uint8 [1, 1, 28, 28]
    golden = spikeloom.GoldenModel(artifact).run(images)  # exact integers, in PyTorch
    rtl = spikeloom.simulate(artifact, images, spikeloom.BASE)  # the Verilog, in Verilator
    assert rtl.logits.tolist() == golden.logits.tolist()
    print(rtl.predictions, rtl.jobs[0].cycles, rtl.counters[0]["conv0"])
    report = spikeloom.compare(artifact, images, spikeloom.BASE)  # every spike of every layer
    assert report.mismatch is None
    print(*spikeloom.emit_verilog(spikeloom.BASE).files)  # names of files, and what goes into each

A name is imported when it is first used: the command line needs neither PyTorch nor Amaranth to show its help.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from golden.cycles.cycle_model import predict_cycles
    from golden.expectation import expect
    from golden.model import GoldenModel, GoldenResult
    from golden.random_artifact import random_artifact, random_images
    from hw.config import HardwareConfig
    from hw.named_configs import BASE, CONFIGS, HUGE, LARGE, MINI, TINY
    from hw.verilog.emit import emit as emit_verilog
    from sim.comparison.compare import CompareReport, compare
    from sim.rtl import RtlRun, simulate
    from sim.simulated_board import open_simulation
    from sw.artifact.artifact import Artifact
    from sw.artifact.file import load, save
    from sw.compiler.compiler import compile_artifact as compile
    from sw.compiler.program import Program
    from sw.data.samples import load_sample
    from sw.data.sets import ImageSet
    from sw.driver.accelerator import Accelerator
    from sw.driver.bus import run_blocking
    from sw.errors import UserError
    from sw.network import NetworkConfig

__all__ = [
    "BASE", "CONFIGS", "HUGE", "LARGE", "MINI", "TINY", "Accelerator", "Artifact", "CompareReport", "GoldenModel",
    "GoldenResult", "HardwareConfig", "ImageSet", "NetworkConfig", "Program", "RtlRun", "UserError", "compare",
    "compile", "emit_verilog", "expect", "load", "load_sample", "open_simulation", "predict_cycles", "random_artifact",
    "random_images", "run_blocking", "save", "simulate",
]  # fmt: skip

_MODULES = {
    "golden.cycles.cycle_model": ("predict_cycles",),
    "golden.expectation": ("expect",),
    "golden.model": ("GoldenModel", "GoldenResult"),
    "golden.random_artifact": ("random_artifact", "random_images"),
    "hw.config": ("HardwareConfig",),
    "hw.named_configs": ("BASE", "CONFIGS", "HUGE", "LARGE", "MINI", "TINY"),
    "hw.verilog.emit": ("emit",),
    "sim.comparison.compare": ("CompareReport", "compare"),
    "sim.rtl": ("RtlRun", "simulate"),
    "sim.simulated_board": ("open_simulation",),
    "sw.artifact.artifact": ("Artifact",),
    "sw.artifact.file": ("load", "save"),
    "sw.compiler.compiler": ("compile_artifact",),
    "sw.compiler.program": ("Program",),
    "sw.data.samples": ("load_sample",),
    "sw.data.sets": ("ImageSet",),
    "sw.driver.accelerator": ("Accelerator",),
    "sw.driver.bus": ("run_blocking",),
    "sw.errors": ("UserError",),
    "sw.network": ("NetworkConfig",),
}
"""Where each name comes from."""

_SHORT = {"compile_artifact": "compile", "emit": "emit_verilog"}
"""Names that differ here."""

_PLACES = {_SHORT.get(name, name): (module, name) for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, original = _PLACES[name]
    value = globals()[name] = getattr(import_module(module), original)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
