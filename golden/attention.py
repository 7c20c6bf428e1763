"""Spiking self attention in integers: ``Q (K^T V)``, per head and time step.

Without a softmax the products may be taken in either order; ``K^T V`` first costs ``2 N d^2`` instead of ``2 N^2 d``.
Spikes are 0 or 1, so an entry of ``K^T V`` counts the tokens at which key and value both fire (at most N).
"""

from __future__ import annotations

from torch import Tensor


def split_heads(spikes: Tensor, heads: int) -> Tensor:
    """Rearrange [T, B, H, W, D] to [T, B, heads, N, d]; channel is ``head * d + j``, token ``row * W + column``."""
    tokens = spikes.flatten(2, 3)
    return tokens.reshape(*tokens.shape[:3], heads, -1).transpose(2, 3)


def key_value(k: Tensor, v: Tensor, heads: int) -> Tensor:
    """``K^T V`` of each head.

    Parameters
    ----------
    k, v : Tensor [T, B, H, W, D]
        Spikes, in a type that holds N exactly.
    heads : int
        Attention heads.

    Returns
    -------
    Tensor [T, B, heads, d, d]
        Entry ``[i, j]`` counts the tokens at which key channel i and value channel j fire, 0..N.
    """
    return split_heads(k, heads).transpose(-1, -2) @ split_heads(v, heads)


def attend(q: Tensor, kv: Tensor) -> Tensor:
    """``Q (K^T V)`` in the layout of the tokens.

    Parameters
    ----------
    q : Tensor [T, B, H, W, D]
        Spikes, of `kv`'s type.
    kv : Tensor [T, B, heads, d, d]
        From `key_value`, in a type that holds ``d * N`` exactly.

    Returns
    -------
    Tensor [T, B, H, W, D]
        Integers 0..d*N, before the attention scale.
    """
    product = split_heads(q, kv.shape[2]) @ kv
    return product.transpose(2, 3).reshape(q.shape)
