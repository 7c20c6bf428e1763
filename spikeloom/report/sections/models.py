"""What accuracy costs: the committed models and the one that was compared, in cycles and in energy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from golden.arithmetic import exact_arithmetic
from golden.parallel import in_parallel
from hw.config import HardwareConfig
from hw.named_configs import BASE, CONFIGS
from sim.rtl import MEMORY_LATENCY
from spikeloom.measure.codesign import Variant, fronts, measure_variant
from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Plot, Section, Table
from spikeloom.report.style import SERIES
from sw.artifact.accuracy import recorded
from sw.artifact.file import SUFFIX, load
from sw.checkout import ROOT
from sw.data.samples import load_sample
from sw.data.sets import DATA_SETS

MODELS = ROOT / "models"

IMAGES = 8
"""Images of the committed sample whose operations are counted: energy hardly differs from image to image."""

PANELS = (("cycles", 1e-3, "thousand cycles per image"), ("counted_j", 1e6, "energy per image, µJ"))
"""Cost, factor and title of the axes."""


def section(inputs: Inputs, folder: Path = MODELS) -> Section:
    """Measure models as `spikeloom codesign` does, but with the accuracies that they record, which takes seconds.

    Parameters
    ----------
    inputs : Inputs
        A configuration of the user's is not known by its name: cycles are then those of `BASE`.
    folder : Path
        Its models are measured, and the one compared.
    """
    config = CONFIGS.get(inputs.compare["hardware"]["config"], BASE)
    compared = ROOT / inputs.compare["provenance"]["model"]
    paths = dict.fromkeys([*sorted(folder.glob(f"*{SUFFIX}")), compared])
    with exact_arithmetic():  # around all threads, see `golden.evaluate.classify`
        variants = [found for found in in_parallel(partial(_measure, config), paths) if found is not None]
    if not variants:
        return Section("models", "Models", ())
    best = max(variants, key=lambda variant: variant.accuracy or 0)
    exhibit = Exhibit(
        "models-costs",
        f"Accuracy against cycles and energy on {config.name}",
        "A point for every model, a step line through those that no other one beats; only points of one colour were "
        f"measured on the same images. {best.name} is right most often, in {best.accuracy:.2%}.",
        Plot(_figure(variants), height=640),
        "Accuracy against cycles and against energy: " + "; ".join(_words(variant) for variant in variants) + ".",
        _table(variants),
    )
    return Section("models", "Models", (exhibit,))


def _measure(config: HardwareConfig, path: Path) -> Variant | None:
    """A model's costs and its recorded accuracy in integers; None if it records none, or there is no sample for it."""
    artifact = load(path)
    accuracies = recorded(artifact)
    accuracy = accuracies.get("golden") or accuracies.get("brevitas")
    if accuracy is None or artifact.dataset not in DATA_SETS:
        return None
    sample = load_sample(artifact.dataset)
    variant = measure_variant(
        path.stem, artifact, config, sample.images[:IMAGES], sample.labels[:IMAGES],
        memory_latency=MEMORY_LATENCY, image_set=sample.name,
    )  # fmt: skip
    return replace(variant, **accuracy)


def _figure(variants: Sequence[Variant]) -> Figure:
    figure = make_subplots(rows=len(PANELS), cols=1, vertical_spacing=0.2)
    sets = list(dict.fromkeys(variant.image_set for variant in variants))
    for row, (cost, factor, title) in enumerate(PANELS, 1):
        unbeaten = fronts(variants, cost)
        most = max((price for one in variants if (price := getattr(one, cost)) is not None), default=1) * factor
        for number, image_set in enumerate(sets):
            colour = SERIES[number % len(SERIES)]
            front = unbeaten.get(image_set, [])
            figure.add_trace(
                Scatter(
                    x=[getattr(one, cost) * factor for one in front], y=[one.accuracy for one in front], mode="lines",
                    line={"shape": "hv", "color": colour, "dash": "dot"}, showlegend=False, hoverinfo="skip",
                ),
                row=row, col=1,
            )  # fmt: skip
            points = [one for one in variants if one.image_set == image_set and getattr(one, cost) is not None]
            figure.add_trace(
                Scatter(
                    x=[getattr(one, cost) * factor for one in points], y=[one.accuracy for one in points],
                    text=[one.name for one in points], mode="markers+text",
                    textposition=[
                        f"bottom {'left' if getattr(one, cost) * factor > most / 2 else 'right'}" for one in points
                    ],
                    marker={"size": 10, "color": colour}, name=image_set, legendgroup=image_set,
                    showlegend=row == 1, cliponaxis=False,
                    hovertemplate=f"%{{text}}<br>%{{y:.2%}}, %{{x:,.4~g}} {title}<extra></extra>",
                ),
                row=row, col=1,
            )  # fmt: skip
        figure.update_xaxes(title=title, range=[0, 1.05 * most], row=row)
    accuracies = [one.accuracy for one in variants if one.accuracy is not None]
    margin = max(0.02, (max(accuracies) - min(accuracies)) / 8)
    limits = [max(0.0, min(accuracies) - margin), min(1.0, max(accuracies) + margin)]
    figure.update_yaxes(title="accuracy", tickformat=".0%", range=limits)
    return figure


def _words(variant: Variant) -> str:
    cycles = "does not fit" if variant.cycles is None else f"{variant.cycles:,} cycles"
    return f"{variant.name} {variant.accuracy:.2%}, {cycles}, {variant.counted_j * 1e6:.1f} µJ"


def _table(variants: Sequence[Variant]) -> Table:
    columns = (
        "model", "accuracy", "of", "cycles", "counted energy, µJ", "energy by the paper's formula, µJ", "weight bytes",
        "remark",
    )  # fmt: skip
    return Table(
        columns,
        tuple(
            (
                variant.name, f"{variant.accuracy:.2%}", f"{variant.images:,} images of {variant.image_set}",
                variant.cycles, variant.counted_j * 1e6, variant.paper_j * 1e6, variant.weight_bytes, variant.refusal,
            )
            for variant in variants
        ),
    )  # fmt: skip
