"""`spikeloom energy`: operations and energy of every layer, by the paper's formula and as counted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from spikeloom.commands.common import console, model_option, out_option, shown, write_json
from spikeloom.commands.images import ImageChoice, measured_images, measuring_options
from sw.tables import compact_table

if TYPE_CHECKING:
    from golden.accounting.operations import LayerOperations
    from sw.network import NetworkConfig


@click.command()
@model_option()
@measuring_options
@out_option("energy.json", "Where the figures go.")
def energy(model: Path, choice: ImageChoice, out: Path) -> None:
    """Show operations and energy of every layer: the paper's formula beside what is counted.

    The golden model runs the images and counts every synaptic operation that a spike causes. Both counts are priced as
    in the paper, 4.6 pJ for a multiply-accumulate of the first convolution and 0.9 pJ for a synaptic operation (45 nm).
    What is counted, and why papers differ, is in docs/energy.md.
    """
    from golden.evaluate import evaluate
    from sw.artifact.file import load

    artifact = load(model)
    data = measured_images(artifact, choice)
    result = evaluate(artifact, data.images, data.labels, count_operations=True)
    assert result.operations is not None
    figures = energy_figures(artifact.network, result.operations)
    figures = {"artifact": shown(model), "image_set": data.name, "images": len(data), **figures}
    write_json(out, figures)
    console.print(f"{figures['artifact']}, mean of {len(data):,} images of {figures['image_set']}")
    console.print(operation_table(figures))
    console.print(energy_table(figures))
    for line in summary(figures):
        console.print(line)
    console.print(f"figures: {shown(out)}")


def energy_figures(network: NetworkConfig, operations: tuple[LayerOperations, ...]) -> dict[str, Any]:
    """Operations and energies, layer by layer and in total, as they stand in ``build/energy.json``.

    Parameters
    ----------
    network : NetworkConfig
    operations : tuple of LayerOperations
        Measured.

    Returns
    -------
    dict
        Energies in joules, counts per image; ``paper_macs`` are per time step.
    """
    from golden.accounting.energy import (
        ACCUMULATE_J,
        MAC_J,
        counted_j,
        dense_j,
        layer_energies,
        paper_j,
        published_j,
    )
    from golden.accounting.operations import paper_layer_macs, paper_macs

    energies = layer_energies(network, operations)
    return {
        "prices_j": {"mac": MAC_J, "accumulate": ACCUMULATE_J},
        "layers": [
            {**counts.to_dict(), "paper_macs": paper_layer_macs(network, layer), "energy": priced.to_dict()}
            for layer, counts, priced in zip(network.layers(), operations, energies, strict=True)
        ],
        "total": {
            "macs": sum(counts.macs for counts in operations),
            "paper_macs": paper_macs(network),
            "dense_sops": sum(counts.dense_sops for counts in operations),
            "paper_sops": sum(priced.paper_sops for priced in energies),
            "executed_sops": sum(priced.executed_sops for priced in energies),
            "paper_j": paper_j(network, operations),
            "published_j": published_j(network, operations),
            "counted_j": counted_j(network, operations),
            "dense_j": dense_j(network),
        },
    }


def operation_table(figures: dict[str, Any]) -> Table:
    """Operations of every layer and what it reads, per image."""
    table = compact_table(
        "layer", "MACs\nper step", "of the\npaper", "dense\noperations", "rate\nin", "mean\nin",
        title="Per image: operations if every input were a spike, and what the inputs are",
    )  # fmt: skip
    for layer in figures["layers"]:
        table.add_row(
            layer["name"],
            f"{layer['macs']:,}",
            f"{layer['paper_macs']:,}",
            f"{layer['dense_sops']:,}",
            f"{layer['input_rate']:.2%}",
            f"{layer['input_mean']:.4f}",
        )
    total = figures["total"]
    table.add_section()
    table.add_row("image", *(f"{total[key]:,}" for key in ("macs", "paper_macs", "dense_sops")), style="bold")
    return table


def energy_table(figures: dict[str, Any]) -> Table:
    """Operations that spikes cause and their energy, by both accountings, per image."""
    table = compact_table(
        "layer", "operations\nby the paper", "operations\ncounted", "nJ\nby the paper", "nJ\ncounted",
        title="Per image: operations of spikes, and energy by the prices of the paper (45 nm)",
    )  # fmt: skip
    for layer in figures["layers"]:
        priced = layer["energy"]
        # The image layer's operations are its multiply-accumulates, once, in both accountings.
        table.add_row(
            layer["name"],
            *(f"{priced['macs'] or priced[key]:,.0f}" for key in ("paper_sops", "executed_sops")),
            *(f"{priced[key] * 1e9:,.1f}" for key in ("paper_j", "counted_j")),
        )
    total = figures["total"]
    macs = sum(layer["energy"]["macs"] for layer in figures["layers"])
    table.add_section()
    table.add_row(
        "image",
        *(f"{macs + total[key]:,.0f}" for key in ("paper_sops", "executed_sops")),
        *(f"{total[key] * 1e9:,.1f}" for key in ("paper_j", "counted_j")),
        style="bold",
    )
    return table


def summary(figures: dict[str, Any]) -> list[str]:
    """Totals in words."""
    total = figures["total"]
    return [
        f"energy per image by the paper's formula: {total['paper_j'] * 1e6:.2f} uJ, with the first convolution "
        f"at every time step, as in its tables, {total['published_j'] * 1e6:.2f} uJ",
        f"energy per image from the operations counted: {total['counted_j'] * 1e6:.2f} uJ",
        f"with a multiply-accumulate for every dense operation instead: {total['dense_j'] * 1e6:.2f} uJ",
    ]
