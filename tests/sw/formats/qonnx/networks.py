"""Small networks that have between them everything that an artifact can say."""

from __future__ import annotations

import functools

from golden.random_artifact import random_artifact
from sw.artifact.artifact import Artifact
from sw.network import NetworkConfig

IMAGE = NetworkConfig(image_size=8, image_channels=3, classes=5, embed_dim=16, depth=1, heads=2)
NO_LEAK = NetworkConfig(
    image_size=6, image_channels=1, classes=3, embed_dim=16, depth=2, heads=4, timesteps=3, pools=1, mlp_ratio=2,
    attention_scale=0.25, residual_mode="clamp", neuron="if", linear_bias="not-qkv",
)  # fmt: skip
EVENTS = NetworkConfig(
    image_size=16, image_channels=2, classes=4, embed_dim=8, depth=1, heads=1, timesteps=5, pools=3,
    attention_scale=0.5, residual_mode="iand", event_bits=3, linear_bias="none",
)  # fmt: skip
POOL_FIRST = NetworkConfig(
    image_size=16, image_channels=2, classes=2, embed_dim=8, depth=1, heads=1, timesteps=2, pools=4, mlp_ratio=1,
    pool_order="before", event_bits=1,
)  # fmt: skip
LONG = NetworkConfig(
    image_size=4, image_channels=1, classes=2, embed_dim=40, depth=1, heads=5, timesteps=16, mlp_ratio=1
)

NETWORKS = {
    "image": (IMAGE, 4, 4), "no-leak": (NO_LEAK, 8, 0), "events": (EVENTS, 2, 3), "pool-first": (POOL_FIRST, 3, 1),
    "long": (LONG, 8, 8),
}  # fmt: skip
"""By name: network, bits of a weight, bias fraction bits."""


@functools.cache
def each_artifact(name: str) -> Artifact:
    """One of `NETWORKS` with random weights."""
    network, weight_bits, fraction = NETWORKS[name]
    return random_artifact(network, weight_bits, seed=7, bias_fraction_bits=fraction)
