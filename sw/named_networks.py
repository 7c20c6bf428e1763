"""The configurations of the Spikformer paper (ICLR 2023, tables 1 and 2), by name: the one table of them.

Named ``spikformer-L-D`` after their blocks and their embedding dimension. Sizes and heads are those of the authors'
code: 12 heads for CIFAR's D = 384 (its training settings) and 32 channels per head for D = 256; 8 heads for ImageNet,
whatever D is; 16 heads for events, which T = 10 or 16 frames of two polarities show.
"""

from __future__ import annotations

from hw.user_text import quoted
from sw.errors import UserError
from sw.network import NetworkConfig


def _cifar(depth: int, dim: int, heads: int) -> NetworkConfig:
    return NetworkConfig(image_size=32, image_channels=3, classes=10, embed_dim=dim, depth=depth, heads=heads)


def _imagenet(depth: int, dim: int) -> NetworkConfig:
    return NetworkConfig(
        image_size=224, image_channels=3, classes=1000, embed_dim=dim, depth=depth, heads=8, pools=4,
        linear_bias="not-qkv",
    )  # fmt: skip


SPIKFORMER_4_256 = _cifar(4, 256, heads=8)
"""The network that papers report for CIFAR-10, and figures are of."""

NAMED_NETWORKS = {
    "spikformer-4-256": SPIKFORMER_4_256,
    "spikformer-2-384": _cifar(2, 384, heads=12),
    "spikformer-4-384": _cifar(4, 384, heads=12),
    "spikformer-8-384": _imagenet(8, 384),
    "spikformer-6-512": _imagenet(6, 512),
    "spikformer-8-512": _imagenet(8, 512),
    "spikformer-10-512": _imagenet(10, 512),
    "spikformer-8-768": _imagenet(8, 768),
    "spikformer-2-256": NetworkConfig(
        image_size=128, image_channels=2, classes=10, embed_dim=256, depth=2, heads=16, timesteps=16,
        attention_scale=0.25, pools=4, event_bits=1, linear_bias="not-qkv",
    ),
}  # fmt: skip
"""Shapes by name: three for CIFAR-10, five for ImageNet, both with T = 4, and one for CIFAR10-DVS."""


def named_network(name: object) -> NetworkConfig:
    """Look a configuration of the paper up.

    Raises
    ------
    UserError
        If there is none of that name.
    """
    if not isinstance(name, str) or name not in NAMED_NETWORKS:
        raise UserError(f"unknown network {quoted(name)}; choose one of {', '.join(NAMED_NETWORKS)}")
    return NAMED_NETWORKS[name]
