"""`spikeloom statistics`: how often neurons fire, what the residual stream holds, what the hardware could skip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from spikeloom.commands.common import config_option, console, model_option, out_option, shown, write_json
from spikeloom.commands.images import ImageChoice, measured_images, measuring_options
from sw.tables import compact_table

if TYPE_CHECKING:
    from golden.accounting.firing import LayerFiring
    from golden.accounting.words import TensorWords
    from hw.config import HardwareConfig


STEPS_OF_A_TABLE = 8
"""Time steps beside each other within 80 columns."""

SMALL_INTEGERS = 5
"""Integers of the residual stream, from 0 on, that have a column within 80."""


@click.command()
@model_option()
@config_option()
@measuring_options
@out_option("statistics.json", "Where the figures go; a plot goes beside them, as .png.")
def statistics(model: Path, config: HardwareConfig, choice: ImageChoice, out: Path) -> None:
    """Show firing rates by layer and time step, the integers of the residual stream, and what is zero.

    Words are those of --config: one bit-plane of some channels at all time steps of some positions. The array takes
    one per cycle, so the share of words that are zero bounds what skipping them could save.
    """
    from golden.accounting.firing import FiringStatistics
    from golden.accounting.words import WordCounter
    from golden.evaluate import evaluate
    from spikeloom.measure.statistics_plot import write_statistics
    from sw.artifact.file import load

    artifact = load(model)
    data = measured_images(artifact, choice)
    firing, words = FiringStatistics(artifact.network), WordCounter(artifact.network, config)
    evaluate(artifact, data.images, data.labels, observers=(firing, words))
    layers, tensors = firing.report(), words.report()
    reads, zero = sum(tensor.reads for tensor in tensors), sum(tensor.zero_reads for tensor in tensors)
    spikes = sum(layer.spikes for layer in layers)
    figures: dict[str, Any] = {
        "artifact": shown(model),
        "image_set": data.name,
        "images": len(data),
        "config": config.name,
        "word": {name: getattr(config, name) for name in ("positions", "timesteps", "inputs")},
        "spikes": spikes,
        "reads": reads,
        "zero_reads": zero,
        "layers": [layer.to_dict() for layer in layers],
        "tensors": [tensor.to_dict() for tensor in tensors],
    }
    write_json(out, figures)
    picture = out.with_suffix(".png")
    title = f"{figures['artifact']}, {len(data):,} images of {data.name}, words of {config.name}"
    write_statistics(picture, layers, tensors, title)
    console.print(title)
    for table in (firing_table(layers), *step_tables(layers)):
        console.print(table)
    console.print(residual_table(layers))
    console.print(word_table(tensors))
    for tensor in tensors:
        if len(tensor.readers) > 1:
            console.print(f"residual stream {tensor.title}: read by {', '.join(tensor.readers)}")
    console.print(f"spikes per image: {spikes:,.0f}")
    console.print(
        f"words that the array of {config.name} takes per image: {reads:,}, of which {zero / reads:.1%} hold no spike"
    )
    console.print(f"figures: {shown(out)}, plot: {shown(picture)}")


def firing_table(layers: Sequence[LayerFiring]) -> Table:
    """Share of the neurons that fire, by layer."""
    table = compact_table(
        "layer",
        "neurons",
        "spikes\nper image",
        "mean\nrate",
        "behind\nthe pool",
        title="Share of the neurons that fire",
    )
    for layer in layers:
        pooled = layer.pooled_rates
        table.add_row(
            layer.name,
            f"{layer.neurons:,}",
            f"{layer.spikes:,.0f}",
            f"{layer.rate:.2%}",
            "" if pooled is None else f"{sum(pooled) / len(pooled):.2%}",
        )
    return table


def step_tables(layers: Sequence[LayerFiring]) -> list[Table]:
    """The same by time step: a table for every `STEPS_OF_A_TABLE` of them."""
    steps = range(len(layers[0].rates))
    tables = []
    for first in steps[::STEPS_OF_A_TABLE]:
        some = steps[first : first + STEPS_OF_A_TABLE]
        table = compact_table("layer", *(f"t = {step + 1}" for step in some), title="By time step")
        for layer in layers:
            table.add_row(layer.name, *(f"{layer.rates[step]:.2%}" for step in some))
        tables.append(table)
    return tables


def residual_table(layers: Sequence[LayerFiring]) -> Table:
    """Share of the small integers in the residual stream, of all larger ones, and the largest, by the layer that joined
    it last.
    """
    points = {layer.name: layer.residual_counts for layer in layers if layer.residual_counts is not None}
    small = range(min(SMALL_INTEGERS, max(map(len, points.values()))))
    headings = [*map(str, small), f"{small.stop} or more", "largest"]
    table = compact_table("after", *headings, title="Integers in the residual stream")
    for name, counts in points.items():
        shares = [counts[value] / sum(counts) if value < len(counts) else 0.0 for value in small]
        largest = max(value for value, count in enumerate(counts) if count)
        shares.append(sum(counts[small.stop :]) / sum(counts))
        table.add_row(name, *(f"{share:.3%}" for share in shares), str(largest))
    return table


def word_table(tensors: Sequence[TensorWords]) -> Table:
    """Zero planes and words of everything that the array reads."""
    table = compact_table(
        "tensor", "plane", "ones", "zero\nplanes", "words", "zero", "reads\nper tile", "zero", "output\ntiles",
        title="Words: zero in memory, and zero as the array takes them",
    )  # fmt: skip
    for tensor in tensors:
        for plane in tensor.planes:
            first = plane.plane == 0
            table.add_row(
                tensor.title if first else "",
                str(plane.plane),
                f"{plane.rate:.1%}",
                f"{plane.empty:.1%}",
                f"{plane.words:,}",
                f"{plane.zero_words / plane.words:.1%}",
                f"{plane.reads:,}",
                f"{plane.zero_reads / plane.reads:.1%}",
                f"{tensor.output_tiles:,}" if first else "",
            )
    return table
