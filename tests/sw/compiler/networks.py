"""Networks, artifacts and configurations for the tests of the compiler, and what it makes of them."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np

from hw.config import HardwareConfig
from hw.named_configs import BASE, LARGE, TINY
from sw.artifact.artifact import Artifact, LayerParameters
from sw.compiler.compiler import compile_artifact
from sw.compiler.program import Program
from sw.data.image_table import count_table
from sw.layer import Layer
from sw.network import NetworkConfig


def network_of(**changes: Any) -> NetworkConfig:
    sizes = {"image_size": 8, "image_channels": 1, "classes": 3, "embed_dim": 16, "depth": 1, "heads": 2}
    return NetworkConfig(**{**sizes, **changes})


def parameters_of(layer: Layer, weight: int, bias: int) -> LayerParameters:
    out = (layer.out_channels,)
    return LayerParameters(
        weight=np.full(layer.weight_shape, weight, np.int8),
        bias=np.full(out, bias, np.int32),
        threshold=None if layer.kind == "head" else np.ones(out, np.int64),
        scale=np.ones(out),
    )


def artifact_of(
    network: NetworkConfig, *, weight: int = 0, biases: dict[str, int] | None = None, **changes: Any
) -> Artifact:
    """One value in all weights, another in all biases of a layer; the image uses its whole range."""
    pixels = np.arange(-128, 128).clip(-127).astype(np.int8)
    fields: dict[str, Any] = {
        "network": network,
        "weight_bits": 4,
        "bias_fraction_bits": 4,
        "tensors": {
            layer.name: parameters_of(layer, weight, (biases or {}).get(layer.name, 0))
            for layer in network.layers()
            if layer.has_weights
        },
        "image_table": (
            count_table(network.event_bits, network.image_channels)
            if network.events
            else np.tile(pixels, (network.image_channels, 1))
        ),
        "image_scale": 1.0,
        "dataset": "none",
    }
    return Artifact(**{**fields, **changes})


def config_of(base: HardwareConfig = TINY, **changes: Any) -> HardwareConfig:
    return dataclasses.replace(base, name="mine", **changes)


WIDE = config_of(spike_words=1 << 20, residual_words=1 << 20, attention_planes=12, token_chunks=255)
"""A tiny array with memories that hold anything."""

CIFAR = {"image_size": 32, "image_channels": 3, "classes": 10}
IMAGENET = {"image_size": 224, "image_channels": 3, "classes": 256, "pools": 4}
DEEP_LARGE = config_of(LARGE, max_classes=256)

COMPILED = {
    "tiny": (network_of(), TINY),
    "three_channels_two_blocks": (network_of(image_channels=3, depth=2, image_size=16), TINY),
    "fewer_time_steps": (network_of(timesteps=3), TINY),
    "time_chunks": (network_of(timesteps=10, image_channels=3, image_size=16), config_of(time_chunks=4)),
    "events": (network_of(timesteps=8, image_channels=2, event_bits=1, image_size=16), config_of(time_chunks=2)),
    "events_in_lanes": (network_of(timesteps=4, image_channels=2, event_bits=1), TINY),
    "counts": (network_of(timesteps=8, image_channels=2, event_bits=8, image_size=16), config_of(time_chunks=2)),
    "counts_in_strips": (
        network_of(image_size=32, timesteps=6, image_channels=2, event_bits=3),
        config_of(time_chunks=2, spike_words=6400, residual_words=8192),
    ),
    "several_tiles": (network_of(image_size=32, embed_dim=24, heads=3), TINY),
    "many_heads": (network_of(image_size=16, embed_dim=32, heads=8, depth=2), TINY),
    "base": (network_of(image_size=28, embed_dim=64, depth=2, classes=10), BASE),
    "four_positions": (
        network_of(image_size=16, embed_dim=40, heads=1),
        config_of(outputs=16, inputs=8, positions=4, neurons=2, head_channels=64),
    ),
    "eight_positions_do_not_divide_the_image": (
        network_of(image_size=12, embed_dim=32, heads=2, pools=1),
        config_of(WIDE, outputs=32, inputs=16, positions=4, timesteps=8, neurons=4),
    ),
    "fewer_outputs_than_inputs": (
        network_of(image_size=16, embed_dim=64, heads=2),
        config_of(outputs=8, inputs=16),
    ),
    "twice_the_outputs": (network_of(image_size=16), config_of(outputs=8, inputs=4)),
    "three_times_the_outputs": (network_of(image_size=16, embed_dim=24), config_of(outputs=12, inputs=4)),
    "wide_port": (network_of(image_size=16), config_of(memory_bits=128)),
    "eight_bits": (network_of(image_size=16), config_of(weight_bits=8)),
    "heads_do_not_fill_words": (network_of(image_size=16, embed_dim=24, heads=4, depth=2), TINY),
    "heads_of_half_a_word": (network_of(image_size=32, image_channels=3, embed_dim=64, heads=4, depth=2), LARGE),
    "clamp": (network_of(depth=2, residual_mode="clamp"), TINY),
    "iand": (network_of(depth=2, residual_mode="iand"), TINY),
    "one_time_step": (network_of(timesteps=1), config_of(timesteps=1)),
    "one_pool": (network_of(image_size=8, pools=1), TINY),
    "strips": (network_of(image_size=16), config_of(spike_words=512)),
    "many_strips": (network_of(image_size=32, image_channels=3), config_of(WIDE, spike_words=2048)),
    "strips_before_a_pool": (network_of(image_size=32, pools=4), config_of(spike_words=1024)),
    "strips_of_eight_bits": (
        network_of(image_size=32, pools=4), config_of(spike_words=1024, weight_bits=8, memory_bits=128),
    ),
    "one_convolution_in_strips": (network_of(image_size=32), config_of(spike_words=1000)),
    "two_convolutions_in_strips": (network_of(image_size=32), config_of(spike_words=900)),
    "a_pooled_convolution_in_strips": (network_of(image_size=64, pools=4), config_of(spike_words=1900)),
    "a_wide_pooled_convolution_in_strips": (
        network_of(image_size=128, embed_dim=256, heads=8, pools=4), config_of(LARGE, spike_words=2300),
    ),
    "events_in_strips_of_two_convolutions": (
        network_of(image_size=32, timesteps=6, image_channels=2, embed_dim=32, heads=4, event_bits=1),
        config_of(time_chunks=2, spike_words=3000, residual_words=8192),
    ),
    "pools_before_neurons": (network_of(image_size=16, pool_order="before"), config_of(pool_before=True)),
    "pools_before_neurons_in_strips": (
        network_of(image_size=64, pools=4, pool_order="before"), config_of(spike_words=1900, pool_before=True),
    ),
    "cifar_2_512": (network_of(**CIFAR, embed_dim=512, depth=2, heads=8), LARGE),
    "cifar_4_256": (network_of(**CIFAR, embed_dim=256, depth=4, heads=8), LARGE),
    "cifar_4_384": (network_of(**CIFAR, embed_dim=384, depth=4, heads=12), LARGE),
    "imagenet_8_512": (network_of(**IMAGENET, embed_dim=512, depth=8, heads=8), DEEP_LARGE),
}  # fmt: skip


@cache
def compiled(name: str) -> tuple[Artifact, Program]:
    network, config = COMPILED[name]
    artifact = artifact_of(network, weight=1, weight_bits=config.weight_bits if "eight_bits" in name else 4)
    return artifact, compile_artifact(artifact, config)
