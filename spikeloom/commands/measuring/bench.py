"""`spikeloom bench`: the project's figures of merit beside their targets, each measured from nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.table import Table

from spikeloom.commands.common import (
    MODEL,
    configs_option,
    console,
    hold,
    model_option,
    progress_console,
    shown,
    write_json,
)
from sw.checkout import BUILD
from sw.claims import claimed, scratch
from sw.errors import UserError
from sw.tables import compact_table

if TYPE_CHECKING:
    from hw.config import HardwareConfig

OUT = BUILD / "bench.json"
SPEEDS = BUILD / "speeds.json"


@click.command()
@click.option("--only", multiple=True, metavar="NAME", help="Measure this figure only; may be given several times.")
@click.option("--check", is_flag=True, help="Exit code 1 if a figure misses its target or cannot be measured.")
@click.option("--speeds", is_flag=True, help="Instead: speed of golden model, simulation and accelerator with a model.")
@model_option()
@configs_option("tiny", "base")
def bench(only: tuple[str, ...], check: bool, speeds: bool, model: Path, configs: tuple[HardwareConfig, ...]) -> int:
    """Measure the project's figures of merit and show them beside their targets.

    Cycles and utilisation of Spikformer-4-256 on the simulated configuration large, LUTs by Yosys, clock frequency by
    nextpnr, speed of the simulation: everything is built and run again, which takes eight minutes. Figures are in
    build/bench.json; those not measured this time stay as they are.

    With --speeds: golden images per second, with --model and with Spikformer-4-256 on one thread, there beside
    SpikingJelly's if it is installed; and for every --config the seconds to build its simulator, simulated cycles per
    second, and cycles per image beside the cycle model and the ideal, with --model.
    """
    hold(claimed(BUILD / "bench", progress_console.print))  # two at once would measure each other, too
    if speeds:
        measure_speeds(model, configs)
        return 0
    given = click.get_current_context().get_parameter_source
    if ParameterSource.COMMANDLINE in (given("model"), given("configs")):
        raise UserError("--model and --config go with --speeds: a figure is always of the same network and machine")
    return int(measure_figures(only) and check)


def measure_figures(only: tuple[str, ...]) -> bool:
    """Measure, write and print figures; whether one is missing or misses its target."""
    from spikeloom.measure.figures import MEASUREMENTS, Lab, figure
    from sw.synthesis.report import merge

    if unknown := [name for name in only if name not in MEASUREMENTS]:
        raise UserError(f"unknown figure {unknown[0]!r}; choose from {', '.join(MEASUREMENTS)}")
    measured: dict[str, dict[str, Any]] = {}
    missing: dict[str, str] = {}
    with scratch(BUILD, ".bench-") as folder:
        lab = Lab(folder, progress_console.status)
        for name in only or MEASUREMENTS:
            try:
                value: float | None = MEASUREMENTS[name](lab)
            except UserError as error:
                value, missing[name] = None, str(error).splitlines()[0]
            measured[name] = figure(name, value)
            # After each: an interruption an hour in keeps what was measured.
            merge(OUT, name, None, measured[name])
    console.print(figure_table(measured))
    for name, reason in missing.items():
        console.print(f"{name} could not be measured: {reason}")
    console.print(shown(OUT))
    return any(standing(name, entry) != "met" for name, entry in measured.items())


def standing(name: str, entry: Mapping[str, Any]) -> str:
    """How a figure stands to its target, in a word."""
    from spikeloom.measure.figures import TARGETS

    if entry["value"] is None:
        return "not measured"
    return "met" if TARGETS[name].met(entry["value"]) else "MISSED"


def figure_table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Figures beside their targets."""
    table = compact_table("figure", "unit", "", "value", "target", "aim", texts=3)
    for name, entry in figures.items():
        bound, sign = (entry["at_least"], ">=") if "at_least" in entry else (entry["at_most"], "<=")
        numbers = (_number(entry["value"]), f"{sign} {bound:,}", f"{entry['aim']:,}")
        table.add_row(name, entry["unit"], standing(name, entry), *numbers)
    return table


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def measure_speeds(model: Path, configs: tuple[HardwareConfig, ...]) -> None:
    """Measure, write and print the speeds with a model."""
    from spikeloom.commands.images import RANDOM_IMAGES, ImageChoice, images_for, random_set
    from spikeloom.measure.inference import INSTALL
    from spikeloom.measure.speeds import measure_config, measure_golden, measure_inference
    from sw.artifact.file import load
    from sw.data.sets import DATA_SETS

    artifact = load(model)
    known = artifact.dataset in DATA_SETS  # speeds need no images that mean anything
    images = images_for(artifact, ImageChoice()) if known else random_set(artifact.network, RANDOM_IMAGES)
    again = "spikeloom bench --speeds" + ("" if model == MODEL else f" --model {shown(model)}")
    rows = [measure_golden(artifact, images, again, progress_console.status)]
    inference = measure_inference(again, progress_console.status)
    if len(inference) == 1:
        console.print(f"SpikingJelly is not installed; to measure it beside the golden model: {INSTALL}")
    rows += inference
    for config in configs:
        command = f"{again} --config {config.name}"
        rows += measure_config(config, artifact, images, command, BUILD, progress_console.status)
    write_json(SPEEDS, [asdict(row) for row in rows])
    table = compact_table("measurement", "unit", "value", texts=2)
    for row in rows:
        digits = 0 if row.value >= 1000 else 1 if row.unit != "of ideal" else 3
        table.add_row(row.name, row.unit, f"{row.value:,.{digits}f}")
    console.print(table)
    console.print(shown(SPEEDS))
