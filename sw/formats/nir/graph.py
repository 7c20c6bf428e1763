"""An artifact as a graph of NIR: layer by layer, each under its name.

========================== =========================================================================================
node                       is
========================== =========================================================================================
`<layer>`                  `Conv2d` of the integer weights (1x1 for linear layers and the head), with the bias
`<layer>.neuron`           its neurons, `LIF` or `IF`
`<layer>.window`, `.pool`  the max-pool of spikes: their sum in each window, above 0.5
`<layer>.residual`         the residual stream behind it, made with `.negative` (iand) or `.above0` to `.above2` (clamp)
`<block>.attention.*`      see `sw.formats.nir.attention`
`head.tokens`, `.steps`    the residual stream summed over the grid; that times T, so that T biases count as one
`head.logits`              sum over the time steps: T times the logits, in units of the weights
========================== =========================================================================================

Signals are in units of the weights; biases and thresholds, which artifacts hold in units of ``2^-f`` and ``2^-(f+T)``,
are fractions here. The input is the integers of the image table, not pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sw.artifact.artifact import Artifact
from sw.artifact.ranges import layer_ranges
from sw.errors import UserError
from sw.formats.nir.attention import add_attention
from sw.formats.nir.library import nir
from sw.formats.nir.primitives import (
    LARGEST_THRESHOLD,
    conv,
    integral,
    limits,
    neuron,
    spike_above,
    sums,
    times,
)
from sw.formats.nir.wiring import Wiring
from sw.layer import Layer
from sw.network import RESIDUAL_CLAMP, NetworkConfig

MOST_BITS = 52
"""Bits of a membrane; float64 has 53, and its difference to a current takes one more."""


def wire(artifact: Artifact) -> Wiring:
    """Nodes and edges of a network.

    Raises
    ------
    UserError
        Naming the layer, if NIR cannot say it.
    """
    network, wiring = artifact.network, Wiring()
    layers = network.layers()
    check_sayable(network)
    _check_exact(artifact)
    size = (network.image_channels, network.image_size, network.image_size)
    spikes = {layers[0].source: wiring.add("input", nir.Input(input_type=np.array(size)))}
    residual = ""
    for layer in layers:
        sources = [residual] if layer.source == "residual" else [spikes[source] for source in layer.sources]
        if layer.kind == "head":
            _add_head(wiring, layer, artifact, residual)
            break
        if layer.kind == "attention":
            current = add_attention(wiring, layer.name, network, *sources)
            threshold, bits = np.full(layer.out_channels, network.attention_threshold), 0
        else:
            current = wiring.add(layer.name, _weighted(layer, artifact, layer.height), *sources)
            threshold, bits = _threshold(layer, artifact), artifact.bias_fraction_bits
        limit = limits(threshold, bits + network.membrane_bits)
        fired = wiring.add(f"{layer.name}.neuron", neuron(limit, layer.height, leaky=network.leaky), current)
        if layer.residual:
            residual = _add_residual(wiring, layer, network, residual or sources[0], fired)
        spikes[layer.name] = _add_pool(wiring, layer, fired) if layer.pool else fired
    return wiring


def check_sayable(network: NetworkConfig) -> None:
    """Refuse what primitives of NIR cannot say.

    Raises
    ------
    UserError
        Naming the layer.
    """
    for layer in network.layers():
        if layer.pool_first:
            raise UserError(
                f"{layer.name}: its pool takes the largest of nine currents (pool_order before), and NIR has sums and "
                "thresholds, but no largest of several numbers; export a network with pool_order after"
            )


def _check_exact(artifact: Artifact) -> None:
    """Refuse membranes, and logits times T, that float64 would round."""
    for name, bounds in layer_ranges(artifact).items():
        bits = bounds.result_bits + (artifact.network.timesteps.bit_length() if bounds.result_name == "logit" else 0)
        if bits > MOST_BITS:
            raise UserError(
                f"{name}: its {bounds.result_name} takes {bits} bits, and float64, in which NIR graphs run, is exact "
                f"up to {MOST_BITS}; quantise to smaller integers"
            )


def _weighted(layer: Layer, artifact: Artifact, grid: int) -> Any:
    parameters = artifact.tensors[layer.name]
    return conv(parameters.weight, np.ldexp(parameters.bias.astype(np.float64), -artifact.bias_fraction_bits), grid)


def _threshold(layer: Layer, artifact: Artifact) -> NDArray[np.int64]:
    threshold = artifact.tensors[layer.name].threshold
    assert threshold is not None
    if threshold.max() > LARGEST_THRESHOLD:
        raise UserError(
            f"{layer.name}: its threshold {threshold.max()} is above {LARGEST_THRESHOLD}, beyond which float64 has no "
            "halves; quantise to smaller integers"
        )
    return threshold


def _add_pool(wiring: Wiring, layer: Layer, fired: str) -> str:
    window = wiring.add(f"{layer.name}.window", sums(3, 2, 1), fired)
    return wiring.add(f"{layer.name}.pool", spike_above(0.5, (layer.out_channels, *layer.output_grid)), window)


def _add_residual(wiring: Wiring, layer: Layer, network: NetworkConfig, stream: str, fired: str) -> str:
    """The stream behind a layer, see `NetworkConfig.residual_mode`."""
    name, shape = f"{layer.name}.residual", (layer.out_channels, layer.height, layer.width)
    if network.residual_mode == "iand":
        negative = wiring.add(f"{layer.name}.negative", times(-1, shape), fired)
        return wiring.add(name, spike_above(0.5, shape), stream, negative)
    joined = [stream, fired]
    if network.residual_mode == "clamp":
        joined = [
            wiring.add(f"{layer.name}.above{count}", spike_above(count + 0.5, shape), stream, fired)
            for count in range(RESIDUAL_CLAMP)
        ]
    return wiring.add(name, times(1, shape), *joined)


def _add_head(wiring: Wiring, layer: Layer, artifact: Artifact, residual: str) -> None:
    classes = (layer.out_channels, 1, 1)
    tokens = wiring.add(f"{layer.name}.tokens", sums(layer.height, 1, 0), residual)
    factor = times(artifact.network.timesteps, (layer.in_channels, 1, 1))
    steps = wiring.add(f"{layer.name}.steps", factor, tokens)
    weighted = wiring.add(layer.name, _weighted(layer, artifact, 1), steps)
    logits = wiring.add(f"{layer.name}.logits", integral(classes), weighted)
    wiring.add("output", nir.Output(output_type=np.array(classes)), logits)
