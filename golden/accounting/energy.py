"""Energy as the spiking-network papers estimate it: a price per operation, not a measurement of any chip.

Prices are those of Spikformer (arXiv 2209.15425, section 4 and appendix), for 45 nm and 32-bit floating point. Two
counts are priced with them, layer by layer: the paper's formula (a rate times dense operations), and the operations
that spikes really cause. docs/energy.md says where they differ, and why papers differ from each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from golden.accounting.operations import LayerOperations, layer_macs, paper_layer_macs, paper_macs
from sw.layer import Layer
from sw.network import NetworkConfig

MAC_J = 4.6e-12
"""Energy of a multiply-accumulate in joules."""

ACCUMULATE_J = 0.9e-12
"""Energy of an accumulate, one synaptic operation, in joules."""


def operations_j(macs: float, accumulates: float) -> float:
    """Energy in joules of `macs` multiply-accumulates and `accumulates` synaptic operations."""
    return MAC_J * macs + ACCUMULATE_J * accumulates


@dataclass(frozen=True, kw_only=True)
class LayerEnergy:
    """One layer in both accountings; counts and energies are per image.

    Attributes
    ----------
    name : str
    macs : int
        Multiply-accumulates: those of the image layer, which both accountings price alike; 0 elsewhere.
    paper_sops : float
        Synaptic operations by the paper's formula; 0 for the image layer and the head.
    executed_sops : float
        Synaptic operations that were counted; 0 for the image layer.
    """

    name: str
    macs: int
    paper_sops: float
    executed_sops: float

    @property
    def paper_j(self) -> float:
        """Energy in joules by the paper's formula."""
        return operations_j(self.macs, self.paper_sops)

    @property
    def counted_j(self) -> float:
        """Energy in joules from counted operations."""
        return operations_j(self.macs, self.executed_sops)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "paper_j": self.paper_j, "counted_j": self.counted_j}


def paper_sops(network: NetworkConfig, layer: Layer, counts: LayerOperations) -> float:
    """Synaptic operations of a layer by the paper's formula: ``input firing rate x T x MACs``.

    Parameters
    ----------
    network : NetworkConfig
        The network measured.
    layer : Layer
        Any layer of it. The image layer has none, for its operations are multiply-accumulates, nor has the head.
    counts : LayerOperations
        Measured, of that layer. A rate is the share of inputs that are not zero; residual integers above 1 make that
        an undercount. The rate of attention is that of q, k and v together.

    Raises
    ------
    ValueError
        If `counts` holds no measured rate.
    """
    if layer.source == "image" or layer.kind == "head":
        return 0.0
    if counts.input_rate is None:
        raise ValueError(f"{counts.name} must have a measured input_rate, not None: use OperationCounter")
    return counts.input_rate * network.timesteps * paper_layer_macs(network, layer)


def executed_sops(layer: Layer, counts: LayerOperations) -> float:
    """Synaptic operations of a layer that were counted; none for the image layer, whose MACs are priced instead.

    Raises
    ------
    ValueError
        If `counts` holds no measured count.
    """
    if layer.source == "image":
        return 0.0
    if counts.executed_sops is None:
        raise ValueError(f"{counts.name} must have a measured executed count, not None: use OperationCounter")
    return counts.executed_sops


def layer_energies(network: NetworkConfig, operations: Sequence[LayerOperations]) -> tuple[LayerEnergy, ...]:
    """Both accountings of every layer, in order of execution.

    Parameters
    ----------
    network : NetworkConfig
        The network measured.
    operations : sequence of LayerOperations
        Measured, from `OperationCounter.report`.

    Raises
    ------
    ValueError
        If `operations` holds no measured values.
    """
    return tuple(
        LayerEnergy(
            name=layer.name,
            macs=_image_macs(network, layer),
            paper_sops=paper_sops(network, layer, counts),
            executed_sops=executed_sops(layer, counts),
        )
        for layer, counts in zip(network.layers(), operations, strict=True)
    )


def paper_j(network: NetworkConfig, operations: Sequence[LayerOperations]) -> float:
    """Energy per image in joules by the paper's formula.

    ``4.6 pJ x MACs of the first convolution + 0.9 pJ x sum of (input firing rate x T x MACs)``, see `paper_sops`.

    Parameters
    ----------
    network : NetworkConfig
        The network measured.
    operations : sequence of LayerOperations
        Measured, from `OperationCounter.report`.

    Raises
    ------
    ValueError
        If `operations` holds no measured rates.
    """
    return _total_j(network, operations, partial(paper_sops, network))


def published_j(network: NetworkConfig, operations: Sequence[LayerOperations]) -> float:
    """Energy per image in joules as the paper's tables have it: `paper_j`, the first convolution T times.

    Its 11.577 mJ for 8-512 are 11.09 G synaptic operations and four times the multiply-accumulates of the first
    convolution, as its code computes them, although the image is the same at every time step.
    """
    repeated = (network.timesteps - 1) * _image_macs(network, network.layers()[0])
    return paper_j(network, operations) + operations_j(repeated, 0)


def counted_j(network: NetworkConfig, operations: Sequence[LayerOperations]) -> float:
    """Energy per image in joules from counted operations: every executed one, and the first layer's dense MACs.

    Parameters
    ----------
    network : NetworkConfig
        The network measured.
    operations : sequence of LayerOperations
        Measured, from `OperationCounter.report`.

    Raises
    ------
    ValueError
        If `operations` holds no measured counts.
    """
    return _total_j(network, operations, executed_sops)


def dense_j(network: NetworkConfig) -> float:
    """Energy per image in joules if every operation of every time step were a multiply-accumulate."""
    return operations_j(paper_macs(network) * network.timesteps, 0)


def _total_j(
    network: NetworkConfig,
    operations: Sequence[LayerOperations],
    layer_sops: Callable[[Layer, LayerOperations], float],
) -> float:
    """Energy in joules of the image layer's multiply-accumulates and every layer's synaptic operations."""
    layers = network.layers()
    sops = sum(layer_sops(layer, counts) for layer, counts in zip(layers, operations, strict=True))
    return operations_j(_image_macs(network, layers[0]), sops)


def _image_macs(network: NetworkConfig, layer: Layer) -> int:
    return layer_macs(network, layer) if layer.source == "image" else 0
