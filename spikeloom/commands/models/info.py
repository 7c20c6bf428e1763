"""`spikeloom info`: what an artifact holds, in words and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from spikeloom.commands.common import MODEL, console, progress_console, shown
from sw.tables import compact_table

if TYPE_CHECKING:
    from hw.config import HardwareConfig
    from sw.artifact.artifact import Artifact
    from sw.network import NetworkConfig


@click.command()
@click.argument("model", type=click.Path(path_type=Path), default=MODEL)
@click.option("--json", "as_json", is_flag=True, help="Print the header as JSON.")
@click.option("--renew", is_flag=True, help="Write MODEL again first: a file of an older version gets a checksum.")
def info(model: Path, as_json: bool, renew: bool) -> None:
    """Show what the artifact MODEL holds: network, accuracies, proven ranges, and the hardware it fits.

    MODEL is models/fashion-2-64.spikeloom if none is named.
    """
    from hw.named_configs import CONFIGS
    from sw.artifact.accuracy import recorded
    from sw.artifact.file import file_header, load, save
    from sw.artifact.versions import VERSION

    artifact = load(model)
    if renew:
        save(artifact, model)
        progress_console.print(f"{shown(model)}: written in version {VERSION}")
    if as_json:
        click.echo(json.dumps(file_header(artifact), indent=2))
        return
    net = artifact.network
    weights = sum(parameters.weight.size for parameters in artifact.tensors.values())
    console.print(
        f"{shown(model)}: Spikformer-{net.depth}-{net.embed_dim}, {net.heads} heads, T = {net.timesteps}, "
        f"{net.image_size}x{net.image_size}x{net.image_channels} {_frames(net)}to "
        f"{net.classes} classes ({artifact.dataset})"
    )
    console.print(f"neurons: {net.neuron}, the last {net.pools} convolutions' with a pool {net.pool_order} them")
    console.print(f"residual stream: {net.residual_mode}, integers up to {net.layers()[-1].input_max}")
    console.print(
        f"{weights:,} weights of {artifact.weight_bits} bits, biases with {artifact.bias_fraction_bits} fractional bits"
    )
    for name, entry in recorded(artifact).items():
        share = entry["correct"] / entry["images"]
        console.print(
            f"{name}: {share:.2%} ({entry['correct']:,} of {entry['images']:,} images of {entry['image_set']})"
        )
    for table in layer_tables(artifact):
        console.print(table)
    for config in CONFIGS.values():
        console.print(f"{config.name}: {fit(artifact, config)}")


def _frames(network: NetworkConfig) -> str:
    """What the input is if it is no image."""
    return f"event frames of counts up to {network.largest_pixel} " if network.events else ""


def layer_tables(artifact: Artifact) -> tuple[Table, Table]:
    """Shape and proven ranges of every layer."""
    from sw.artifact.ranges import input_range, layer_ranges

    shapes = compact_table("layer", "channels", "grid", "input", title="Layers")
    title = "Worst case, proven from the weights"
    proven = compact_table("layer", "accumulator", "bits", "membrane or logit", "bits", title=title)
    ranges = layer_ranges(artifact)
    for layer in artifact.network.layers():
        bounds = ranges[layer.name]
        shapes.add_row(
            layer.name,
            f"{layer.in_channels} > {layer.out_channels}",
            f"{layer.height}x{layer.width}",
            "{}..{}".format(*input_range(layer, artifact.image_table)),
        )
        proven.add_row(
            layer.name,
            f"{bounds.accumulator[0]:,}..{bounds.accumulator[1]:,}",
            str(bounds.accumulator_bits),
            f"{bounds.result[0]:,}..{bounds.result[1]:,}",
            str(bounds.result_bits),
        )
    return shapes, proven


def fit(artifact: Artifact, config: HardwareConfig) -> str:
    """Whether an artifact fits a configuration, in words."""
    from sw.compiler.compiler import compile_artifact
    from sw.errors import UserError

    try:
        program = compile_artifact(artifact, config)
    except UserError as error:
        return f"does not fit; {error}"
    memory = len(program.memory) * 8
    return (
        f"fits; program and weights {memory:,} bytes, spike memory {program.spike_words:,} of "
        f"{config.spike_words:,} words, residual memory {program.residual_words:,} of {config.residual_words:,}"
    )
