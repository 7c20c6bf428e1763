"""Spiking self attention, ``Q (K^T V)`` of spikes, in primitives of NIR, which has no product of two signals.

Spikes are 0 or 1, so a product of two is 1 iff their sum is above 1.5: a `Threshold` where two edges meet. For every
pair (i, j) of key and value channels of a head there is a map of the grid: key channel i and value channel j, spread by
1x1 convolutions of zeros and ones, meet in it. Summed over the grid that is the entry ``[i, j]`` of ``K^T V``, an
integer 0..N, which a window of ``2 grid - 1`` brings to every token.

The query's spike lets it pass or not, bit by bit. With P a power of two above N, the query adds P, and bit b, from the
highest on, is 1 iff the sum, less the bits above it, is above ``P + 2^b - 0.5``. Without the query's spike no sum gets
there; with it, these are the bits of the integer. Added up by their weights over i, they are ``Q (K^T V)``.
"""

from __future__ import annotations

import numpy as np

from sw.formats.nir.primitives import conv, spike_above, sums, times
from sw.formats.nir.wiring import Wiring
from sw.network import NetworkConfig


def add_attention(wiring: Wiring, name: str, network: NetworkConfig, q: str, k: str, v: str) -> str:
    """Add the nodes of one attention, before its neuron.

    Parameters
    ----------
    wiring : Wiring
    name : str
        The layer's; names of its nodes begin with it.
    network : NetworkConfig
    q, k, v : str
        Nodes that give spikes [D, grid, grid].

    Returns
    -------
    str
        The node that gives ``Q (K^T V)``, integers [D, grid, grid].

    Raises
    ------
    UserError
        If it is too large, see `Wiring.check_room`.
    """
    grid, dim, head_dim = network.grid, network.embed_dim, network.head_dim
    pairs, bits = dim * head_dim, network.tokens.bit_length()
    wiring.check_room(name, 4 * pairs * dim + (1 + 2 * bits) * pairs * network.tokens)
    of_key = np.repeat(np.eye(dim), head_dim, axis=0)  # pair (head, i, j) reads key channel (head, i)
    of_value = np.kron(np.eye(network.heads), np.tile(np.eye(head_dim), (head_dim, 1)))  # and value channel (head, j)
    shape = (pairs, grid, grid)
    passed = 1 << bits

    keys = wiring.add(f"{name}.k", conv(of_key, 0, grid), k)
    values = wiring.add(f"{name}.v", conv(of_value, 0, grid), v)
    both = wiring.add(f"{name}.kv", spike_above(1.5, shape), keys, values)
    count = wiring.add(f"{name}.count", sums(2 * grid - 1, 1, grid - 1), both)
    queries = wiring.add(f"{name}.q", conv(passed * of_key, 0, grid), q)
    known: list[str] = []  # the bits above, each as the negative of its weight
    for bit in reversed(range(bits)):
        spike = spike_above(passed + 2**bit - 0.5, shape)
        found = wiring.add(f"{name}.bit{bit}", spike, count, queries, *known)
        known.append(wiring.add(f"{name}.less{bit}", times(-(2**bit), shape), found))
    return wiring.add(f"{name}.sum", conv(-of_value.T, 0, grid), *known)
