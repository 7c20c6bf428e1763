"""Tables of a comparison, from the figures in ``compare.json``."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

MODELS = {
    "float": "float model, as the artifact records",
    "brevitas": "Brevitas model, as the artifact records",
    "golden": "golden model",
    "golden_on_rtl_images": "golden model, the RTL's images",
    "rtl": "RTL",
}
"""Names of the accuracies, in the order of the chain that ends in hardware."""

COMPARISONS = {
    "brevitas_golden_spikes": "Brevitas and golden: spikes",
    "brevitas_golden_logits": "Brevitas and golden: logits",
    "golden_rtl_spikes": "golden and RTL: spikes",
    "golden_rtl_residuals": "golden and RTL: residual integers",
    "golden_rtl_logits": "golden and RTL: logits and predictions",
    "rtl_failures": "images without a result",
}
"""Names of the mismatch counts."""


def render(figures: dict[str, Any], console: Console) -> None:
    """Print the figures of a comparison.

    Parameters
    ----------
    figures : dict
        As `sim.comparison.compare.CompareReport.to_dict` gives them.
    console : Console
        Where to.
    """
    hardware = figures["hardware"]
    console.print(
        f"{figures['artifact']} ({figures['dataset']}) on {hardware['config']}: {hardware['outputs']} outputs x "
        f"{hardware['inputs']} inputs x {hardware['positions']} positions x {hardware['timesteps']} time steps = "
        f"{hardware['sops_per_cycle']:,} synaptic operations per cycle"
    )
    console.print(layer_table(figures))
    console.print(accuracy_table(figures))
    console.print(mismatch_table(figures))
    for line in summary(figures):
        console.print(line)


def accuracy_table(figures: dict[str, Any]) -> Table:
    """Accuracy of each model, of how many images of which set; the artifact's were measured when it was made."""
    table = Table("accuracy")
    table.add_column("images", justify="right")
    table.add_column("of", overflow="fold")
    table.add_column("correct", justify="right")
    for name, title in MODELS.items():
        entry = figures["accuracy"][name]
        row = ("-", "-", "-") if entry is None else (_number(entry["images"]), entry["set"], f"{entry['share']:.2%}")
        table.add_row(title, *row)
    return table


def mismatch_table(figures: dict[str, Any]) -> Table:
    """Mismatches by kind."""
    table = Table("comparison", title=f"{figures['mismatches']['values_compared']:,} values compared")
    table.add_column("mismatches", justify="right")
    for name, title in COMPARISONS.items():
        if name in figures["mismatches"]:
            count = figures["mismatches"][name]
            table.add_row(title, f"{count:,}", style="bold red" if count else None)
    return table


def layer_table(figures: dict[str, Any]) -> Table:
    """Operations, cycles and stalls of every layer, per image.

    ``engine`` are the cycles in which the array works, or beside it attention; ``waits`` what the array waits for.
    """
    headings = (
        "planes", "dense ops", "executed ops", "rate in", "cycles", "model", "ideal", "utilisation",
        "engine", *(f"waits: {cause}" for cause in _stalls(figures)),
    )  # fmt: skip
    table = Table("layer", title="Per image: synaptic operations, cycles in RTL, cycle model, ideal")
    for heading in headings:
        table.add_column(heading, justify="right")
    for layer in figures["layers"]:
        differs = layer["cycles"] is not None and layer["cycles"] != layer["model_cycles"]
        table.add_row(
            layer["name"],
            _number(layer["planes"] or None),
            _number(layer["sops_dense"] or None),
            _number(layer["sops_executed"] or None),
            _percent(layer["firing_rate_in"]),
            _number(layer["cycles"]),
            Text(_number(layer["model_cycles"]), "yellow" if differs else ""),
            _number(layer["ideal_cycles"] or None),
            _percent(layer["utilization"] or None),
            _number(layer["engine_cycles"]),
            *(_number(layer["stalls"][cause]) for cause in _stalls(figures)),
        )
    cycles = figures["cycles"]
    table.add_section()
    table.add_row(
        "image",
        "",
        _number(sum(layer["sops_dense"] for layer in figures["layers"])),
        _number(sum(layer["sops_executed"] for layer in figures["layers"])),
        "",
        _number(cycles["rtl_mean"]),
        _number(cycles["model"]),
        _number(cycles["ideal"]),
        _percent(cycles["utilization"]),
        _number(_sum(layer["engine_cycles"] for layer in figures["layers"] if layer["cycles"])),
        *(_number(_sum(layer["stalls"][cause] for layer in figures["layers"])) for cause in _stalls(figures)),
        style="bold",
    )
    return table


def summary(figures: dict[str, Any]) -> list[str]:
    """Lines on cycles, energy and the simulation itself."""
    cycles, energy, simulation = figures["cycles"], figures["energy"], figures["simulation"]
    spread = f"{_number(cycles['rtl_min'])} to {_number(cycles['rtl_max'])}"
    return [
        f"cycles per image: {spread} in RTL, {cycles['model']:,} by the cycle model",
        f"energy per image by the paper's prices (45 nm): {energy['paper_formula_j'] * 1e6:.2f} uJ by its formula, "
        f"{energy['sop_j'] * 1e6:.2f} uJ from the operations executed",
        f"simulation: {simulation['build_s']:.1f} s to build, {simulation['run_s']:.1f} s to run, "
        f"{simulation['cycles_per_s']:,.0f} cycles per second and process",
    ]


def _stalls(figures: dict[str, Any]) -> tuple[str, ...]:
    return tuple(figures["layers"][0]["stalls"])


def _sum(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
