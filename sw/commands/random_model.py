"""`spikeloom random`: an artifact of random weights, for sizes that nobody has trained."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from sw.commands.common import console, shown
from sw.errors import UserError
from sw.network import NetworkConfig, ResidualMode


@click.command("random")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--dim", type=int, default=256, show_default=True, help="Embedding dimension D.")
@click.option("--depth", type=int, default=4, show_default=True, help="Encoder blocks L.")
@click.option("--heads", type=int, default=8, show_default=True, help="Attention heads.")
@click.option("--timesteps", type=int, default=4, show_default=True, help="Time steps T.")
@click.option("--size", type=int, default=32, show_default=True, help="Height and width of the image.")
@click.option("--channels", type=int, default=3, show_default=True, help="Channels of the image.")
@click.option("--classes", type=int, default=10, show_default=True, help="Outputs of the head.")
@click.option("--bits", type=click.Choice(["4", "8"]), default="4", show_default=True, help="Bits of a weight.")
@click.option(
    "--residual",
    type=click.Choice(get_args(ResidualMode)),
    default="add",
    show_default=True,
    help="How spikes join the residual stream.",
)
@click.option("--pools", type=int, default=2, show_default=True, help="Convolutions with a pool: 2 or (ImageNet) 4.")
@click.option("--events", is_flag=True, help="Event frames, one for each time step, instead of an image (DVS).")
@click.option("--scale", type=float, default=0.125, show_default=True, help="Attention scale; DVS: 0.25.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of weights and images.")
def random(
    out: Path, dim: int, depth: int, heads: int, timesteps: int, size: int, channels: int, classes: int, bits: str,
    residual: ResidualMode, pools: int, events: bool, scale: float, seed: int,
) -> None:  # fmt: skip
    """Write an artifact OUT of random weights whose neurons fire at moderate rates.

    `spikeloom compare --model OUT` runs it on random images: every spike and cycle as with a trained model; its
    accuracy means nothing.
    """
    from sw.artifact import save
    from sw.random_artifact import random_artifact

    try:
        network = NetworkConfig(
            image_size=size, image_channels=channels, classes=classes, embed_dim=dim, depth=depth, heads=heads,
            timesteps=timesteps, residual_mode=residual, pools=pools, events=events, attention_scale=scale,
        )  # fmt: skip
    except ValueError as error:
        raise UserError(f"{error}; see spikeloom random --help") from error
    save(random_artifact(network, int(bits), seed), out)
    console.print(shown(out))
