"""Operations and energy of each layer, by the paper's formula and as counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plotly.graph_objects import Bar, Figure, Scatter

from golden.accounting.energy import (
    ACCUMULATE_J,
    MAC_J,
    LayerEnergy,
    counted_j,
    dense_j,
    layer_energies,
    paper_j,
    published_j,
)
from golden.accounting.operations import LayerOperations, dense_operations
from spikeloom.report.inputs import Inputs
from spikeloom.report.section import Exhibit, Plot, Section, Table
from spikeloom.report.style import COLOURS, SERIES
from spikeloom.report.words import percent
from sw.network import NetworkConfig

DENSE, PAPER, COUNTED = "if every input were a spike", "by the paper's formula", "counted"
ACCOUNTS = {DENSE: COLOURS["wait"], PAPER: SERIES[1], COUNTED: SERIES[0]}


def measured_operations(network: NetworkConfig, layers: list[dict[str, Any]]) -> tuple[LayerOperations, ...]:
    """Operations as a comparison counted them.

    Parameters
    ----------
    network : NetworkConfig
    layers : list of dict
        Entries of ``layers`` in ``compare.json``.
    """
    counted = {layer["name"]: layer for layer in layers}
    return tuple(
        replace(
            dense,
            executed_sops=counted[dense.name]["executed_sops"],
            input_rate=counted[dense.name]["input_rate"],
        )
        for dense in dense_operations(network)
    )


def section(inputs: Inputs) -> Section:
    """Both accountings, layer by layer and in total."""
    network = inputs.artifact.network
    operations = measured_operations(network, inputs.compare["layers"])
    priced = layer_energies(network, operations)
    table = Table(
        (
            "layer", "dense operations", "rate in", "operations by the paper", "operations counted", "nJ by the paper",
            "nJ counted",
        ),
        tuple(
            (
                layer.name, dense.dense_sops, percent(dense.input_rate),
                *(round(value) for value in _operations(layer)), f"{layer.paper_j * 1e9:,.1f}",
                f"{layer.counted_j * 1e9:,.1f}",
            )
            for dense, layer in zip(operations, priced, strict=True)
        ),
    )  # fmt: skip
    totals = {
        "by the paper's formula": paper_j(network, operations),
        "the same with the first convolution at every time step, as in the paper's tables": published_j(
            network, operations
        ),
        "from the operations counted": counted_j(network, operations),
        "if every dense operation were a multiply-accumulate": dense_j(network),
    }
    exhibits = (
        _operations_exhibit(operations, priced, table),
        _energy_exhibit(priced, totals),
        Exhibit(
            "energy-totals",
            "Energy of an image",
            f"Every total is an estimate by prices of the paper for 45 nm, {MAC_J * 1e12:.1f} pJ for a "
            f"multiply-accumulate and {ACCUMULATE_J * 1e12:.1f} pJ for an operation of a spike; nothing is measured "
            "on a chip.",
            Table(("energy per image", "µJ"), tuple((name, f"{joules * 1e6:,.2f}") for name, joules in totals.items())),
        ),
    )
    return Section("energy", "Operations and energy", exhibits)


def _operations(layer: LayerEnergy) -> tuple[float, float]:
    """Operations in both accountings; those of the image layer are its multiply-accumulates, once, in both."""
    return layer.macs or layer.paper_sops, layer.macs or layer.executed_sops


def _operations_exhibit(
    operations: tuple[LayerOperations, ...], priced: tuple[LayerEnergy, ...], table: Table
) -> Exhibit:
    names = [layer.name for layer in priced]
    values = {
        DENSE: [layer.dense_sops for layer in operations],
        PAPER: [_operations(layer)[0] or None for layer in priced],
        COUNTED: [_operations(layer)[1] or None for layer in priced],
    }
    shapes = {DENSE: "line-ns", PAPER: "circle-open", COUNTED: "circle"}
    figure = Figure()
    for account, numbers in values.items():
        colour = ACCOUNTS[account]
        figure.add_trace(
            Scatter(
                x=numbers, y=names, mode="markers", name=account,
                marker={"color": colour, "size": 10, "symbol": shapes[account], "line": {"width": 2, "color": colour}},
                hovertemplate=f"%{{y}}, {account}: %{{x:,.0f}}<extra></extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(type="log", title="operations per image", dtick=1, exponentformat="SI")
    figure.update_yaxes(autorange="reversed", dtick=1)
    dense, counted = sum(layer.dense_sops for layer in operations), sum(_operations(layer)[1] for layer in priced)
    return Exhibit(
        "operations-by-layer",
        "Operations of each layer",
        f"Spikes cause {percent(counted / dense)} of the operations that an image would take if every input were a "
        "spike. Where the paper's formula stands left of what is counted, inputs are integers above 1, which it takes "
        "for one spike.",
        Plot(figure, 120 + 26 * len(names)),
        f"Operations per image: {dense:,} dense, {counted:,.0f} counted; by layer in the table.",
        table,
    )


def _energy_exhibit(priced: tuple[LayerEnergy, ...], totals: dict[str, float]) -> Exhibit:
    names = [layer.name for layer in priced]
    figure = Figure()
    for account, values in (
        (PAPER, [layer.paper_j * 1e9 for layer in priced]),
        (COUNTED, [layer.counted_j * 1e9 for layer in priced]),
    ):
        figure.add_trace(
            Bar(
                x=values, y=names, name=account, orientation="h", marker_color=ACCOUNTS[account],
                hovertemplate=f"%{{y}}, {account}: %{{x:,.1f}} nJ<extra></extra>",
            )
        )  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_xaxes(title="nJ per image")
    figure.update_yaxes(autorange="reversed", dtick=1)
    most = max(priced, key=lambda layer: layer.counted_j)
    total = totals["from the operations counted"]
    return Exhibit(
        "energy-by-layer",
        "Energy of each layer",
        f"What these operations cost in both accountings: {most.name} takes the most, "
        f"{percent(most.counted_j / total)} of the energy of an image as counted.",
        Plot(figure, 120 + 30 * len(names)),
        "Energy counted, in nJ: " + ", ".join(f"{layer.name} {layer.counted_j * 1e9:,.1f}" for layer in priced) + ".",
    )
