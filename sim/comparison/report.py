"""Tables of a comparison, from the figures in ``compare.json``."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sw.tables import compact_table

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
    form = "" if hardware["technology"] == "portable" else f" ({hardware['technology']})"
    console.print(
        f"{figures['artifact']} ({figures['image_set']}) on {hardware['config']}{form}: {hardware['outputs']} outputs "
        f"x {hardware['inputs']} inputs x {hardware['positions']} positions x {hardware['timesteps']} time steps = "
        f"{hardware['sops_per_cycle']:,} synaptic operations per cycle"
    )
    console.print(layer_table(figures))
    console.print(accuracy_table(figures))
    console.print(mismatch_table(figures))
    for line in summary(figures):
        console.print(line)


def accuracy_table(figures: dict[str, Any]) -> Table:
    """Accuracy of each model, of how many images of which set; the artifact's were measured when it was made."""
    table = compact_table("accuracy", "of", "images", "correct", texts=2, title="Accuracy")
    for name, title in MODELS.items():
        entry = figures["accuracy"][name]
        row = (
            ("-", "-", "-")
            if entry is None
            else (entry["image_set"], _number(entry["images"]), f"{entry['accuracy']:.2%}")
        )
        table.add_row(title, *row)
    return table


def mismatch_table(figures: dict[str, Any]) -> Table:
    """Mismatches by kind."""
    table = compact_table(
        "comparison", "mismatches", title=f"{figures['mismatches']['values_compared']:,} values compared"
    )
    for name, title in COMPARISONS.items():
        if name in figures["mismatches"]:
            count = figures["mismatches"][name]
            table.add_row(title, f"{count:,}", style="bold red" if count else None)
    return table


def layer_table(figures: dict[str, Any], hardware: str = "RTL") -> Table:
    """Cycles of every layer per image, what share of them the array worked, and what it waited for.

    The cycle model has a column only where it differs from the hardware. Operations and energy are what `energy` shows.
    """
    layers, cycles = figures["layers"], figures["cycles"]
    differs = any(layer["cycles"] not in (None, layer["model_cycles"]) for layer in layers)
    model = ("model",) if differs else ()
    table = compact_table(
        "layer", "rate in", "cycles", *model, "ideal", "utilisation", "waits for",
        title=f"Per image: cycles in {hardware}, which the cycle model {'misses' if differs else 'predicts'}",
    )  # fmt: skip
    table.columns[-1].justify = "left"
    for layer in layers:
        table.add_row(
            layer["name"],
            _percent(layer["input_rate"]),
            _number(layer["cycles"]),
            *((_differing(layer["cycles"], layer["model_cycles"]),) if differs else ()),
            _number(layer["ideal_cycles"] or None),
            _percent(layer["utilisation"] or None),
            _waits(layer["waits"]),
        )
    waits = {cause: _sum(layer["waits"][cause] for layer in layers) for cause in layers[0]["waits"]}
    table.add_section()
    table.add_row(
        "image",
        "",
        _number(cycles["rtl_mean"]),
        *((_differing(cycles["rtl_mean"], cycles["model"]),) if differs else ()),
        _number(cycles["ideal"]),
        _percent(cycles["utilisation"]),
        _waits(waits),
        style="bold",
    )
    return table


def summary(figures: dict[str, Any]) -> list[str]:
    """Lines on cycles, energy and the simulation itself."""
    cycles, energy, simulation = figures["cycles"], figures["energy"], figures["simulation"]
    spread = f"{_number(cycles['rtl_min'])} to {_number(cycles['rtl_max'])}"
    return [
        f"cycles per image: {spread} in RTL, {cycles['model']:,} by the cycle model",
        f"energy per image by the paper's prices (45 nm): {energy['paper_j'] * 1e6:.2f} uJ by its formula, "
        f"{energy['counted_j'] * 1e6:.2f} uJ from the operations executed",
        f"simulation: {simulation['build_s']:.1f} s to build, {simulation['run_s']:.1f} s to run, "
        f"{simulation['cycles_per_s']:,.0f} cycles per second and process",
    ]


def _differing(cycles: float | None, model: int) -> Text:
    return Text("" if cycles == model else _number(model), "yellow")


def _waits(causes: dict[str, float | None]) -> str:
    """Cycles by the causes that are not zero, the longest first."""
    known = {cause: count for cause, count in causes.items() if count}
    return ", ".join(f"{cause} {count:,.0f}" for cause, count in sorted(known.items(), key=lambda item: -item[1]))


def _sum(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
