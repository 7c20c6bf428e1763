"""Random artifacts that exercise everything a trained one could: for tests of the golden model and the hardware.

Weights are random; thresholds are found layer by layer so that neurons fire at a moderate rate on the calibration
images. Rates of q, k and v are chosen so that attention sums lie around the neuron's threshold, where exact ties
are common. In every layer channel 0 always fires, so that the residual stream reaches its maximum, and channel 1
has all-zero weights and never fires, the form of a batch-norm gain of zero. Where spikes clear the residual stream
(mode ``iand``) channel 0 is as any other in the layers that join it, and these fire the less the more of them there
are: it stays active to the head.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from golden.arithmetic import exact_arithmetic, exact_dtype, weighted_sum
from golden.attention import attend, key_value
from golden.neuron import lif
from golden.walk import pool_sums, walk
from hw.integers import ceil_div
from sw.artifact.artifact import LARGEST_BIAS, Artifact, LayerParameters
from sw.artifact.ranges import accumulator_range
from sw.data.image_table import count_table, lookup
from sw.data.sets import RANDOM
from sw.layer import QKV, Layer
from sw.network import ATTENTION_NEURON_THRESHOLD, NEURON_THRESHOLD, NetworkConfig

BIAS_FRACTION_BITS = 4
CALIBRATION_IMAGES = 4
AREA = 4
"""Side of the areas of alike pixels in random images."""

LOWEST_RATE, HIGHEST_RATE = 0.1, 0.3


def random_images(network: NetworkConfig, count: int, seed: int) -> Tensor:
    """Pixels with edges, noise and flat areas: uint8 [count, channels, size, size], the same for the same seed.

    Event frames, [count, T, channels, size, size], are sparse, and denser in some areas and time steps than in others;
    counts of several bits are low more often than high.
    """
    rng = np.random.default_rng([seed, 1])
    size, areas = network.image_size, ceil_div(network.image_size, AREA)

    def pixels_of(values: NDArray[Any]) -> NDArray[Any]:
        """Values of areas as those of their pixels; the last areas may be cut."""
        return values.repeat(AREA, axis=-2).repeat(AREA, axis=-1)[..., :size, :size]

    if network.events:
        density = pixels_of(rng.uniform(0.0, 0.5, (count, network.timesteps, network.image_channels, areas, areas)))
        frames = (rng.random(density.shape) < density).astype(np.uint8)
        if network.event_bits > 1:
            frames *= np.floor((network.largest_pixel + 1) ** rng.random(frames.shape)).astype(np.uint8)
        return torch.tensor(frames)
    coarse = rng.integers(0, 256, (count, network.image_channels, areas, areas))
    noise = rng.integers(-40, 41, (count, network.image_channels, size, size))
    pixels = np.clip(pixels_of(coarse) + noise, 0, 255)
    return torch.tensor(pixels.astype(np.uint8))


def random_artifact(
    network: NetworkConfig, weight_bits: int, seed: int, images: Tensor | None = None, *,
    bias_fraction_bits: int = BIAS_FRACTION_BITS,
) -> Artifact:  # fmt: skip
    """Make an artifact of random weights whose neurons fire at moderate rates.

    The same arguments give the same artifact on any machine: rates are measured in integers.

    Parameters
    ----------
    network : NetworkConfig
        Shape to fill.
    weight_bits : int
        One of `sw.layer.WEIGHT_WIDTHS`.
    seed : int
        Of weights and images.
    images : uint8 Tensor [B, C, H, W] or [B, T, C, H, W], optional
        Calibration images; `random_images` of the same seed if not given.
    bias_fraction_bits : int
        Fractional bits of biases and thresholds.

    Returns
    -------
    Artifact
    """
    rng = np.random.default_rng([seed, 0])
    if images is None:
        images = random_images(network, CALIBRATION_IMAGES, seed)
    table = _image_table(network, rng)
    tensors: dict[str, LayerParameters] = {}

    def step(layer: Layer, inputs: tuple[Tensor, ...]) -> Tensor:
        if layer.kind == "attention":
            q, k, v = inputs
            sums = attend(q, key_value(k, v, network.heads)).to(torch.int64)
            threshold = torch.full((layer.out_channels,), network.attention_threshold)
            return lif(sums, threshold, network.timesteps, leaky=network.leaky)[0].to(torch.float32)
        weight = _weights(layer, weight_bits, rng)
        if layer.kind == "head":
            tensors[layer.name] = _head(weight, inputs[0], network.timesteps, bias_fraction_bits, rng)
            return inputs[0]
        low, high = accumulator_range(weight, -128 if layer.source == "image" else 0, layer.input_max)
        dtype = exact_dtype(int((high - low).max()))
        sums = pool_sums(layer, weighted_sum(layer, torch.tensor(weight, dtype=dtype), inputs[0])).to(torch.int64)
        saturated = not _clears(layer, network)
        bias = _bias(sums, low, bias_fraction_bits, rng, saturated=saturated)
        current = (sums << bias_fraction_bits) + torch.tensor(bias)
        threshold = _threshold(current, _target_rates(layer, network, rng), network)
        unit = 2 ** (network.membrane_bits + bias_fraction_bits)
        if saturated:
            threshold[0] = unit
        tensors[layer.name] = LayerParameters(
            weight=weight,
            bias=bias.astype(np.int32),
            threshold=threshold.numpy(),
            # The real threshold lies between two integers: ceil(unit * theta / scale) is the threshold again, and no
            # membrane of the real-valued model comes close to a tie.
            scale=unit * NEURON_THRESHOLD / (threshold.numpy() - 0.5),
        )
        return lif(current, threshold, network.timesteps, leaky=network.leaky)[0].to(torch.float32)

    frames = images.transpose(0, 1) if network.events else images.unsqueeze(0)
    image = lookup(torch.tensor(table, dtype=torch.float32), frames.long()).movedim(2, -1)
    with exact_arithmetic():
        walk(network, image.contiguous(), step)
    return Artifact(
        network=network,
        weight_bits=weight_bits,
        bias_fraction_bits=bias_fraction_bits,
        tensors=tensors,
        image_table=table,
        image_scale=1 / 128,
        dataset=RANDOM,
        provenance={"made_by": "golden.random_artifact", "seed": seed},
    )


def _image_table(network: NetworkConfig, rng: Generator) -> NDArray[np.int8] | NDArray[np.uint8]:
    """Full signed range for the first channel, random contrast and brightness for the others; events are events."""
    if network.events:
        return count_table(network.event_bits, network.image_channels)
    pixels = np.arange(256)
    rows = [np.maximum(pixels - 128, -127)]
    for _ in range(network.image_channels - 1):
        rows.append(np.clip(np.floor((pixels - rng.integers(90, 160)) * rng.uniform(0.4, 1.2)), -127, 127).astype(int))
    return np.stack(rows).astype(np.int8)


def _weights(layer: Layer, weight_bits: int, rng: Generator) -> NDArray[np.int8]:
    limit = layer.weight_limit(weight_bits)
    weight = rng.integers(-limit, limit + 1, layer.weight_shape).astype(np.int8)
    if layer.kind != "head" and layer.out_channels > 1:
        weight[1] = 0
    return weight


def _clears(layer: Layer, network: NetworkConfig) -> bool:
    """Whether the layer's spikes set the residual stream to zero where they fire."""
    return layer.residual and network.residual_mode == "iand"


def _bias(
    sums: Tensor, low: NDArray[np.int64], fraction_bits: int, rng: Generator, *, saturated: bool
) -> NDArray[np.int64]:
    """Make the mean current positive by up to its mean deviation.

    Channel 1 never fires and, if `saturated`, channel 0 always.
    """
    flat = sums.flatten(0, -2)
    mean = flat.sum(dim=0) // len(flat)
    deviation = (flat - mean).abs().sum(dim=0) // len(flat)
    lift = rng.uniform(0.0, 1.0, len(mean)) * 2**fraction_bits
    bias: NDArray[np.int64] = np.floor(lift * deviation.numpy()).astype(np.int64) - (mean.numpy() << fraction_bits)
    # 2 units of theta: half of it, the leak's factor, reaches the threshold in the first step already.
    if saturated:
        bias[0] = (2 - int(low[0])) << fraction_bits
    if len(bias) > 1:
        bias[1] = -rng.integers(1, 50)
    return np.clip(bias, -LARGEST_BIAS, LARGEST_BIAS)


def _target_rates(layer: Layer, network: NetworkConfig, rng: Generator) -> Tensor:
    """Draw a firing rate for each channel; those of q, k and v put the mean attention sum at its steady threshold."""
    rates = rng.uniform(LOWEST_RATE, HIGHEST_RATE, layer.out_channels)
    if layer.part in QKV:
        wanted = ATTENTION_NEURON_THRESHOLD / network.attention_scale
        mean = (1.2 * wanted / (network.head_dim * network.tokens)) ** (1 / 3)
        rates = np.clip(rates * mean / (0.5 * (LOWEST_RATE + HIGHEST_RATE)), 0.02, 0.9)
    elif _clears(layer, network):
        # n layers that each clear 1 / n of what is left leave a third of the stream, however many they are.
        joining = sum(other.residual for other in network.layers())
        rates *= min(1.0, 1 / (joining * 0.5 * (LOWEST_RATE + HIGHEST_RATE)))
    return torch.tensor(rates)


def _threshold(current: Tensor, rates: Tensor, network: NetworkConfig) -> Tensor:
    """Bisect the threshold of every channel until it fires at about its rate; int64 [C], at least 1."""
    timesteps = network.timesteps
    low = torch.ones(current.shape[-1], dtype=torch.int64)
    high = low + (current.flatten(0, -2).amax(dim=0).clamp(min=1) << timesteps)
    count = timesteps * current[0].numel() // current.shape[-1]
    wanted = torch.floor(rates * count).to(torch.int64)
    while bool((low < high - 1).any()):
        middle = (low + high) // 2
        fired = lif(current, middle, timesteps, leaky=network.leaky)[0].flatten(0, -2).sum(dim=0)
        low = torch.where(fired >= wanted, middle, low)
        high = torch.where(fired >= wanted, high, middle)
    return low


def _head(
    weight: NDArray[np.int8], inputs: Tensor, timesteps: int, fraction_bits: int, rng: Generator
) -> LayerParameters:
    """Centre the logits of the calibration images about zero, so that predictions depend on the image."""
    total = inputs.to(torch.int64).sum(dim=(0, 2, 3)).numpy() @ weight.T.astype(np.int64)
    centre = (total.sum(axis=0) // len(total)) << fraction_bits
    bias = np.clip(rng.integers(-100, 101, len(weight)) - centre, -LARGEST_BIAS, LARGEST_BIAS)
    count = timesteps * inputs.shape[2] * inputs.shape[3]
    scale = np.full(len(weight), 1 / (128 * count))
    return LayerParameters(weight=weight, bias=bias.astype(np.int32), threshold=None, scale=scale)
