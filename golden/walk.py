"""How data flows between the layers: sources, pools and the residual stream, whoever computes the layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from golden.arithmetic import or_pool
from sw.layer import Layer
from sw.network import RESIDUAL_CLAMP, NetworkConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerActivity:
    """What went into and came out of one layer, as integers in some type.

    Attributes
    ----------
    layer : Layer
    inputs : tuple of Tensor [T, B, H, W, in]
        One tensor, or q, k and v for attention; an image has one time step.
    spikes : Tensor [T, B, H, W, out]
        Of the neurons, before a pool that follows them; empty for the head.
    pooled : Tensor [T, B, H/2, W/2, out], optional
        Where a pool follows the neurons.
    residual : Tensor [T, B, H, W, out], optional
        The residual stream after this layer's spikes joined it.
    """

    layer: Layer
    inputs: tuple[Tensor, ...]
    spikes: Tensor
    pooled: Tensor | None = None
    residual: Tensor | None = None


LayerStep = Callable[[Layer, tuple[Tensor, ...]], Tensor]
"""Computes a layer's spikes [T, B, H, W, out] from its inputs; for the head the logits [B, classes]."""

Observer = Callable[[LayerActivity], None]
"""Called after every layer; must not change the tensors."""


def pool_sums(layer: Layer, sums: Tensor) -> Tensor:
    """What reaches a layer's neurons of its sums or integer currents [T, B, H, W, out].

    Where the pool comes before the neuron it takes the largest of each 3x3 window. Real currents are
    ``alpha * (sum + B)`` with a positive alpha per channel, so that is the largest current too.
    """
    return or_pool(sums) if layer.pool_first else sums


def join_residual(network: NetworkConfig, residual: Tensor, spikes: Tensor) -> Tensor:
    """The residual stream after a layer's spikes, by `NetworkConfig.residual_mode`; any tensors of the same shape."""
    if network.residual_mode == "iand":
        return residual.minimum(1 - spikes)  # both are 0 or 1
    joined = residual + spikes
    return joined if network.residual_mode == "add" else joined.clamp(max=RESIDUAL_CLAMP)


def walk(network: NetworkConfig, image: Tensor, step: LayerStep, observers: tuple[Observer, ...] = ()) -> Tensor:
    """Run `step` for every layer in order and return what it gives for the head.

    Parameters
    ----------
    network : NetworkConfig
        Whose layers to run.
    image : Tensor [1, B, H, W, C] or [T, B, H, W, C]
        Signed network input, or counts of event frames.
    step : LayerStep
        Computes one layer.
    observers : tuple of Observer
        Called after each layer.
    """
    layers = network.layers()
    outputs: dict[str, Tensor] = {layers[0].source: image}
    residual: Tensor | None = None
    for layer in layers:
        inputs: tuple[Tensor, ...]
        if layer.source == "residual":
            assert residual is not None
            inputs = (residual,)
        else:
            inputs = tuple(outputs[source] for source in layer.sources)
        result = step(layer, inputs)
        if layer.kind == "head":
            for observe in observers:
                observe(LayerActivity(layer=layer, inputs=inputs, spikes=result.new_empty(0)))
            return result
        pooled = or_pool(result) if layer.pools_spikes else None
        outputs[layer.name] = result if pooled is None else pooled
        if layer.residual:
            residual = join_residual(network, inputs[0] if residual is None else residual, result)
        for observe in observers:
            observe(
                LayerActivity(
                    layer=layer,
                    inputs=inputs,
                    spikes=result,
                    pooled=pooled,
                    residual=residual if layer.residual else None,
                )
            )
    raise AssertionError("the layer list ends with a head")
