"""Energy as the spiking-network papers estimate it: a price per operation, not a measurement of any chip.

Prices are those of Spikformer (arXiv 2209.15425, section 4 and appendix), for 45 nm and 32-bit floating point.
"""

from __future__ import annotations

from collections.abc import Sequence

from golden.operations import LayerOperations, paper_macs
from sw.network import NetworkConfig

MAC_J = 4.6e-12
"""Energy of a multiply-accumulate in joules."""

ACCUMULATE_J = 0.9e-12
"""Energy of an accumulate, one synaptic operation, in joules."""


def operations_j(macs: float, accumulates: float) -> float:
    """Energy in joules of `macs` multiply-accumulates and `accumulates` synaptic operations."""
    return MAC_J * macs + ACCUMULATE_J * accumulates


def paper_formula_j(network: NetworkConfig, operations: Sequence[LayerOperations]) -> float:
    """Energy per image in joules by the paper's formula.

    ``4.6 pJ x MACs of the first convolution + 0.9 pJ x sum of (input firing rate x T x MACs)``, with the counts of
    `paper_macs`: attention costs ``2 N^2 D``, the head nothing. A rate is the share of inputs that are not zero;
    residual integers above 1 make that an undercount, which `sop_j` does not have. The rate of attention is that of
    q, k and v together.

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
    first = 0
    accumulates = 0.0
    for layer, counts in zip(network.layers(), operations, strict=True):
        if layer.source == "image":
            first = counts.macs
        elif layer.kind != "head":
            if counts.input_rate is None:
                raise ValueError(f"{counts.name} must have a measured input_rate, not None: use OperationCounter")
            macs = 2 * network.tokens**2 * network.embed_dim if layer.kind == "attention" else counts.macs
            accumulates += counts.input_rate * network.timesteps * macs
    return operations_j(first, accumulates)


def sop_j(network: NetworkConfig, operations: Sequence[LayerOperations]) -> float:
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
    first = 0
    accumulates = 0.0
    for layer, counts in zip(network.layers(), operations, strict=True):
        if layer.source == "image":
            first = counts.macs
        elif counts.executed is None:
            raise ValueError(f"{counts.name} must have a measured executed count, not None: use OperationCounter")
        else:
            accumulates += counts.executed
    return operations_j(first, accumulates)


def dense_formula_j(network: NetworkConfig) -> float:
    """Energy per image in joules if every operation of every time step were a multiply-accumulate."""
    return operations_j(paper_macs(network) * network.timesteps, 0)
