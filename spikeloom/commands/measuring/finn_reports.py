"""`spikeloom finn-reports`: what is known of a model on a configuration, in files with FINN's names and keys."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeloom.commands.common import config_option, console, model_option, recorded, shown
from spikeloom.commands.hardware import synth
from sw.checkout import BUILD
from sw.errors import UserError
from sw.outputs import OUTPUT_FOLDER
from sw.synthesis.cells import FAMILIES

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from sw.compiler.program import Program

REPORTS = ("estimate_layer_cycles", "estimate_layer_resources", "rtlsim_performance", "post_synth_resources")
"""Names of the files, without suffix, in the order in which FINN's build comes to them."""


@click.command()
@model_option()
@config_option()
@click.option(
    "--family", type=click.Choice([*FAMILIES]), default="xcup", show_default=True, help="FPGA family of the resources."
)
@click.option(
    "--clock", type=click.FloatRange(0, min_open=True), metavar="MHZ",
    help="Clock that times are computed for; without one there are cycles only.",
)  # fmt: skip
@click.option(
    "--compare", "compared", type=click.Path(path_type=Path), default=BUILD / "compare.json", metavar="FILE",
    help="Figures of the model's simulation.  [default: build/compare.json]",
)  # fmt: skip
@click.option(
    "--only", multiple=True, type=click.Choice(REPORTS), metavar="NAME",
    help=f"Write this one; may be given several times.  [default: {', '.join(REPORTS)}]",
)  # fmt: skip
@click.option(
    "--out", type=OUTPUT_FOLDER, default=BUILD / "finn" / "report", metavar="DIR",
    help="Folder to write.  [default: build/finn/report]",
)  # fmt: skip
def finn_reports(
    model: Path,
    config: HardwareConfig,
    family: str,
    clock: float | None,
    compared: Path,
    only: tuple[str, ...],
    out: Path,
) -> None:
    """Write reports with FINN's names and keys: cycles of the layers, resources, performance in RTL.

    Cycles of the layers are the cycle model's, those of the performance are the hardware's from a run of `spikeloom
    compare`, resources are from `spikeloom synth`. A report whose source is missing, or of another model or
    configuration, is not written, and the command says what to run. What each key means here, and which of FINN's there
    are not, is in docs/formats.md.
    """
    from sim.rtl import MEMORY_LATENCY
    from spikeloom.measure import finn_reports as reports
    from sw.artifact.file import load
    from sw.compiler.compiler import compile_artifact
    from sw.folders import check_replaceable, write_folder

    program = compile_artifact(load(model), config)
    check_replaceable(out)
    makers: dict[str, Callable[[], dict[str, Any]]] = {
        "estimate_layer_cycles": lambda: reports.estimate_layer_cycles(program, MEMORY_LATENCY),
        "estimate_layer_resources": lambda: reports.estimate_layer_resources(_synthesis(config, family), family),
        "rtlsim_performance": lambda: reports.rtlsim_performance(_comparison(compared, model, program), program, clock),
        "post_synth_resources": lambda: reports.post_synth_resources(_synthesis(config, family), family),
    }
    files: dict[str, str] = {}
    missing: dict[str, list[str]] = {}
    for name in dict.fromkeys(only or REPORTS):
        try:
            files[f"{name}.json"] = json.dumps(makers[name](), indent=2) + "\n"
        except UserError as error:
            missing.setdefault(str(error), []).append(f"{name}.json")
    if files:
        write_folder(out, files)
        for name in files:
            console.print(shown(out / name))
    if missing:
        raise UserError("; ".join(f"{' and '.join(names)} not written: {why}" for why, names in missing.items()))


def _comparison(path: Path, model: Path, program: Program) -> dict[str, Any]:
    """Figures of the comparison, if it is of this program on this configuration and found no mismatch."""
    from spikeloom.measure.compare_file import identity, read_compare

    again = f"run spikeloom compare --model {shown(model)} --config {_option(program.config)}"
    if not path.exists():
        raise UserError(f"{shown(path)} is missing: {again}")
    figures = read_compare(path)
    origin = figures["provenance"]
    if any(origin[key] != value for key, value in identity(program).items()):
        raise UserError(
            f"{shown(path)} is of {origin['model']} on {figures['hardware']['config']}, not of {recorded(model)} on "
            f"{program.config.name} as they are now: {again}"
        )
    if figures["first_mismatch"] is not None:
        raise UserError(f"{shown(path)} is of a run that found a mismatch: {again}")
    return figures


def _synthesis(config: HardwareConfig, family: str) -> dict[str, Any]:
    """The configuration's entry of ``build/synth.json``."""
    from sw.synthesis.report import read_entries

    entry = read_entries(synth.OUT).get(config.name, {}).get(family)
    again = f"run spikeloom synth --config {_option(config)} --family {family}"
    if entry is None:
        raise UserError(f"{shown(synth.OUT)} has no {config.name} on {family}: {again}")
    if entry.get("config_fingerprint") != f"{config.fingerprint:08x}":
        raise UserError(
            f"{shown(synth.OUT)} has {config.name} on {family} as it was once, or another of that name: {again}"
        )
    found: dict[str, Any] = entry
    return found


def _option(config: HardwareConfig) -> str:
    """What chooses a configuration on a command line."""
    from hw.named_configs import CONFIGS

    return config.name if CONFIGS.get(config.name) == config else "<its JSON file>"
