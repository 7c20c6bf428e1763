"""Whether a network fits a configuration: what no placement could mend."""

from __future__ import annotations

import numpy as np

from hw.attention.geometry import AttentionGeometry
from hw.config import IMAGE_PLANES, HardwareConfig
from hw.descriptor import MAX_RESIDUAL_PLANES
from hw.integers import ceil_div
from hw.named_configs import CONFIGS
from hw.neurons.head import LOGIT_BITS
from hw.pool.max_pool import ROW_LATENCY
from hw.pool.max_pool_walk import MAX_POOL_WORDS
from hw.writeback.pool_writer import MAX_POOL_SIDE
from sw.artifact.artifact import Artifact
from sw.artifact.ranges import LayerRange, accumulator_range, input_range, layer_ranges, signed_bits
from sw.compiler.heads import padded_head
from sw.compiler.weight_pack import segments
from sw.errors import UserError
from sw.layer import Layer
from sw.network import NetworkConfig

REMEDY = "use a larger configuration or a smaller network"
COUNTS_REMEDY = "use a larger configuration, a smaller network or one of fewer event_bits"


def require(need: int, limit: int, layer: str, what: str, remedy: str = REMEDY) -> None:
    """Refuse a layer that needs more than there is.

    Raises
    ------
    UserError
        Naming the layer, what it needs and the limit.
    """
    if need > limit:
        raise UserError(f"{layer} needs {need} {what}, the configuration has {limit}: {remedy}")


def input_remedy(network: NetworkConfig) -> str:
    """What to do about the input's sums or words that do not fit."""
    return COUNTS_REMEDY if network.event_bits > 1 else REMEDY


def check_fit(artifact: Artifact, config: HardwareConfig) -> None:
    """Refuse a network whose shape or widths the accelerator lacks.

    Raises
    ------
    UserError
        Naming the layer, what it needs and the limit.
    """
    network = artifact.network
    require(artifact.weight_bits, config.weight_bits, "the network", "bits per weight")
    require(network.timesteps, config.max_timesteps, "the network", "time steps")
    _check_kind(artifact, config)
    ranges = layer_ranges(artifact)
    require(ranges["head"].result_bits, LOGIT_BITS, "head", "bits of a logit")
    for layer in network.layers():
        if layer.has_weights:
            _check_widths(artifact, config, layer, ranges[layer.name].accumulator_bits)
        if not network.leaky and layer.kind != "head":
            _check_membrane(config, layer, ranges[layer.name])
        _check_shape(layer, config)
        if layer.pool_first:
            _check_max_pool(layer, config, ceil_div(network.timesteps, config.timesteps))
    require(padded_head(config, network), config.head_channels, "attention", "channels per head")
    require(network.tokens.bit_length(), config.attention_planes, "attention", "bits per entry of K^T V")
    tile_tokens = config.tile_groups // ceil_div(network.timesteps, config.timesteps) * config.positions
    require(ceil_div(network.tokens, tile_tokens), config.token_chunks, "attention", "position tiles of K and V")


def _check_kind(artifact: Artifact, config: HardwareConfig) -> None:
    """Refuse what the hardware does another way, or has no counters for."""
    network = artifact.network
    if network.pool_order == "before":
        _require_option("pool_before", "the network pools before its neurons (pool_order before)", config)
    if not network.leaky:
        _require_option("if_neurons", "the network's neurons do not leak (neuron if)", config)
    require(network.classes, config.max_classes, "head", "classes")
    require(len(network.layers()) + 1, config.max_layers, "the network", "layers")
    if artifact.bias_fraction_bits != config.bias_fraction_bits:
        raise UserError(
            f"the artifact's biases have {artifact.bias_fraction_bits} fractional bits, configuration "
            f"{config.name} has {config.bias_fraction_bits}: export again or change bias_fraction_bits"
        )


def _require_option(option: str, what: str, config: HardwareConfig) -> None:
    """Refuse what takes an option that the accelerator was built without."""
    if not getattr(config, option):
        having = [other.name for other in CONFIGS.values() if getattr(other, option)]
        raise UserError(
            f"{what}, but configuration {config.name} has no {option}: use one that has it, such as "
            f"{' or '.join(having)}"
        )


def _check_widths(artifact: Artifact, config: HardwareConfig, layer: Layer, accumulator_bits: int) -> None:
    """Refuse sums and biases that are too wide."""
    remedy = input_remedy(artifact.network) if layer.reads_input else REMEDY
    require(_partial_sum_bits(artifact, layer), config.accumulator_bits, layer.name, "accumulator bits", remedy)
    # Each half may fit where the sum of both, which the neurons read, does not.
    require(accumulator_bits, config.sum_bits, layer.name, "bits of a neuron's sum", remedy)
    if layer.kind != "head":
        bias = int(np.abs(artifact.tensors[layer.name].bias.astype(np.int64)).max())
        require(bias.bit_length() + 1, config.current_bits - 1, layer.name, "bits of bias")


def _check_membrane(config: HardwareConfig, layer: Layer, bounds: LayerRange) -> None:
    """Refuse membranes without leak that are wider than the adder of a neuron, which has a bit more than a current.

    A leak keeps a membrane below the largest current, whatever comes in; without it currents add up over time, so what
    the weights, the threshold and the number of time steps allow decides. In attention neither has a sign.
    """
    unsigned = layer.kind == "attention"
    current_bits = AttentionGeometry(config).sum_bits + 1 if unsigned else config.current_bits
    require(bounds.result_bits, current_bits + 1, layer.name, "bits of a membrane without leak")


def _check_shape(layer: Layer, config: HardwareConfig) -> None:
    """Refuse too many bit-planes, and rows too long for the pool or too short for the positions."""
    if layer.source == "residual":
        require(layer.input_planes, MAX_RESIDUAL_PLANES, layer.name, "residual bit-planes")
    require(layer.width if layer.pools_spikes else 0, MAX_POOL_SIDE, layer.name, "columns to pool")
    if layer.width < config.positions:
        raise UserError(
            f"{layer.name} is {layer.width} columns wide, fewer than the configuration's {config.positions} positions: "
            "use a configuration of fewer positions"
        )


def _check_max_pool(layer: Layer, config: HardwareConfig, time_chunks: int) -> None:
    """Refuse rows that are too long for the memory of the pool before the neurons, or shorter than its latency."""
    require(layer.width // 2 * time_chunks, MAX_POOL_WORDS, layer.name, "pooled columns, times time chunks")
    reads = layer.width // config.positions * time_chunks * (config.piece // config.neurons)
    if reads < ROW_LATENCY:
        raise UserError(
            f"{layer.name} is {layer.width} columns wide, and a row of it takes the neurons {reads} cycles, a pool "
            f"before them at least {ROW_LATENCY}: use a configuration of fewer neurons"
        )


def _partial_sum_bits(artifact: Artifact, layer: Layer) -> int:
    """Bits that hold every sum of an output: of 4-bit weights, or of either half of 8-bit weights.

    Sums are taken modulo a power of two, so only complete ones count. The low half's sums of spikes are not negative
    and read as unsigned numbers.
    """
    parts = [part.reshape(len(part), -1).astype(np.int64) for part in segments(artifact, layer)]
    if layer.source == "image":
        top = 1 << IMAGE_PLANES - 1
        ranges = [_image_range(sign, other, top) for sign, other in zip(parts[::2], parts[1::2], strict=True)]
        return max(signed_bits(*bounds) for bounds in ranges)
    low, high = input_range(layer, artifact.image_table)
    bits = []
    for part in parts:
        smallest, largest = accumulator_range(part.astype(np.int8), low, high)
        bits.append(signed_bits(int(smallest.min()), int(largest.max())))
    # The high half comes first; the low half's sign bit is not needed.
    return max(bits[0], bits[-1] - (len(bits) - 1))


def _image_range(sign: np.typing.NDArray[np.int64], other: np.typing.NDArray[np.int64], top: int) -> tuple[int, int]:
    """Bounds of sums whose sign plane, worth `top`, has weights of its own beside those of the planes below."""
    terms = np.stack([np.zeros_like(sign), top * sign, (top - 1) * other, top * sign + (top - 1) * other])
    return int(terms.min(axis=0).sum(axis=1).min()), int(terms.max(axis=0).sum(axis=1).max())
