"""`spikeloom random`: an artifact of random weights, for sizes that nobody has trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

import click

from spikeloom.commands.common import console, shown
from sw.errors import UserError
from sw.layer import WEIGHT_WIDTHS
from sw.named_networks import NAMED_NETWORKS, named_network
from sw.network import NeuronKind, PoolOrder, ResidualMode
from sw.outputs import OUTPUT_FILE

SHAPE = {
    "dim": "embed_dim", "size": "image_size", "channels": "image_channels", "residual": "residual_mode",
    "scale": "attention_scale",
}  # fmt: skip
"""Fields of `NetworkConfig` whose options have names of their own."""


@click.command("random")
@click.argument("out", type=OUTPUT_FILE)
@click.option(
    "--network", default="spikformer-4-256", show_default=True, metavar="NAME",
    help=f"A configuration of the paper: {', '.join(NAMED_NETWORKS)}. The options below change parts of it.",
)  # fmt: skip
@click.option("--dim", type=int, help="Embedding dimension D.")
@click.option("--depth", type=int, help="Encoder blocks L.")
@click.option("--heads", type=int, help="Attention heads.")
@click.option("--timesteps", type=int, help="Time steps T.")
@click.option("--size", type=int, help="Height and width of the image.")
@click.option("--channels", type=int, help="Channels of the image.")
@click.option("--classes", type=int, help="Outputs of the head.")
@click.option("--residual", type=click.Choice(get_args(ResidualMode)), help="How spikes join the residual stream.")
@click.option("--neuron", type=click.Choice(get_args(NeuronKind)), help="Neurons with a leak (lif) or without (if).")
@click.option("--pools", type=int, help="Convolutions with a pool: 2 or (ImageNet) 4.")
@click.option("--pool-order", type=click.Choice(get_args(PoolOrder)), help="Pools after or before their neurons.")
@click.option(
    "--event-bits", type=int,
    help="Event frames (DVS), one for each time step, of counts of so many bits, 1 to 8; 0: an image.",
)  # fmt: skip
@click.option("--scale", type=float, help="Attention scale; DVS: 0.25.")
@click.option(
    "--bits", type=click.Choice([str(bits) for bits in WEIGHT_WIDTHS]), default="4", show_default=True,
    help="Bits of a weight.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of weights and images.")
def random(out: Path, network: str, bits: str, seed: int, **shape: Any) -> None:
    """Write an artifact OUT of random weights whose neurons fire at moderate rates.

    `spikeloom compare --model OUT` runs it on random images: every spike and cycle as with a trained model; its
    accuracy means nothing.
    """
    from sw.artifact.file import check_path, save

    check_path(out)
    given = {SHAPE.get(name, name): value for name, value in shape.items() if value is not None}
    base = named_network(network)
    try:
        config = dataclasses.replace(base, **given)
    except ValueError as error:
        raise UserError(f"{error}; see spikeloom random --help") from error

    from golden.random_artifact import random_artifact  # with PyTorch: what is refused is refused at once

    save(random_artifact(config, int(bits), seed), out)
    console.print(shown(out))
